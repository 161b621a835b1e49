"""What a whole configuration document must satisfy, beyond the golden cases."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.agents.domain import trading_config
from apps.agents.domain.field_spec import FieldSpec, Kind
from apps.agents.domain.trading_config import DEFAULTS, FIELDS, validate

NUMBERS = [spec for spec in FIELDS if spec.kind in (Kind.NUMBER, Kind.INTEGER)]


def changed(path: str, value: Any) -> dict[str, Any]:
    document = trading_config.default_document()
    *parents, key = path.split(".")
    node = document
    for parent in parents:
        node = node[parent]
    node[key] = value
    return document


def found(document: Any) -> list[tuple[str, str]]:
    return [(issue.path, issue.kind) for issue in validate(document)]


def test_the_defaults_are_valid() -> None:
    assert found(DEFAULTS) == []


@pytest.mark.parametrize("value", [True, "5", None, [], {}, float("nan"), float("inf"), 10**400, Decimal("NaN")])
@pytest.mark.parametrize("spec", NUMBERS, ids=lambda spec: spec.path)
def test_a_number_field_takes_nothing_but_finite_numbers(spec: FieldSpec, value: Any) -> None:
    cleared = value is None and spec.nullable
    assert found(changed(spec.path, value)) == ([] if cleared else [(spec.path, "type")])


@pytest.mark.parametrize("as_type", [int, float, Decimal])
@pytest.mark.parametrize("spec", NUMBERS, ids=lambda spec: spec.path)
def test_a_limit_itself_is_inside_unless_it_is_exclusive(spec: FieldSpec, as_type: type) -> None:
    for limit, inside in ((spec.minimum, True), (spec.maximum, True), (spec.exclusive_minimum, False)):
        if limit is None or as_type(limit) != limit:
            continue
        own = {kind for path, kind in found(changed(spec.path, as_type(limit))) if path == spec.path and kind != "rule"}
        assert own == (set() if inside else {"exclusive_min"})


@pytest.mark.parametrize("spec", NUMBERS, ids=lambda spec: spec.path)
def test_a_hair_outside_a_limit_is_refused(spec: FieldSpec) -> None:
    hair = Decimal("1e-12")
    for limit, step, kind in ((spec.minimum, -hair, "min"), (spec.maximum, hair, "max")):
        if limit is not None:
            assert (spec.path, kind) in found(changed(spec.path, limit + step))


def test_lengths_count_utf16_units() -> None:
    assert found(changed("signals.allowedSignalTypes", ["\U0001f600" * 25])) == []
    assert found(changed("signals.allowedSignalTypes", ["\U0001f600" * 25 + "a"])) == [
        ("signals.allowedSignalTypes.0", "too_long")
    ]
    assert found(changed("signals.tokenList", ["\U0001f600" * 16])) == []


@pytest.mark.parametrize("text", ["a\0b", "\ud800", 5, None, ["a"]])
def test_a_text_the_database_could_not_keep_is_refused(text: Any) -> None:
    assert found(changed("signals.allowedSignalTypes", [text])) == [("signals.allowedSignalTypes.0", "type")]


def test_a_wrong_shape_silences_the_rules_of_its_object_only() -> None:
    document = changed("signals.tokenFilterMode", "sometimes")
    document["signals"] |= {"marketCapMin": 5, "marketCapMax": 4}
    document["staleTrade"] |= {"minProfitPercent": 5, "maxProfitPercent": 4}
    assert found(document) == [("signals.tokenFilterMode", "choice"), ("staleTrade.maxProfitPercent", "rule")]


def test_a_value_out_of_range_does_not_silence_the_rules_of_its_object() -> None:
    document = changed("takeProfit.mode", "custom")
    document["takeProfit"]["moonBag"]["retainPercent"] = 99
    assert found(document) == [("takeProfit.moonBag.retainPercent", "max"), ("takeProfit.levels", "rule")]


def test_a_wrong_shape_deep_inside_silences_the_rules_of_every_object_around_it() -> None:
    document = changed("takeProfit.mode", "custom")
    document["takeProfit"]["moonBag"]["retainPercent"] = "ten"
    document["takeProfit"]["levels"] = []
    assert found(document) == [("takeProfit.moonBag.retainPercent", "type")]


def test_more_than_ten_levels_are_too_many_and_still_each_checked() -> None:
    levels = [{"targetPercent": 10 * n, "sellPercent": 1} for n in range(1, 12)]
    levels[10]["sellPercent"] = 101
    assert found(changed("takeProfit.levels", levels)) == [
        ("takeProfit.levels", "too_many"),
        ("takeProfit.levels.10.sellPercent", "max"),
    ]


@pytest.mark.parametrize("level", [None, 5, "x", [50, 25]])
def test_a_level_must_be_an_object(level: Any) -> None:
    assert found(changed("takeProfit.levels", [level])) == [("takeProfit.levels.0", "type")]


def test_a_level_must_name_both_its_figures() -> None:
    assert found(changed("dca.levels", [{}])) == [
        ("dca.levels.0.dropPercent", "required"),
        ("dca.levels.0.buyPercent", "required"),
    ]


def test_exact_sums_decide_over_allocation() -> None:
    document = changed("takeProfit.mode", "custom")
    document["takeProfit"]["moonBag"]["enabled"] = False
    thirds = [{"targetPercent": 10 * n, "sellPercent": share} for n, share in ((1, 33.3), (2, 33.3), (3, 33.4))]
    document["takeProfit"]["levels"] = thirds
    assert found(document) == []


def test_issues_read_as_path_and_sentence() -> None:
    assert [str(issue) for issue in validate(changed("signals.minScore", 9))] == ["signals.minScore: must be at most 5"]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(path=st.sampled_from([spec.path for spec in FIELDS] + ["stopLoss", "takeProfit.moonBag"]), junk=JUNK)
def test_junk_in_any_place_is_answered_with_issues_and_never_changes_the_document(path: str, junk: Any) -> None:
    document = changed(path, junk)
    before = deepcopy(document)
    issues = validate(document)
    assert repr(document) == repr(before)
    assert all(issue.path and issue.message for issue in issues)

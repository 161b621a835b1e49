"""How stored documents, patches and defaults are combined."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from apps.agents.domain import trading_config
from apps.agents.domain.trading_config import (
    DEFAULT_CONFIG,
    DEFAULTS,
    InvalidConfig,
    apply_patch,
    merge,
    present,
    revise,
)


def test_objects_merge_and_everything_else_replaces() -> None:
    base = {"a": {"x": 1, "list": [1, 2]}, "b": 1}
    overlay = {"a": {"list": [3], "new": None}, "b": {"c": 2}}
    assert merge(base, overlay) == {"a": {"x": 1, "list": [3], "new": None}, "b": {"c": 2}}


def test_merging_leaves_its_inputs_as_they_are() -> None:
    stored, patch = {"stopLoss": {"mode": None, "continuousTrailing": 1}}, {"signals": {"minScore": 4, "odd": 1}}
    before = deepcopy((stored, patch, DEFAULTS))
    apply_patch(stored, patch)
    assert (stored, patch, DEFAULTS) == before


@pytest.mark.parametrize("bound", ["marketCapMin", "marketCapMax", "liquidityMin", "holderCountMin", "holderCountMax"])
def test_null_in_a_patch_clears_a_bound(bound: str) -> None:
    stored = revise(None, {"signals": {bound: 7}})
    assert present(stored)["signals"][bound] == 7
    assert bound not in present(revise(stored, {"signals": {bound: None}}))["signals"]


def test_a_stored_null_bound_is_not_cleared_by_a_patch_that_does_not_name_it() -> None:
    with pytest.raises(InvalidConfig) as refused:
        revise({"signals": {"marketCapMin": None}}, {"signals": {"minScore": 2}})
    assert refused.value.details == ["signals.marketCapMin: must be a number"]


def test_a_cleared_price_impact_limit_stays_cleared() -> None:
    stored = revise(None, {"purchaseLimits": {"maxPriceImpact": None}})
    assert trading_config.load(stored).purchase_limits.max_price_impact_fraction is None
    assert "maxPriceImpact" not in present(stored)["purchaseLimits"]
    later = revise(stored, {"signals": {"minScore": 2}})
    assert trading_config.load(later).purchase_limits.max_price_impact_fraction is None
    again = revise(later, present(later))
    assert trading_config.load(again).purchase_limits.max_price_impact_fraction is None
    back = revise(again, {"purchaseLimits": {"maxPriceImpact": 0.1}})
    assert present(back)["purchaseLimits"]["maxPriceImpact"] == 0.1


def test_unknown_keys_are_dropped_on_write() -> None:
    stored = revise(
        None, {"weird": {"deep": [1]}, "dca": {"note": 1, "levels": [{"dropPercent": -5, "buyPercent": 9, "x": 1}]}}
    )
    assert stored is not None
    assert "weird" not in stored and "note" not in stored["dca"]
    assert stored["dca"]["levels"] == [{"dropPercent": -5, "buyPercent": 9}]


def test_the_legacy_key_of_the_stop_loss_is_dropped_on_read_and_write() -> None:
    legacy = {"stopLoss": {"continuousTrailing": {"a": 1}, "defaultPercentage": -10}}
    assert present(legacy)["stopLoss"] == {**DEFAULTS["stopLoss"], "defaultPercentage": -10}
    assert revise(legacy, {}) == {**DEFAULTS, "stopLoss": {**DEFAULTS["stopLoss"], "defaultPercentage": -10}}


@pytest.mark.parametrize("mode", [None, ""])
def test_an_empty_stop_loss_mode_is_fixed(mode: str | None) -> None:
    assert trading_config.load({"stopLoss": {"mode": mode}}).stop_loss.mode == "fixed"


def test_a_null_patch_goes_back_to_the_defaults() -> None:
    assert revise({"signals": {"minScore": 4}}, None) is None
    assert trading_config.load(None) is DEFAULT_CONFIG


@pytest.mark.parametrize("patch", [5, "x", [], [{}], True])
def test_a_patch_that_is_no_object_is_refused(patch: Any) -> None:
    with pytest.raises(InvalidConfig) as refused:
        revise(None, patch)
    assert refused.value.details == ["root: must be an object"]


def test_a_patch_may_not_remove_a_section() -> None:
    with pytest.raises(InvalidConfig) as refused:
        revise(None, {"staleTrade": None})
    assert refused.value.code == "INVALID_CONFIG"
    assert refused.value.status == 400
    assert refused.value.details == ["staleTrade: must be an object"]


@pytest.mark.parametrize("stored", [None, {}, 5, "x", [], [1]])
def test_anything_but_an_object_means_all_defaults(stored: Any) -> None:
    assert trading_config.load(stored) is DEFAULT_CONFIG
    assert present(stored) == DEFAULTS


def test_a_very_deep_patch_is_refused_and_not_followed() -> None:
    deep: Any = 1
    for _ in range(20_000):
        deep = [deep]
    assert revise(None, {"unknown": deep}) == DEFAULTS
    with pytest.raises(InvalidConfig):
        revise(None, {"signals": {"minScore": deep}})

"""The table of fields that forms and schemas are made from."""

from __future__ import annotations

import json

from apps.agents.domain.field_spec import Kind
from apps.agents.domain.trading_config import DEFAULTS, FIELDS, SECTIONS, default_document, fields_of


def test_every_field_belongs_to_a_section_and_every_section_has_fields() -> None:
    assert [spec.path for section in SECTIONS for spec in fields_of(section.path)] == [spec.path for spec in FIELDS]
    assert all(fields_of(section.path) for section in SECTIONS)


def test_every_field_has_words_for_people() -> None:
    for spec in FIELDS:
        assert spec.label and spec.help_text.endswith("."), spec.path
        assert spec.kind is not Kind.CHOICE or spec.choices, spec.path
        assert spec.kind is not Kind.LEVEL_LIST or spec.items, spec.path


def test_every_number_names_its_unit() -> None:
    numbers = [spec for spec in FIELDS if spec.kind in (Kind.NUMBER, Kind.INTEGER)]
    numbers += [item for spec in FIELDS for item in spec.items]
    assert all(spec.unit for spec in numbers)


def test_no_path_occurs_twice() -> None:
    paths = [spec.path for spec in FIELDS]
    assert len(paths) == len(set(paths))


def test_the_default_document_is_json_and_a_copy_each_time() -> None:
    assert json.loads(json.dumps(DEFAULTS)) == DEFAULTS
    mine = default_document()
    mine["takeProfit"]["levels"].clear()
    mine["signals"]["tokenList"].append("x")
    assert default_document() == DEFAULTS


def test_only_optional_numbers_can_be_cleared() -> None:
    assert {spec.key for spec in FIELDS if spec.clearable} == {
        "maxPriceImpact",
        "marketCapMin",
        "marketCapMax",
        "liquidityMin",
        "liquidityMax",
        "holderCountMin",
        "holderCountMax",
    }

"""How documents are combined: defaults under what is stored, patches on top, unknown keys dropped.

A stored document holds only known keys. A cleared price-impact limit is stored as null, because an absent one would be
filled from the defaults again; `shown` leaves it out for clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.agents.domain.field_spec import FieldSpec, Kind
from apps.agents.domain.fields import FIELDS
from apps.agents.domain.numbers import as_number, json_number
from apps.agents.domain.schema import TREE, Tree, default_document


def merge(base: Any, overlay: Any) -> Any:
    """Return `overlay` laid over `base`: objects merge key by key, all else replaces. Inputs are left as they are.

    >>> merge({"a": {"b": 1, "c": [1, 2]}}, {"a": {"c": [3]}})
    {'a': {'b': 1, 'c': [3]}}
    """
    if not (isinstance(base, Mapping) and isinstance(overlay, Mapping)):
        return overlay
    merged = {key: merge(value, overlay[key]) if key in overlay else value for key, value in base.items()}
    merged.update({key: value for key, value in overlay.items() if key not in base})
    return merged


def clean(document: Any) -> Any:
    """Return the document without unknown keys, numbers in their JSON form; what is of the wrong shape stays as it is.

    >>> clean({"weird": 1, "dca": {"maxDCACount": 2.0, "note": "x"}})
    {'dca': {'maxDCACount': 2}}
    """
    return _clean_object(document, TREE) if isinstance(document, Mapping) else document


def effective(stored: Any) -> dict[str, Any]:
    """Return the whole document an agent runs under: `stored` over the defaults, normalised and cleaned, not validated.

    Anything but an object means all defaults. An absent, null or empty stop-loss mode is read as fixed.
    """
    document = default_document()
    if isinstance(stored, Mapping) and stored:
        document = clean(_normalised(merge(document, stored)))
    return document


def shown(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document as clients see it: a cleared limit is absent."""
    for spec in FIELDS:
        holder = document.get(spec.section) if spec.nullable else None
        if isinstance(holder, dict) and spec.key in holder and holder[spec.key] is None:
            document = {**document, spec.section: {key: value for key, value in holder.items() if key != spec.key}}
    return document


def apply_patch(stored: Any, patch: Any) -> Any:
    """Return the document to store after a patch; not validated. A null patch goes back to the defaults (None).

    In the patch, null clears an optional number: the six signal bounds and the price-impact limit.

    >>> patched = apply_patch(None, {"signals": {"minScore": 3, "marketCapMin": None}})
    >>> patched["signals"]["minScore"], "marketCapMin" in patched["signals"]
    (3, False)
    """
    if patch is None:
        return None
    if not isinstance(patch, Mapping):
        return patch
    document = clean(_normalised(merge(effective(stored), patch)))
    for spec in FIELDS:
        if spec.clearable and not spec.nullable:
            _drop_null(document, spec.path.split("."), patch)
    return document


def _clean_object(document: Mapping[str, Any], tree: Tree) -> dict[str, Any]:
    cleaned: dict[str, Any] = {}
    for key, node in tree.items():
        if key not in document:
            continue
        value = document[key]
        if isinstance(node, dict):
            cleaned[key] = _clean_object(value, node) if isinstance(value, Mapping) else value
        else:
            cleaned[key] = _clean_value(value, node)
    return cleaned


def _clean_value(value: Any, spec: FieldSpec) -> Any:
    if spec.kind is Kind.TEXT_LIST and isinstance(value, (list, tuple)):
        return list(value)
    if spec.kind is Kind.LEVEL_LIST and isinstance(value, (list, tuple)):
        return [_clean_level(level, spec) for level in value]
    if spec.kind in (Kind.NUMBER, Kind.INTEGER):
        number = as_number(value)
        return value if number is None else json_number(number)
    return value


def _clean_level(level: Any, spec: FieldSpec) -> Any:
    if not isinstance(level, Mapping):
        return level
    return {item.path: _clean_value(level[item.path], item) for item in spec.items if item.path in level}


def _normalised(document: Mapping[str, Any]) -> Mapping[str, Any]:
    stop_loss = document.get("stopLoss")
    if isinstance(stop_loss, Mapping) and stop_loss.get("mode") in (None, ""):
        return {**document, "stopLoss": {**stop_loss, "mode": "fixed"}}
    return document


def _drop_null(document: dict[str, Any], keys: list[str], patch: Mapping[str, Any]) -> None:
    """Remove the value at `keys` when the patch, not the stored document, says null there."""
    *parents, last = keys
    node: Any = document
    given: Any = patch
    for key in parents:
        node, given = node.get(key), given.get(key)
        if not isinstance(node, dict) or not isinstance(given, Mapping):
            return
    if last in given and given[last] is None:
        node.pop(last, None)

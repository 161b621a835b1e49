"""What makes a configuration document valid: every field's limits, then the rules between fields.

Issues are (path, kind, message); clients see "path: message". Merging and defaults happen before, in `merge`.
An object's own rules are judged unless something inside it has the wrong shape (wrong type, missing, not a choice).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.agents.domain.field_spec import FieldSpec, Kind
from apps.agents.domain.model import PresetMode, StopLossMode
from apps.agents.domain.numbers import as_number, is_storable_text, utf16_length
from apps.agents.domain.schema import TREE, Tree

ROOT = "root"
_STRUCTURAL = frozenset({"type", "required", "choice"})


@dataclass(frozen=True, slots=True)
class ConfigIssue:
    """One thing wrong with a document. Kinds: type, required, choice, min, exclusive_min, max, not_integer, too_short,
    too_long, too_many, rule."""

    path: str
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def validate(document: Any) -> list[ConfigIssue]:
    """Return everything wrong with a whole document, in document order; an empty list means valid.

    >>> [str(issue) for issue in validate(7)]
    ['root: must be an object']
    """
    issues: list[ConfigIssue] = []
    if not isinstance(document, Mapping):
        return [ConfigIssue(ROOT, "type", "must be an object")]
    _check_object(document, TREE, "", issues)
    return issues


def _check_object(document: Mapping[str, Any], tree: Tree, path: str, issues: list[ConfigIssue]) -> bool:
    """Check an object and all it holds; return whether its shape is sound."""
    sound = True
    for key, node in tree.items():
        here = f"{path}.{key}" if path else key
        if key not in document:
            if isinstance(node, dict) or not node.optional:
                issues.append(ConfigIssue(here, "required", "is required"))
                sound = False
        elif isinstance(node, dict):
            value = document[key]
            if isinstance(value, Mapping):
                sound = _check_object(value, node, here, issues) and sound
            else:
                issues.append(ConfigIssue(here, "type", "must be an object"))
                sound = False
        else:
            sound = _check_value(document[key], node, here, issues) and sound
    if sound and path in _RULES:
        issues.extend(ConfigIssue(*issue) for issue in _rule_issues(path, document))
    return sound


def _check_value(value: Any, spec: FieldSpec, path: str, issues: list[ConfigIssue]) -> bool:
    before = len(issues)
    if value is None and spec.nullable:
        return True
    _CHECKS[spec.kind](value, spec, path, issues)
    return not any(issue.kind in _STRUCTURAL for issue in issues[before:])


def _check_number(value: Any, spec: FieldSpec, path: str, issues: list[ConfigIssue]) -> None:
    number = as_number(value)
    if number is None:
        issues.append(ConfigIssue(path, "type", "must be a number"))
        return
    if spec.kind is Kind.INTEGER and number != number.to_integral_value():
        issues.append(ConfigIssue(path, "not_integer", "must be a whole number"))
    if spec.minimum is not None and number < spec.minimum:
        issues.append(ConfigIssue(path, "min", f"must be at least {spec.minimum}"))
    if spec.exclusive_minimum is not None and number <= spec.exclusive_minimum:
        issues.append(ConfigIssue(path, "exclusive_min", f"must be greater than {spec.exclusive_minimum}"))
    if spec.maximum is not None and number > spec.maximum:
        issues.append(ConfigIssue(path, "max", f"must be at most {spec.maximum}"))


def _check_boolean(value: Any, spec: FieldSpec, path: str, issues: list[ConfigIssue]) -> None:
    if not isinstance(value, bool):
        issues.append(ConfigIssue(path, "type", "must be true or false"))


def _check_choice(value: Any, spec: FieldSpec, path: str, issues: list[ConfigIssue]) -> None:
    allowed = [choice.value for choice in spec.choices]
    if not isinstance(value, str):
        issues.append(ConfigIssue(path, "type", "must be a text"))
    elif value not in allowed:
        issues.append(ConfigIssue(path, "choice", f"must be one of {', '.join(allowed)}"))


def _check_texts(value: Any, spec: FieldSpec, path: str, issues: list[ConfigIssue]) -> None:
    if not isinstance(value, (list, tuple)):
        issues.append(ConfigIssue(path, "type", "must be a list"))
        return
    for index, text in enumerate(value):
        here = f"{path}.{index}"
        if not is_storable_text(text):
            issues.append(ConfigIssue(here, "type", "must be a text without control or broken characters"))
            continue
        length = utf16_length(text)
        if spec.min_length is not None and length < spec.min_length:
            issues.append(ConfigIssue(here, "too_short", f"must have at least {spec.min_length} characters"))
        if spec.max_length is not None and length > spec.max_length:
            issues.append(ConfigIssue(here, "too_long", f"must have at most {spec.max_length} characters"))


def _check_levels(value: Any, spec: FieldSpec, path: str, issues: list[ConfigIssue]) -> None:
    if not isinstance(value, (list, tuple)):
        issues.append(ConfigIssue(path, "type", "must be a list"))
        return
    if spec.max_items is not None and len(value) > spec.max_items:
        issues.append(ConfigIssue(path, "too_many", f"must have at most {spec.max_items} levels"))
    for index, level in enumerate(value):
        here = f"{path}.{index}"
        if not isinstance(level, Mapping):
            issues.append(ConfigIssue(here, "type", "must be an object"))
            continue
        for item in spec.items:
            if item.path not in level:
                issues.append(ConfigIssue(f"{here}.{item.path}", "required", "is required"))
            else:
                _check_number(level[item.path], item, f"{here}.{item.path}", issues)


_CHECKS: dict[Kind, Callable[[Any, FieldSpec, str, list[ConfigIssue]], None]] = {
    Kind.NUMBER: _check_number,
    Kind.INTEGER: _check_number,
    Kind.BOOLEAN: _check_boolean,
    Kind.CHOICE: _check_choice,
    Kind.TEXT_LIST: _check_texts,
    Kind.LEVEL_LIST: _check_levels,
}


# Rules between fields. Each gets its object, already of sound shape, and names what it breaks.

_Finding = tuple[str, str]


def _rule_issues(path: str, document: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(f"{path}.{where}" if where else path, "rule", text) for where, text in _RULES[path](document)]


def _number(document: Mapping[str, Any], key: str) -> Decimal:
    return as_number(document[key]) or Decimal(0)


def _column(levels: Sequence[Mapping[str, Any]], key: str) -> list[Decimal]:
    return [_number(level, key) for level in levels]


def _signal_rules(document: Mapping[str, Any]) -> list[_Finding]:
    findings = []
    for name in ("marketCap", "liquidity", "holderCount"):
        low, high = f"{name}Min", f"{name}Max"
        if low in document and high in document and _number(document, low) > _number(document, high):
            findings.append((high, f"must not be below {low}"))
    return findings


def _stop_loss_rules(document: Mapping[str, Any]) -> list[_Finding]:
    if document.get("mode", StopLossMode.FIXED) != StopLossMode.CUSTOM:
        return []
    changes = _column(document["trailingLevels"], "change")
    findings = []
    if document["enabled"] and not changes:
        findings.append(("trailingLevels", "needs at least one level in custom mode"))
    for index in range(1, len(changes)):
        if changes[index] >= changes[index - 1]:
            findings.append((f"trailingLevels.{index}", "must have a smaller change than the level before"))
    return findings


def _threshold_rules(document: Mapping[str, Any]) -> list[_Finding]:
    minimum, medium, large = (_number(document, key) for key in ("minimum", "medium", "large"))
    findings = []
    if minimum >= medium:
        findings.append(("", "minimum must be below medium"))
    if medium >= large:
        findings.append(("", "medium must be below large"))
    return findings


def _size_rules(document: Mapping[str, Any]) -> list[_Finding]:
    return [("", "min must not be above max")] if _number(document, "min") > _number(document, "max") else []


def _stale_rules(document: Mapping[str, Any]) -> list[_Finding]:
    if _number(document, "minProfitPercent") > _number(document, "maxProfitPercent"):
        return [("maxProfitPercent", "must not be below minProfitPercent")]
    return []


def _dca_rules(document: Mapping[str, Any]) -> list[_Finding]:
    if document.get("mode", PresetMode.MODERATE) != PresetMode.CUSTOM:
        return []
    drops = _column(document["levels"], "dropPercent")
    findings = []
    if document["enabled"] and not drops:
        findings.append(("levels", "needs at least one level in custom mode"))
    for index in range(1, len(drops)):
        if drops[index] > drops[index - 1]:
            findings.append((f"levels.{index}", "must not have a smaller drop than the level before"))
    return findings


def _take_profit_rules(document: Mapping[str, Any]) -> list[_Finding]:
    if document.get("mode", PresetMode.MODERATE) != PresetMode.CUSTOM:
        return []
    targets = _column(document["levels"], "targetPercent")
    if not targets:
        return [("levels", "needs at least one level in custom mode")]
    bag = document["moonBag"]
    findings = []
    allocated = sum(_column(document["levels"], "sellPercent"), Decimal(0))
    if bag["enabled"]:
        allocated += _number(bag, "retainPercent")
    if allocated > 100:
        findings.append(("levels", "sells and moon bag must not add up to more than 100 %"))
    for index in range(1, len(targets)):
        if targets[index] <= targets[index - 1]:
            findings.append((f"levels.{index}", "must have a higher target than the level before"))
    if bag["enabled"] and _number(bag, "triggerPercent") > targets[-1]:
        findings.append(("moonBag.triggerPercent", "must not be above the last level's target"))
    return findings


_RULES: dict[str, Callable[[Mapping[str, Any]], list[_Finding]]] = {
    "signals": _signal_rules,
    "stopLoss": _stop_loss_rules,
    "positionCalculator.solBalanceThresholds": _threshold_rules,
    "positionCalculator.positionSizes.small": _size_rules,
    "positionCalculator.positionSizes.medium": _size_rules,
    "positionCalculator.positionSizes.large": _size_rules,
    "staleTrade": _stale_rules,
    "dca": _dca_rules,
    "takeProfit": _take_profit_rules,
}

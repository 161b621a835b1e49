"""The door to the trading configuration: load it for the engine, show it to clients, revise it from a patch.

A stored document is null (all defaults) or a cleaned, validated object. `load` is memoised by content, so that a
thousand agents with the same or unchanged documents cost microseconds each.
"""

from __future__ import annotations

import marshal
from functools import lru_cache
from typing import Any

from apps.agents.domain import reading
from apps.agents.domain.field_spec import FieldSpec, Kind, Section
from apps.agents.domain.fields import FIELDS, SECTIONS
from apps.agents.domain.merge import apply_patch, clean, effective, merge, shown
from apps.agents.domain.model import TradingConfig
from apps.agents.domain.schema import default_document, fields_of
from apps.agents.domain.validation import ConfigIssue, validate
from apps.agents.domain.writing import to_document
from apps.core.errors import Invalid

_REMEMBERED_DOCUMENTS = 8192


class InvalidConfig(Invalid):
    """A configuration document that breaks its rules; `issues` says where, `details` says it in sentences."""

    def __init__(self, issues: list[ConfigIssue]) -> None:
        super().__init__(
            "INVALID_CONFIG", "The trading configuration is not valid.", details=[str(issue) for issue in issues]
        )
        self.issues = issues

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.issues,)


def load(stored: Any) -> TradingConfig:
    """Return the configuration an agent runs under. `stored` is the agent's JSON document or None.

    Raises:
        InvalidConfig: the document, laid over the defaults, breaks a rule.
    """
    if not stored or not isinstance(stored, dict):
        return DEFAULT_CONFIG
    try:
        key = marshal.dumps(stored, 2)
    except ValueError:
        return _parsed(stored)
    return _remembered(key)


def present(stored: Any) -> dict[str, Any]:
    """Return the whole configuration as clients see it, JSON-ready.

    Raises:
        InvalidConfig: see `load`.
    """
    return shown(_valid(effective(stored)))


def revise(stored: Any, patch: Any) -> dict[str, Any] | None:
    """Return the document to store after `patch` (an object, or None for "all defaults").

    Raises:
        InvalidConfig: the patch is not an object, or the result breaks a rule; nothing is to be stored then.
    """
    document = apply_patch(stored, patch)
    return None if document is None else _valid(document)


def _valid(document: Any) -> dict[str, Any]:
    issues = validate(document)
    if issues:
        raise InvalidConfig(issues)
    valid: dict[str, Any] = document
    return valid


@lru_cache(maxsize=_REMEMBERED_DOCUMENTS)
def _remembered(key: bytes) -> TradingConfig:
    return _parsed(marshal.loads(key))  # noqa: S302 - written by `load` in this process, never read from outside


def _parsed(stored: Any) -> TradingConfig:
    return reading.trading_config(_valid(effective(stored)))


#: The document every agent starts from. Not to be changed in place; `default_document()` gives a copy.
DEFAULTS: dict[str, Any] = default_document()

#: The configuration of an agent that stored nothing; shared.
DEFAULT_CONFIG: TradingConfig = reading.trading_config(DEFAULTS)

__all__ = [
    "DEFAULTS",
    "DEFAULT_CONFIG",
    "FIELDS",
    "SECTIONS",
    "ConfigIssue",
    "FieldSpec",
    "InvalidConfig",
    "Kind",
    "Section",
    "TradingConfig",
    "apply_patch",
    "clean",
    "default_document",
    "effective",
    "fields_of",
    "load",
    "merge",
    "present",
    "revise",
    "shown",
    "to_document",
    "validate",
]

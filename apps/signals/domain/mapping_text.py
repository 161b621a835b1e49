"""The tables of a mapping as an operator writes them, a rule a line, and as JSON keeps them.

BONKUSDT = DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB8JKoBn7RNxx     tickers
strong buy = 5                                               words of strength
strategy.order.action = sell                                 ignored messages: =, !=, contains
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as AnyMapping
from typing import Any

from apps.core import base58
from apps.signals.domain.mapping import FIELDS, STRONGEST, WEAKEST, Comparison, Ignore, Mapping, Place

LONGEST_PATH = 200
MOST_LINES = 1000
_IGNORE = re.compile(r"(?P<path>[^\s=!]+)\s*(?P<test>!=|=|\scontains\s)\s*(?P<value>.*\S)", re.IGNORECASE)


class LineFault(ValueError):
    """A line of a table cannot be read; the message names it."""


def read_tickers(text: str) -> dict[str, str]:
    """Return ticker → mint.

    Raises:
        LineFault: no `=`, the same ticker twice, or what follows is no mint.
    """
    table: dict[str, str] = {}
    for number, (ticker, mint) in _pairs(text):
        if not base58.is_address(mint):
            raise LineFault(f"Line {number}: {mint!r} is not a mint (base58 of 32 bytes).")
        _put(table, number, ticker.upper(), mint)
    return table


def read_strengths(text: str) -> dict[str, int]:
    """Return word → strength.

    >>> read_strengths("buy = 3\\nStrong Buy = 5")
    {'buy': 3, 'strong buy': 5}

    Raises:
        LineFault: no `=`, the same word twice, or no strength from 1 to 5.
    """
    table: dict[str, int] = {}
    for number, (word, strength) in _pairs(text):
        if strength not in {str(known) for known in range(WEAKEST, STRONGEST + 1)}:
            raise LineFault(f"Line {number}: a strength is a whole number from {WEAKEST} to {STRONGEST}.")
        _put(table, number, word.lower(), int(strength))
    return table


def read_ignores(text: str) -> tuple[Ignore, ...]:
    """Return the rules of ignored messages.

    >>> [str(rule) for rule in read_ignores("action=sell\\n text  contains exit")]
    ['action = sell', 'text contains exit']

    Raises:
        LineFault: a line is no `path = value`, `path != value` or `path contains value`.
    """
    rules = []
    for number, line in _lines(text):
        match = _IGNORE.fullmatch(line)
        if match is None:
            raise LineFault(f"Line {number}: write `path = value`, `path != value` or `path contains value`.")
        rules.append(Ignore(match["path"], Comparison(match["test"].strip().lower()), match["value"].strip()))
    return tuple(rules)


def write_table(table: AnyMapping[str, Any]) -> str:
    return "\n".join(f"{key} = {value}" for key, value in sorted(table.items()))


def write_ignores(rules: Iterable[Ignore]) -> str:
    return "\n".join(map(str, rules))


def as_json(mapping: Mapping) -> dict[str, Any]:
    """Return the mapping as it is stored."""
    return {
        "places": {
            name: {"path": place.path, "otherwise": place.otherwise}
            for name, place in mapping.places.items()
            if place != Place()
        },
        "tickers": dict(mapping.tickers),
        "strengths": dict(mapping.strengths),
        "ignore": [{"path": rule.path, "test": rule.test.value, "value": rule.value} for rule in mapping.ignore],
    }


def from_json(stored: AnyMapping[str, Any]) -> Mapping:
    """Return a stored mapping."""
    places = stored.get("places", {})
    return Mapping(
        places={name: Place(**places[name]) for name in FIELDS if name in places},
        tickers=stored.get("tickers", {}),
        strengths=stored.get("strengths", {}),
        ignore=tuple(
            Ignore(rule["path"], Comparison(rule["test"]), rule["value"]) for rule in stored.get("ignore", [])
        ),
    )


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if number > MOST_LINES:
            raise LineFault(f"More than {MOST_LINES} lines.")
        if line.strip():
            yield number, line.strip()


def _pairs(text: str) -> Iterator[tuple[int, tuple[str, str]]]:
    for number, line in _lines(text):
        key, equals, value = (part.strip() for part in line.partition("="))
        if not (equals and key and value):
            raise LineFault(f"Line {number}: write `name = value`.")
        yield number, (key, value)


def _put(table: dict[str, Any], number: int, key: str, value: Any) -> None:
    if key in table:
        raise LineFault(f"Line {number}: {key!r} is there twice.")
    table[key] = value

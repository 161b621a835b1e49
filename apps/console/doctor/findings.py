"""One line of the doctor's answer, and how lines of one thing are made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it is: fine, worth a look, or in the way of trading."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do about it (empty when nothing)."""

    area: str
    level: Level
    sentence: str
    remedy: str = ""


def ok(area: str, sentence: str) -> Finding:
    return Finding(area, Level.OK, sentence)


def warn(area: str, sentence: str, remedy: str) -> Finding:
    return Finding(area, Level.WARN, sentence, remedy)


def fail(area: str, sentence: str, remedy: str) -> Finding:
    return Finding(area, Level.FAIL, sentence, remedy)


def needed(area: str, sentence: str, remedy: str, *, now: bool) -> Finding:
    """Return a failure if it is in the way `now`, else what is worth a look."""
    return fail(area, sentence, remedy) if now else warn(area, sentence, remedy)

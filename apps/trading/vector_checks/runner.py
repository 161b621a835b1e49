"""Runs vector files and counts: passed, failed, deviations (differences only a tagged case may have)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from apps.trading.vector_checks.compare import Difference, differences
from apps.trading.vector_checks.deviations import FLOAT_SENSITIVE, covers
from apps.trading.vector_checks.topics import TOPICS, Topic

PASSED, FAILED, DEVIATION = "passed", "failed", "deviation"


class VectorFileError(Exception):
    """A file or folder that cannot be checked; the message says which and why."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case's status. `codes` are the tags that allow a deviation; `differences` say what differs.

    `restated` are the codes by which its expectation was restated before it was compared.
    """

    name: str
    status: str
    codes: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    restated: frozenset[str] = frozenset()


@dataclass(slots=True)
class TopicReport:
    """All results of a topic, over one or more files."""

    topic: str
    results: list[CaseResult] = field(default_factory=list)

    def count(self, status: str) -> int:
        return sum(1 for result in self.results if result.status == status)

    def of(self, status: str) -> list[CaseResult]:
        return [result for result in self.results if result.status == status]

    @property
    def deviation_codes(self) -> Counter[str]:
        """How many deviations carry each tag."""
        return Counter(code for result in self.of(DEVIATION) for code in result.codes)

    @property
    def restated_codes(self) -> Counter[str]:
        """How many cases passed as a code restates them."""
        return Counter(code for result in self.of(PASSED) for code in result.restated)


def topic_of(path: Path) -> Topic:
    """Return the topic a file is about: the part of its name before the first dot.

    Raises:
        VectorFileError: there is no such topic.
    """
    name = path.name.split(".", 1)[0]
    if name not in TOPICS:
        raise VectorFileError(f"{path}: unknown topic '{name}' (known: {', '.join(sorted(TOPICS))})")
    return TOPICS[name]


def vector_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files to check: each path itself, or all `*.json` of a folder, by name.

    Raises:
        VectorFileError: a path does not exist, or a folder holds no such file.
    """
    files = []
    for path in paths:
        if path.is_dir():
            found = sorted(path.glob("*.json"))
            if not found:
                raise VectorFileError(f"{path}: no vector files here")
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise VectorFileError(f"{path}: no such file or folder")
    return files


def cases(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the cases of a file, numbers exact.

    Raises:
        VectorFileError: it is not a JSON list of cases.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, ValueError) as error:
        raise VectorFileError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(found, list) or not all(_is_case(case) for case in found):
        raise VectorFileError(f"{path}: not a list of cases")
    yield from found


def check_case(topic: Topic, case: dict[str, Any]) -> CaseResult:
    """Run one case through the domain and judge the outcome."""
    name = str(case.get("name", ""))
    wanted: dict[str, Any] = case.get("corrected") or case["expected"]
    codes = _codes(case)
    try:
        actual = topic.run(case["input"])
        judged = topic.expectation(case["input"], wanted, actual)
        found = differences(judged.expected, actual, judged.units)
    except Exception as error:  # noqa: BLE001 - a case that breaks the code is a failed case, and the run goes on
        return CaseResult(name, FAILED, codes, (Difference("", wanted, f"{type(error).__name__}: {error}"),))
    if not found:
        return CaseResult(name, PASSED, codes, restated=judged.codes)
    binding = "corrected" in case and FLOAT_SENSITIVE not in codes
    may_deviate = not binding and all(covers(codes, difference.path) for difference in found)
    return CaseResult(name, DEVIATION if may_deviate else FAILED, codes, tuple(found))


def check_files(files: Iterable[Path]) -> tuple[list[TopicReport], list[VectorFileError]]:
    """Check files; return a report per topic, in the order topics first appear, and why any file was left out."""
    reports: dict[str, TopicReport] = {}
    unchecked = []
    for path in files:
        try:
            topic, found = topic_of(path), list(cases(path))
        except VectorFileError as error:
            unchecked.append(error)
            continue
        report = reports.setdefault(topic.name, TopicReport(topic.name))
        report.results += [check_case(topic, case) for case in found]
    return list(reports.values()), unchecked


def _is_case(found: Any) -> bool:
    return isinstance(found, dict) and "input" in found and isinstance(found.get("expected"), dict)


def _codes(case: dict[str, Any]) -> tuple[str, ...]:
    quirk = case.get("quirk")
    found = [quirk] if isinstance(quirk, str) else list(quirk or ())
    return (*found, FLOAT_SENSITIVE) if case.get("floatSensitive") else tuple(found)

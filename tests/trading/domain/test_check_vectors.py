"""The command that runs golden vector files, and what it counts as a failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.trading.vector_checks import runner
from apps.trading.vector_checks.compare import Units, differences

ROOT = Path(__file__).parents[3]
SALE = {"fn": "fullSale", "totalInvestedSol": 1, "totalSolReceived": 1.5, "originalCostBasisSol": 1, "solPriceUsd": 100}
RESULT = {"profitLossSol": 0.5, "changePercent": 50, "profitLossUsd": 50}


def check(tmp_path: Path, topic: str, *cases: dict[str, Any]) -> list[str]:
    path = tmp_path / f"{topic}.mine.json"
    path.write_text(json.dumps([{"name": "n", **case} for case in cases]))
    [report], unchecked = runner.check_files([path])
    assert not unchecked
    return [result.status for result in report.results]


def test_a_wrong_outcome_fails(tmp_path: Path) -> None:
    wrong = {**RESULT, "changePercent": 51}
    assert check(tmp_path, "pnl", {"input": SALE, "expected": RESULT}, {"input": SALE, "expected": wrong}) == [
        "passed",
        "failed",
    ]


def test_a_missing_or_an_extra_key_fails(tmp_path: Path) -> None:
    lacking = {key: value for key, value in RESULT.items() if key != "profitLossUsd"}
    extra = {**RESULT, "other": 1}
    assert check(tmp_path, "pnl", {"input": SALE, "expected": lacking}, {"input": SALE, "expected": extra}) == [
        "failed",
        "failed",
    ]


@pytest.mark.parametrize("tag", [{"quirk": "W99"}, {"floatSensitive": True}])
def test_only_a_tagged_case_may_deviate(tmp_path: Path, tag: dict[str, Any]) -> None:
    wrong = {**RESULT, "changePercent": 51}
    assert check(tmp_path, "pnl", {"input": SALE, "expected": wrong, **tag}) == ["deviation"]


def test_a_corrected_expectation_binds(tmp_path: Path) -> None:
    wrong = {**RESULT, "changePercent": 51}
    right = {"input": SALE, "expected": wrong, "quirk": "W9", "corrected": RESULT}
    broken = {"input": SALE, "expected": RESULT, "quirk": "W9", "corrected": wrong}
    assert check(tmp_path, "pnl", right, broken) == ["passed", "failed"]


def test_a_tag_excuses_only_what_it_is_about(tmp_path: Path) -> None:
    cost_basis = {**SALE, "fn": "fullSale"}
    assert check(tmp_path, "pnl", {"input": cost_basis, "expected": {**RESULT, "profitLossSol": 9}, "quirk": "W9"}) == [
        "deviation"
    ]
    assert check(
        tmp_path, "pnl", {"input": cost_basis, "expected": {**RESULT, "moreThanProfit": 9}, "quirk": "W9"}
    ) == ["failed"]


def test_a_case_that_breaks_the_code_fails_and_the_rest_goes_on(tmp_path: Path) -> None:
    assert check(tmp_path, "pnl", {"input": {"fn": "none"}, "expected": {}}, {"input": SALE, "expected": RESULT}) == [
        "failed",
        "passed",
    ]


def test_an_unknown_topic_and_an_unreadable_file_are_named(tmp_path: Path) -> None:
    for name, content in (
        ("nonsense.x.json", "[]"),
        ("pnl.x.json", "{"),
        ("pnl.y.json", '{"a": 1}'),
        ("pnl.z.json", "[1]"),
    ):
        (tmp_path / name).write_text(content)
        reports, [problem] = runner.check_files([tmp_path / name])
        assert not reports
        assert name in str(problem)
    with pytest.raises(runner.VectorFileError, match="absent"):
        runner.vector_files([tmp_path / "absent"])


@pytest.mark.parametrize(
    ("expected", "actual", "key", "agree"),
    [
        (1, Decimal("1.0000000009"), "x", True),
        (1, Decimal("1.0000000011"), "x", False),
        (0, Decimal("9e-13"), "x", True),
        (0, Decimal("2e-12"), "x", False),
        (Decimal("1e-11"), Decimal("1.1e-11"), "price", False),
        (Decimal("0.1"), Decimal("0.100000001"), "sol", True),
        (Decimal("0.1"), Decimal("0.100000002"), "sol", False),
        (1, True, "x", False),
        (None, 0, "x", False),
        ("5", 5, "x", False),
        ("NaN", Decimal("NaN"), "x", True),
        ("Infinity", Decimal("-Infinity"), "x", False),
        ([1, 2], [1], "x", False),
        ("a", "a", "x", True),
    ],
)
def test_values_agree_as_the_format_says(expected: Any, actual: Any, key: str, agree: bool) -> None:
    units = Units(sol=frozenset({"sol"}), price=frozenset({"price"}))
    assert (not differences({key: expected}, {key: actual}, units)) == agree


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    hidden = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [sys.executable, "manage.py", "check_vectors", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_runs_without_any_database_and_explains_deviations(tmp_path: Path) -> None:
    done = run_command(str(ROOT / "tests" / "vectors" / "trade_validation.shared.json"))
    assert done.returncode == 0, done.stderr
    assert "trade_validation: 146 passed, 0 failed, 1 deviations (W29 1)" in done.stdout
    assert "W29: 1. A balance is SOL" in done.stdout

    failing = tmp_path / "pnl.other.json"
    failing.write_text(json.dumps([{"name": "wrong", "input": SALE, "expected": {**RESULT, "changePercent": 51}}]))
    done = run_command(str(failing))
    assert done.returncode == 1
    assert "pnl: 0 passed, 1 failed, 0 deviations" in done.stdout
    assert "changePercent: expected 51, got 50.0" in done.stdout

    (tmp_path / "odd.json").write_text("[]")
    done = run_command(str(tmp_path / "odd.json"))
    assert done.returncode != 0
    assert "unknown topic 'odd'" in done.stderr


def test_the_command_says_what_passed_only_as_the_decisions_restate_it() -> None:
    done = run_command(str(ROOT / "tests" / "vectors" / "scenarios.shared.json"), "--show", "0")
    assert done.returncode == 0, done.stderr
    assert "scenarios: 57 passed, 0 failed, 15 deviations (W1 12, W28 3)" in done.stdout
    assert "  passed as the decisions restate them: W1 3, W3 13, W9 1\n" in done.stdout
    assert "  W3: 13. Amounts are whole base units and lamports" in done.stdout

"""Every golden case of every topic, through the domain's own functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apps.trading.vector_checks import runner
from apps.trading.vector_checks.deviations import EXPLANATIONS
from apps.trading.vector_checks.topics import TOPICS

VECTORS = Path(__file__).parents[2] / "vectors"
CASES = [
    pytest.param(path, case, id=f"{runner.topic_of(path).name}: {case['name']}")
    for path in runner.vector_files([VECTORS])
    for case in runner.cases(path)
]


@pytest.mark.parametrize(("path", "case"), CASES)
def test_golden_case(path: Path, case: dict[str, Any]) -> None:
    result = runner.check_case(runner.topic_of(path), case)
    assert result.status != runner.FAILED, [str(difference) for difference in result.differences]
    if result.status == runner.DEVIATION:
        assert set(result.codes) <= set(EXPLANATIONS)


def test_every_topic_has_its_golden_file() -> None:
    assert {runner.topic_of(path).name for path in runner.vector_files([VECTORS])} == set(TOPICS)

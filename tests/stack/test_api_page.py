"""The commands of docs/api.md, as a person would paste them, against a desk of processes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.desk import ROOT, Desk

PAGE = (ROOT / "docs" / "api.md").read_text()
_BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)
_WAIT = """
for _ in $(seq 60); do [ "$({count})" -gt 0 ] && break; sleep 0.5; done
"""
#: What is there a moment later (the trade of a signal, a token's first price): a person looks again, the script too.
_WAITED_FOR = {
    "$API/agent-positions/$AGENT -H": 'curl -s $API/agent-positions/$AGENT -H "$ME" | jq length',
    "/candles?": 'curl -s "$API/prices/$MINT/candles?interval=1m" -H "$ME" | jq ".candles | length"',
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tmp_path_factory.mktemp("page") / "home", SOLDESK_DEMO="1") as desk:
        yield desk


def script(desk: Desk) -> str:
    """Return the page's commands in order, each answer behind a line that tells it from the next."""
    first_things = PAGE[PAGE.index("## Ten first things") : PAGE.index("## Rules of every route")]
    blocks = _BLOCK.findall(first_things)
    assert len(blocks) >= 11
    lines = ["set -e"]
    for number, block in enumerate(blocks):
        lines += [_WAIT.replace("{count}", count) for part, count in _WAITED_FOR.items() if part in block]
        lines.append(f"printf '\\n@@{number}\\n'\n{block}")
    return (
        "\n".join(lines)
        .replace("localhost:8000", f"127.0.0.1:{desk.port}")
        .replace("localhost:8090", f"127.0.0.1:{desk.environment['SANDBOX_PORT']}")
    )


def test_the_ten_first_things_work_as_they_are_written(desk: Desk) -> None:
    done = subprocess.run(["bash", "-c", script(desk)], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    answers = done.stdout.split("\n@@")[1:]
    said = {block.splitlines()[0]: block.splitlines()[1:] for block in answers}
    assert not [text for text in done.stdout.splitlines() if '"error"' in text], done.stdout
    text = done.stdout
    assert '"status":"healthy"' in text or '"status":"degraded"' in text
    assert '"transactionType":"DEPOSIT"' in text
    assert '"defaultPercentage":-20' in text
    assert '"signalType":"Scanner"' in text
    assert '"purchase":{' in text, "the position of the signal is listed"
    assert '"historicalSwapId"' in text or '"CLOSE_PENDING"' in text
    assert '"portfolioBalanceSol"' in text
    candles = [json.loads(line) for lines in said.values() for line in lines if line.startswith('["20')]
    assert candles
    assert all(len(candle) == 3 for candle in candles)

"""What docs/webhooks.md says of outbound webhooks is so: its Python verifies, its examples have the shapes sent."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from apps.notify.domain import pauses, signing

TEXT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text().partition("## Events sent to you")[2]
SECRET = signing.secret_text(bytes(range(32)))
BODY = b'{"id":"msg_1","type":"ping"}'


def block(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def verify():
    (source,) = block("python")
    names: dict = {}
    exec(compile(source, "docs/webhooks.md", "exec"), names)
    return names["verify"]


def signed(*secrets: str, at: float | None = None) -> dict[str, str]:
    timestamp = int(time.time() if at is None else at)
    return signing.headers(secrets, event_id="msg_1", timestamp=timestamp, body=BODY)


def test_the_documented_python_takes_what_the_desk_signs(verify):
    assert verify(SECRET, signed(SECRET), BODY)
    assert verify(SECRET, signed(signing.secret_text(bytes(32)), SECRET), BODY)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (signed(signing.secret_text(bytes(32))), BODY),
        (signed(SECRET), BODY + b" "),
        (signed(SECRET, at=time.time() - 1000), BODY),
        ({**signed(SECRET), "webhook-id": "msg_2"}, BODY),
    ],
)
def test_the_documented_python_refuses_everything_else(verify, headers, body):
    assert not verify(SECRET, headers, body)


def test_the_documented_examples_are_events_of_the_desk():
    examples = [json.loads(text) for text in block("json")]
    assert [example["type"] for example in examples] == ["position.closed", "signal.executed", "alert"]
    for example in examples:
        assert list(example) == ["id", "type", "version", "timestamp", "data"]


def test_the_documented_pauses_are_those_of_the_rules():
    units = {"s": 1, "min": 60, "h": 3600}
    sentence = TEXT.partition("tried again after ")[2].partition(", each up to")[0].replace(" and ", ", ")
    written = [int(number) * units[unit] for number, unit in re.findall(r"(\d+) (s|min|h)\b", sentence)]
    assert written == [pause.total_seconds() for pause in pauses.PAUSES]

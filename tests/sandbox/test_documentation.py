"""What docs/sandbox.md tells people to type works as it stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import loads

import pytest

from apps.sandbox.chain.faults import NodeFaultKind
from apps.sandbox.domain.ready_made import READY_MADE
from apps.sandbox.domain.scenarios import ScenarioName
from apps.sandbox.faults import FaultKind
from tests.sandbox_server import ROOT, SandboxControl, running_sandbox

TEXT = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
#: Every curl line's path and, where it posts, body.
COMMANDS = re.findall(r"""^curl -s (?:-X (\w+) )?"?\$S(/[\w/?=]*)"?(?: -d '([^']*)')?""", TEXT, re.MULTILINE)


@pytest.fixture(scope="module")
def own() -> Iterator[SandboxControl]:
    with running_sandbox("--no-autonomous") as control:
        control.add_tokens(1, prefix="ANY")
        yield control


def test_every_command_works_in_the_order_it_stands_in(own: SandboxControl) -> None:
    assert len(COMMANDS) == TEXT.count("curl -s ")
    held = own.state()["tokens"][0]["mint"]
    for method, path, body in COMMANDS:
        own.get("/jupiter/price/v3", ids=held)
        wanted = loads(body.replace("…", held)) if body else None
        answer = own.client.request(method or ("POST" if body else "GET"), f"/control{path}", json=wanted)
        assert answer.is_success, (path, body, answer.text)


def test_every_name_that_can_be_given_is_documented() -> None:
    for name in [*READY_MADE, *ScenarioName, *FaultKind, *NodeFaultKind]:
        assert f"`{name}`" in TEXT, name

"""With LOG_FORMAT=json every line of every process is one object, and a request's id follows it into the worker's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from apps.accounts.services import api_keys
from tests import factories
from tests.console.web_process import ROOT, WebProcess, database_url
from tests.desk import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

BIN = Path(sys.executable).parent
WORKER = [
    str(BIN / "celery"), "-q", "-A", "config", "worker", "-Q", "trading,default", "-n", "trading@%h", "-P", "threads",
    "-c", "2", "-E", "--without-gossip", "--without-mingle",
]  # fmt: skip
COMMANDS = {
    "worker": WORKER,
    "beat": [str(BIN / "celery"), "-q", "-A", "config", "beat"],
    "streams": [sys.executable, "manage.py", "stream_prices"],
}


class Running:
    """The processes of a desk, each with its log."""

    def __init__(self, folder: Path, web: WebProcess) -> None:
        self.web = web
        self.logs = {"web": web.log, **{name: folder / f"{name}.log" for name in COMMANDS}}
        self.processes = {
            name: subprocess.Popen(
                command, cwd=ROOT, env=web.environment, stdout=subprocess.DEVNULL, stderr=self.logs[name].open("ab")
            )
            for name, command in COMMANDS.items()
        }

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Return what a process has logged; fails at a line that is no JSON object."""
        found = [json.loads(line) for line in self.logs[name].read_text().splitlines()]
        assert all(isinstance(line, dict) and line["event"] and line["at"] and line["level"] for line in found), name
        return found

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.wait(60)


@pytest.fixture
def running(market, tmp_path: Path) -> Iterator[Running]:
    web = WebProcess(
        settings.REDIS_URL,
        tmp_path / "web.log",
        LOG_FORMAT="json",
        LOG_LEVEL="INFO",
        JUPITER_URL=market.jupiter_url,
        PYTH_URL=market.pyth_url,
    )
    running = Running(tmp_path, web)
    try:
        web.start()
        yield running
    finally:
        running.stop()
        web.kill()


def test_every_line_is_an_object_and_a_request_is_named_from_its_arrival_to_the_end_of_its_task(running, market):
    user = factories.make_user()
    factories.make_agent(user)
    key = api_keys.create(user=user, name="source", scopes=["signals"], actor=user)[1]
    wait_until(lambda: any(line["event"].endswith("ready.") for line in running.lines("worker")), 60)
    signal_body = {"tokenAddress": market.add_token().mint, "signalType": "Momentum", "signalStrength": 5}
    headers = {"X-API-Key": key, "X-Request-Id": "from-the-source-1", "Content-Type": "application/json"}

    status, answer = running.web.request("POST", "/api/v1/trading-signals", json.dumps(signal_body).encode(), headers)

    assert status == 201, answer
    number = json.loads(answer)["id"]

    def traded() -> list[dict[str, Any]]:
        return [line for line in running.lines("worker") if line.get("signal_id") == number]

    (line,) = wait_until(traded)
    assert (line["event"], line["request_id"], line["task"]) == (
        "signal_traded",
        "from-the-source-1",
        "trading.process_signal",
    )
    assert line["task_id"]
    finished = [line for line in running.lines("web") if line["event"] == "request_finished"]
    assert "from-the-source-1" in {line["request_id"] for line in finished}
    wait_until(lambda: running.lines("streams"))
    running.stop()
    for name in running.logs:
        running.lines(name)
        assert key not in running.logs[name].read_text()


def test_what_breaks_before_anything_has_started_is_an_object_too(tmp_path: Path):
    environment = {**os.environ, "DATABASE_URL": database_url(), "REDIS_URL": settings.REDIS_URL, "LOG_FORMAT": "json"}
    program = "import django; django.setup(); raise RuntimeError('broken')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, timeout=60)
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (line["event"], line["level"]) == ("process_broke", "critical")
    assert "RuntimeError: broken" in line["exception"]

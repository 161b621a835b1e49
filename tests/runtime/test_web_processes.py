"""Several web processes on one port: who dies is replaced, who cannot serve ends all, and a stop ends everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.console.web_process import WebProcess

ROOT = Path(__file__).parents[2]
CANNOT_SERVE = """
import os, sys
from config.web_processes import WebProcesses
import socket

def serve(listener):
    os._exit(1)

sys.exit(WebProcesses([socket.create_server(("127.0.0.1", 0)) for _ in range(2)], serve).run())
"""


@pytest.fixture
def web(tmp_path, transactional_db) -> Iterator[WebProcess]:
    process = WebProcess(os.environ["REDIS_URL"], tmp_path / "web.log", WEB_PROCESSES="2")
    process.start()
    yield process
    process.kill()


def children(web: WebProcess) -> set[int]:
    assert web.process is not None
    return {child.pid for child in psutil.Process(web.process.pid).children()}


def answering(web: WebProcess, *, requests: int = 40) -> set[int]:
    """Return the status codes of several requests, each on a connection of its own."""
    return {web.get("/api/v1/health/live")[0] for _ in range(requests)}


def wait_until(true) -> None:
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_process_that_is_killed_is_replaced_and_nothing_else_notices(web):
    wait_until(lambda: len(children(web)) == 2)
    before = children(web)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(children(web) - {victim}) == 2)
    assert answering(web) == {200}
    assert len(children(web) & before) == 1


def test_a_stop_ends_every_process(web):
    pids = children(web)
    assert web.stop() == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_processes_end_with_the_one_that_keeps_them(web):
    pids = children(web)
    web.kill()
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_second_desk_does_not_share_the_port_of_the_first(web):
    second = subprocess.run(
        [sys.executable, "-m", "config.web"],
        cwd=ROOT,
        env=web.environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert second.returncode != 0
    assert f"Port {web.port} is in use" in second.stderr.decode()


def test_a_process_that_cannot_serve_ends_all_of_them():
    ended = subprocess.run([sys.executable, "-c", CANNOT_SERVE], cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == 1

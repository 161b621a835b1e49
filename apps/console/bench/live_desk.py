"""A desk of the live bench's own: the Procfile's processes under the supervisor, a local chain, a hundred keys.

It lives in a folder that is removed afterwards. The processes that an order goes through note their calls to the
outside (`timed`); nothing else is changed about them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.core.management.base import CommandError
from solders.keypair import Keypair

from config.runtime import discover, ports, procfile
from config.runtime import home as homes
from config.runtime.stack import CHAIN_PORTS, SECRETS

_START_SECONDS = 180.0
_STOP_SECONDS = 30.0
#: The rest of the Procfile has no part in an order: the clock, dollars, the job monitor, the demo's agents.
_PROCESSES = (
    "migrate",
    "sandbox",
    "signer",
    "web",
    "worker-critical",
    "worker-trading",
    "worker-prices",
    "worker-default",
    "orders",
)
TIMED = ("signer", "worker-critical", "worker-trading", "orders")
_FOREIGN = (*SECRETS, "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "SIGNER_SOCKET", "SOLANA_RPC_URLS")
_UNLIMITED = "1000000000"
CALLS_VARIABLE = "BENCH_CALLS"


class LiveDesk:
    """The running desk as its own record tells it: process ids, and what they have used."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def record(self) -> dict[str, Any]:
        return discover.running_stack(self._home) or {}

    def pids(self) -> dict[str, int]:
        pids: dict[str, int] = self.record().get("pids", {})
        return pids

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time of each process so far, its children with it."""
        return {name: _cpu_seconds(pid) for name, pid in self.pids().items()}

    @classmethod
    def here(cls) -> LiveDesk:
        return cls(homes.locate(os.environ))


def _cpu_seconds(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    spent = 0.0
    for each in family:
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system
    return spent


@contextmanager
def running(keys: int, slot_seconds: float) -> Iterator[dict[str, str]]:
    """Run a desk whose signer holds `keys` new keys; give the environment of a command on it.

    Raises:
        CommandError: it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="soldesk-bench-") as folder:
        home, calls = Path(folder) / "home", Path(folder) / "calls"
        calls.mkdir()
        environment = _environment(home, calls, slot_seconds)
        wallets = {f"WALLET_{number}": str(Keypair()) for number in range(1, keys + 1)}
        lines = Path(folder) / "Procfile"
        lines.write_text(_procfile(calls))
        command = [sys.executable, "-m", "config.runtime", "up", "--tied", "--procfile", str(lines)]
        log = Path(folder) / "desk.log"
        with log.open("wb") as words:
            desk = subprocess.Popen(
                command, cwd=settings.BASE_DIR, env=environment | wallets, stdout=words, stderr=words
            )
        try:
            _wait_ready(LiveDesk(home), desk, log)
            yield environment
        finally:
            desk.terminate()
            try:
                desk.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                desk.kill()
            homes.remove(home)


def _environment(home: Path, calls: Path, slot_seconds: float) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    web, sandbox, flower = (ports.choose() for _ in range(3))
    return inherited | {
        "SOLDESK_HOME": str(home),
        "SOLDESK_ENV": "development",
        "SOLDESK_DEMO": "1",
        "PORT": str(web),
        "SANDBOX_PORT": str(sandbox),
        "FLOWER_PORT": str(flower),
        "SANDBOX_RPC_PORT": str(ports.choose_several(CHAIN_PORTS)),
        "SANDBOX_SLOT_SECONDS": str(slot_seconds),
        "SIGNER_MAX_DAY_SOL": "1000000",
        "SIGNER_DEMO_WALLET": "0",
        "SOLANA_RPC_CALLS_PER_SECOND": "10000",
        "SIGNALS_PER_MINUTE": _UNLIMITED,
        "REQUESTS_PER_MINUTE": "0",
        CALLS_VARIABLE: str(calls),
    }


def _procfile(calls: Path) -> str:
    commands = {name: command for name, command in procfile.read().items() if name in _PROCESSES}
    commands["sandbox"] += " --no-signals --tokens 2"
    for name in TIMED:
        program, _, rest = commands[name].partition(" ")
        timed = f"python -m apps.console.bench.timed {calls / name}"
        commands[name] = f"{timed} {rest}" if program == "python" else f"{timed} -m {program} {rest}"
    return "".join(f"{name}: {command}\n" for name, command in commands.items())


def _wait_ready(desk: LiveDesk, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while not desk.record().get("ready"):
        if process.poll() is not None or time.monotonic() > until:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            raise CommandError(f"The bench's desk did not start:\n{last}")
        time.sleep(0.1)


def read_calls(name: str) -> list[tuple[float, float, str, str]]:
    """Return what a process noted: beginning and end of each call, its kind, the order it was for."""
    path = Path(os.environ[CALLS_VARIABLE]) / name
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        began, ended, kind, order = line.split()
        found.append((float(began), float(ended), kind, order))
    return found

"""What the matrix kills: the database, the signer and the orders process, each a process of its own. No Django here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from config.runtime import home as homes
from config.runtime.embedded import EmbeddedServices
from config.runtime.users import service_user

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0


class KillableServices(EmbeddedServices):
    """A PostgreSQL that can be killed and started again on what it had written, and a Redis beside it."""

    def kill_database(self) -> None:
        service, process = self._running.pop(0)
        process.kill()
        process.wait()
        self._start(service, homes.open_home(self.path, service_user()))
        self._running.insert(0, self._running.pop())


class Killable:
    """One process, its words in a file."""

    def __init__(self, argv: list[str], environment: Mapping[str, str], words: Path) -> None:
        self._argv, self.environment, self._words = argv, dict(environment), words
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self._words.open("ab") as words:
            self._process = subprocess.Popen(
                self._argv, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=words, stderr=words
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    @property
    def is_stopped(self) -> bool:
        """Whether it has stopped itself."""
        return _state(self.pid) == "T"

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def last_words(self) -> str:
        return "\n".join(self._words.read_text(errors="replace").splitlines()[-60:])


def signer(environment: Mapping[str, str], folder: Path) -> Killable:
    return Killable([sys.executable, "manage.py", "signer"], environment, folder / "signer.log")


def orders(environment: Mapping[str, str], folder: Path) -> Killable:
    argv = [sys.executable, "-m", "tests.kill_matrix.orders_process", str(folder / "stop_at")]
    return Killable(argv, environment, folder / "orders.log")


def wait_for_socket(path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise AssertionError(f"nobody listens on {path}")
        time.sleep(0.02)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""

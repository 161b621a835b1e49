"""What the matrix kills: database, signer, orders process and sandbox, each a process of its own. No Django here."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from config.runtime import home as homes
from config.runtime.embedded import EmbeddedServices
from config.runtime.users import service_user

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
_LAST_WORDS = 40
_STOP_SECONDS = 0.2
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class KillableServices(EmbeddedServices):
    """A PostgreSQL that can be killed and started again on what it had written, and a Redis beside it."""

    def kill_database(self) -> None:
        service, process = self._running.pop(0)
        process.kill()
        process.wait()
        self._start(service, homes.open_home(self.path, service_user()))
        self._running.insert(0, self._running.pop())


class Killable:
    """One process at a time of a program, its words in a file; it comes from a `nursery`, so that it begins at once."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], words: Path) -> None:
        self._argv, self.environment, self._words = list(argv), dict(environment), words
        self._nursery: subprocess.Popen[str] | None = None
        self._pid: int | None = None

    @property
    def pid(self) -> int:
        assert self._pid is not None
        return self._pid

    @property
    def is_alive(self) -> bool:
        return self._pid is not None and _state(self._pid) != ""

    def start(self) -> None:
        nursery = self._nursery = self._nursery or self._read()
        assert nursery.stdin is not None and nursery.stdout is not None
        nursery.stdin.write("\n")
        nursery.stdin.flush()
        line = nursery.stdout.readline()
        assert line, f"nothing begins:\n{self.last_words()}"
        self._pid = int(line)

    def kill(self) -> None:
        """End it as `kill -9` does; it may be stopped."""
        if self._pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        while self.is_alive:  # its first thread may have ended before the others
            time.sleep(0.001)
        self._pid = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        """End it and where it came from: what begins next reads its environment anew."""
        self.kill()
        if self._nursery is not None:
            self._nursery.kill()
            self._nursery.communicate()
            self._nursery = None

    @property
    def is_stopped(self) -> bool:
        """Whether it has stopped itself, or was."""
        return _state(self.pid) == "T"

    def stand_still(self) -> None:
        """Return when it has stopped itself, as it is about to; stop it if somebody else lets it go on."""
        deadline = time.monotonic() + _STOP_SECONDS
        while not self.is_stopped and time.monotonic() < deadline:
            time.sleep(0.001)
        self.pause()

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        while not self.is_stopped:
            time.sleep(0.001)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def last_words(self) -> str:
        return "\n".join(self._words.read_text(errors="replace").splitlines()[-_LAST_WORDS:])

    def _read(self) -> subprocess.Popen[str]:
        with self._words.open("ab") as words:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.kill_matrix.nursery", *self._argv],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
                preexec_fn=end_with_parent,
            )


def signer(environment: Mapping[str, str], folder: Path) -> Killable:
    return Killable(["apps.wallets.signer.process"], environment, folder / "signer.log")


def orders(environment: Mapping[str, str], folder: Path) -> Killable:
    argv = ["tests.kill_matrix.orders_process", str(folder / "stop_at")]
    return Killable(argv, environment, folder / "orders.log")


def write_whole(file: Path, text: str) -> None:
    """Write a file that somebody may read at any moment: the old text or the new."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(text)
    fresh.replace(file)


def end_with_parent() -> None:
    """A run that is killed cannot end what it has started: the kernel does (Linux only)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""

"""A desk of real processes for tests: `make up`'s supervisor on a home and ports of its own."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.runtime import home as homes
from config.runtime import ports
from config.runtime import stack as stack_module

ROOT = Path(__file__).resolve().parent.parent
# What belongs to the test session's own services, or to the person who runs the tests.
FOREIGN = (*stack_module.SECRETS, "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")


#: What takes milliseconds here may take seconds on a crowded machine; waiting longer costs only who waits in vain.
WAIT_SECONDS = 60.0


def wait_until(condition: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
    """Return the first true answer of `condition`; fail when it has none in time."""
    until = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < until, f"did not happen within {seconds} s"
        time.sleep(0.02)
    return answer


class Desk:
    """One supervised stack; a context manager that leaves nothing behind."""

    def __init__(self, home: Path, procfile: Path | None = None, **environment: str) -> None:
        self.home = home
        self.log = home.with_name(f"{home.name}.log")
        web, sandbox, flower = (ports.choose() for _ in range(3))
        self.port = web
        inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        numbers = {
            "PORT": str(web),
            "SANDBOX_PORT": str(sandbox),
            "SANDBOX_RPC_PORT": str(ports.choose_several(stack_module.CHAIN_PORTS)),
            "FLOWER_PORT": str(flower),
        }
        own = {"SOLDESK_HOME": str(home), "SOLDESK_ENV": "development"}
        self.environment = inherited | numbers | own | environment
        self.command = [sys.executable, "-m", "config.runtime", "up"]
        if procfile is not None:
            self.command += ["--procfile", str(procfile)]
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(homes.remove, home)  # root's data may lie outside the test's folder

    def __enter__(self) -> Desk:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.interrupt()
            try:
                self.process.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise

    def start(self) -> None:
        """Start the supervisor in a process group of its own, as a terminal does."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def run_to_end(self, seconds: float = WAIT_SECONDS) -> int:
        """Start it expecting it to end by itself; return the exit code."""
        self.start()
        assert self.process is not None
        return self.process.wait(seconds)

    def wait_ready(self, seconds: float = 180.0) -> None:
        """Wait for the supervisor's word that everything answers: eight seconds, or minutes on a crowded machine."""
        assert self.process is not None
        process = self.process

        def ready() -> bool:
            assert process.poll() is None, f"the supervisor ended:\n{self.output()}"
            record = self.record()  # a killed supervisor leaves its own behind
            return record.get("supervisor") == process.pid and record["ready"]

        wait_until(ready, seconds)

    def record(self) -> dict[str, Any]:
        """Return what the supervisor has written down about the stack, empty if nothing."""
        try:
            content: dict[str, Any] = json.loads((self.home / "run" / "stack.json").read_text())
        except FileNotFoundError:
            return {}
        return content

    def pid(self, name: str) -> int | None:
        """Return a process's id, None while it is down."""
        return self.record().get("pids", {}).get(name)

    def output(self) -> str:
        """Return everything printed so far."""
        return self.log.read_text(errors="replace")

    def kill(self, name: str) -> int:
        """`kill -9` one process; return the id it had."""
        pid = wait_until(lambda: self.pid(name))
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_restarted(self, name: str, former: int, seconds: float = WAIT_SECONDS) -> None:
        """Wait until a process runs again under another id."""
        wait_until(lambda: self.pid(name) not in (None, former), seconds)

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal signals the whole foreground group."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)

    def leftovers(self) -> list[str]:
        """Return the processes of this machine that belong to this home, the supervisor included."""
        wanted = [os.fsencode(folder) for folder in homes.folders_of(self.home)]
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes()
                told = command + (entry / "environ").read_bytes() + os.fsencode((entry / "cwd").readlink())
            except OSError:  # it ended meanwhile
                continue
            if any(folder in told for folder in wanted):
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
        return found

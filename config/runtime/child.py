"""One supervised process: started, watched, shown, started again when it dies, stopped when asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable

from config.runtime.console import Console
from config.runtime.errors import StartError
from config.runtime.launch import Launch

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
STEADY_SECONDS = 10.0
STOP_SECONDS = 8.0
PROBE_SECONDS = 0.05

Ready = Callable[["Child"], Awaitable[bool]]


class Child:
    """A process kept alive. `announced` tells whether a line of its log matched `announcement`."""

    def __init__(
        self,
        name: str,
        launch: Callable[[], Launch],
        *,
        console: Console,
        ready: Ready,
        changed: Callable[[], None],
        stop_signal: signal.Signals = signal.SIGTERM,
        announcement: re.Pattern[str] | None = None,
    ) -> None:
        self.name = name
        self.ready = asyncio.Event()
        self.restarts = 0
        self.started_at = 0.0
        self.announced = False
        self.first_failure: StartError | None = None
        self._launch = launch
        self._console = console
        self._is_ready = ready
        self._stop_signal = stop_signal
        self._announcement = announcement
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, or None while it is down."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        """Begin to keep the process alive."""
        self._task = asyncio.create_task(self._keep(), name=self.name)

    async def run_once(self) -> int:
        """Run the command to its end and return its exit code (for the steps that prepare the desk)."""
        code = await self._run()
        self.ready.set()
        return code

    async def stop(self) -> None:
        """Ask the process to end, and kill its whole session if it does not in time."""
        self._stopping.set()
        if self.pid is not None:
            self._signal(self._stop_signal)
            until = time.monotonic() + STOP_SECONDS
            while self.pid is not None and time.monotonic() < until:
                await asyncio.sleep(0.02)
            if self.pid is not None:
                self._console.say(f"{self.name} did not stop within {STOP_SECONDS:.0f} seconds and is killed.")
        self.kill()
        if self._task is not None:
            await self._task

    def kill(self) -> None:
        """Kill the process and whatever it started, at once."""
        self._stopping.set()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                ending = _ending(await self._run())
            except (StartError, OSError) as error:
                ending = f"could not start: {error}"
                if not self.ready.is_set():
                    self.first_failure = StartError(f"{self.name} {ending}")
                    return
            if self._stopping.is_set():
                return
            if time.monotonic() - began > STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._console.say(f"{self.name} {ending}; it starts again in {pause:.1f} s.", bold=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            self.restarts += 1

    async def _run(self) -> int:
        launch = self._launch()
        self._process = process = await asyncio.create_subprocess_exec(
            *launch.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            **launch.options(),
        )
        self.started_at = time.monotonic()
        self._changed()
        if self._stopping.is_set():  # asked to stop while it was being started
            self._signal(self._stop_signal)
        show = asyncio.create_task(self._show(process))
        watch = asyncio.create_task(self._watch(process))
        try:
            return await process.wait()
        finally:
            watch.cancel()
            await asyncio.wait({show}, timeout=0.5)  # a grandchild may hold the pipe open
            show.cancel()
            self._changed()

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Set `ready` once the process answers; it stays set when the process is started again later."""
        while not self.ready.is_set() and process.returncode is None:
            if await self._is_ready(self):
                self.ready.set()
                return
            await asyncio.sleep(PROBE_SECONDS)

    async def _show(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        rest = b""
        while chunk := await process.stdout.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._line(line)
            if len(rest) > 65536:
                self._line(rest)
                rest = b""
        if rest:
            self._line(rest)

    def _line(self, raw: bytes) -> None:
        text = raw.decode(errors="replace").rstrip("\r")
        if self._announcement is not None and self._announcement.search(text):
            self.announced = True
        if text.strip():
            self._console.line(self.name, text)


def _ending(code: int) -> str:
    """Say how a process ended.

    >>> _ending(3), _ending(-9)
    ('ended with exit code 3', 'was ended by SIGKILL')
    """
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"

"""`make up`: starts the stack in order, shows its logs, keeps every process alive, stops all of it on Ctrl-C.

Order: PostgreSQL and Redis; the steps that prepare the desk, with the sandbox beside them; then everything else.
Stopping goes the other way.
Children live in sessions of their own, so a Ctrl-C in the terminal reaches only this process, which stops them in
order; if this process is killed, the kernel ends them.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from config.runtime import home as homes
from config.runtime.child import Child, Ready
from config.runtime.console import Console
from config.runtime.errors import StartError
from config.runtime.launch import Launch, Service
from config.runtime.stack import DEMO_ONLY, SECRETS, TOLD, Stack

HEALTH_PATH = "/api/v1/health/live"  # "ready" speaks of the workers too, which have a say of their own
WORKER_READY = re.compile(r"@\S+ ready\.")
QUIET_WORKER_SECONDS = 20.0  # with LOG_LEVEL=WARNING a worker does not announce itself
SETTLED_SECONDS = 1.0
SERVICE_ATTEMPTS = 4
FLUSH_SECONDS = 0.2
IMPATIENT_SECONDS = 60.0


class Supervisor:
    """Runs one `Stack` until it is told to stop."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._console = Console([*self._names(stack)], os.environ)
        self._stop = asyncio.Event()
        self._ready = False
        self._services = [self._service(service) for service in stack.services]
        self._steps: list[Child] = []
        self._processes = [self._process(name, command) for name, command in stack.commands.items()]
        # The outside world needs none of the desk and is what the desk looks for first: up before it, down after it.
        self._outside = [child for child in self._processes if child.name in DEMO_ONLY]
        self._inside = [child for child in self._processes if child.name not in DEMO_ONLY]

    async def run(self) -> int:
        """Run until a signal asks to stop; return the exit code."""
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
                loop.add_signal_handler(number, self._asked_to_stop)
        flushing = asyncio.create_task(self._flush())
        starting = asyncio.create_task(self._start(began))
        stopping = asyncio.create_task(self._stop.wait())
        code = 0
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            await stopping
        except StartError as error:
            self._console.say(str(error), bold=True)
            code = 1
        finally:
            starting.cancel()
            stopping.cancel()
            await self._stop_all()
            flushing.cancel()
            self._stack.home.stack_file.unlink(missing_ok=True)
            self._console.flush(patience_seconds=1.0)
        return code

    @staticmethod
    def _names(stack: Stack) -> list[str]:
        return [*(service.name for service in stack.services), *stack.commands, *stack.steps]

    # -- starting

    async def _start(self, began: float) -> None:
        for child in self._services:
            child.start()
        for child in self._services:
            await self._service_ready(child)
        for child in self._outside:
            child.start()
        for name, command in self._stack.steps.items():
            await self._step(name, command)
        await self._all_ready(self._outside)
        for child in self._inside:
            child.start()
        await self._all_ready(self._inside)
        self._ready = True
        self._record()
        self._welcome(time.monotonic() - began)

    async def _service_ready(self, child: Child) -> None:
        while not child.ready.is_set():
            if child.first_failure is not None:
                raise child.first_failure
            if child.restarts >= SERVICE_ATTEMPTS:
                raise StartError(f"{child.name} does not start; its last words are above.")
            await asyncio.sleep(0.02)

    async def _step(self, name: str, command: str) -> None:
        async def ready(_child: Child) -> bool:
            return False

        step = self._child(name, lambda: self._stack.launch(name, command), ready)
        self._steps.append(step)
        code = await step.run_once()
        if code != 0:
            raise StartError(f"`{command}` failed with exit code {code}; its last words are above.")

    async def _all_ready(self, children: list[Child]) -> None:
        complain_at = time.monotonic() + IMPATIENT_SECONDS
        while waiting := [child.name for child in children if not child.ready.is_set()]:
            for child in children:
                if child.first_failure is not None:
                    raise child.first_failure
            if time.monotonic() > complain_at:
                self._console.say(f"Still waiting for {', '.join(waiting)}.", bold=True)
                complain_at += IMPATIENT_SECONDS
            await asyncio.sleep(0.05)

    def _welcome(self, seconds: float) -> None:
        email, password = self._stack.sign_in
        rows = list(self._stack.urls.items())
        remarks = {"Flower": self._flower_words, "Solana nodes": self._chain_words}
        rows = [(name, f"{url}   ({remarks[name]()})" if name in remarks else url) for name, url in rows]
        if password:
            rows.append(("Sign in", f"{email} / {password}   (as first set up; a password changed since stays)"))
        rows.append(("Data", str(self._stack.home.data)))
        lines = [f"  {name:<15}{text}" for name, text in rows]
        headline = f"Soldesk is ready, {seconds:.1f} s after the start."
        self._console.say("\n".join(["", headline, "", *lines, "", "Ctrl-C stops it.", ""]), bold=True)

    def _chain_words(self) -> str:
        return f"the second on port {self._stack.ports['chain'] + 2}; WebSockets one port above each"

    def _flower_words(self) -> str:
        return "user {}, password {}".format(*self._stack.flower_sign_in.partition(":")[::2])

    # -- stopping

    def _asked_to_stop(self) -> None:
        if not self._stop.is_set():
            self._console.say("\nStopping; once more kills what is left.", bold=True)
            self._stop.set()
            return
        for child in (*self._processes, *self._steps):
            child.kill()

    async def _stop_all(self) -> None:
        began = time.monotonic()
        for wave in ((*self._inside, *self._steps), self._outside, self._services):
            await asyncio.gather(*(child.stop() for child in wave))
        self._console.say(f"Stopped in {time.monotonic() - began:.1f} s.", bold=True)

    # -- children

    def _child(self, name: str, launch: Callable[[], Launch], ready: Ready, **options: Any) -> Child:
        return Child(name, launch, console=self._console, ready=ready, changed=self._record, **options)

    def _service(self, service: Service) -> Child:
        def launch() -> Launch:
            service.prepare()
            return service.launch()

        async def ready(child: Child) -> bool:
            return child.pid is not None and service.is_ready(child.pid)

        return self._child(service.name, launch, ready, stop_signal=service.stop_signal)

    def _process(self, name: str, command: str) -> Child:
        port = self._stack.ports.get(name)
        path = HEALTH_PATH if name == "web" else "/"

        async def ready(child: Child) -> bool:
            if port is not None:
                return await _answers(port, path)
            age = time.monotonic() - child.started_at
            return child.announced or age > (QUIET_WORKER_SECONDS if name.startswith("worker") else SETTLED_SECONDS)

        return self._child(name, lambda: self._stack.launch(name, command), ready, announcement=WORKER_READY)

    # -- bookkeeping

    def _record(self) -> None:
        """Write down what runs, for commands and tests that look for it (`discover.py`)."""
        environment = self._stack.environment
        children = (*self._services, *self._steps, *self._processes)
        record = {
            "supervisor": os.getpid(),
            "ready": self._ready,
            "DATABASE_URL": environment["DATABASE_URL"],
            "REDIS_URL": environment["REDIS_URL"],
            "settings": {name: environment[name] for name in TOLD},
            "secrets": {name: environment[name] for name in SECRETS if name in environment},
            "ports": self._stack.ports,
            "urls": self._stack.urls,
            "pids": {child.name: child.pid for child in children if child.pid is not None},
            "restarts": {child.name: child.restarts for child in children},
        }
        homes.write_private(self._stack.home.stack_file, record)

    async def _flush(self) -> None:
        while not self._console.broken:
            self._console.flush()
            await asyncio.sleep(FLUSH_SECONDS)
        self._stop.set()  # nobody reads any more: the terminal or the pipe is gone


async def _answers(port: int, path: str) -> bool:
    """Tell whether a server on loopback answers HTTP with anything but a server error."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request.encode())
                status = (await reader.readline()).split()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
    return len(status) > 1 and status[1].isdigit() and int(status[1]) < 500


def supervise(stack: Stack) -> int:
    """Run the stack in the foreground; return the exit code."""

    async def main() -> int:
        return await Supervisor(stack).run()

    sys.stdout.flush()
    return asyncio.run(main())

"""A Redis of one test's own, to be stopped, killed and brought back on the same port."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from config.runtime import ports
from config.runtime.redis import Redis

START_SECONDS = 60


class OwnRedis:
    """The desk's own Redis launcher on a free port in `folder`; not running until `start`."""

    def __init__(self, folder: Path) -> None:
        # Of the private range: no connection of somebody else's can sit on the port while this Redis is down.
        self.server = Redis(folder, ports.choose(), "of-this-test", durable=False)
        self.url = self.server.url
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.server.prepare()
        launch = self.server.launch()
        self._process = subprocess.Popen(launch.argv, stdout=subprocess.DEVNULL, **launch.options())
        until = time.monotonic() + START_SECONDS
        while not self.server.is_ready(self._process.pid):
            assert time.monotonic() < until, "the test's Redis did not start"
            time.sleep(0.02)

    def hang(self) -> None:
        """Let it accept connections and answer nothing."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

"""The chain as a process of its own, on free ports, for tests that talk to it as anybody would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from apps.sandbox.chain.server import free_ports

ROOT = Path(__file__).parents[3]


class ChainProcess:
    """`python -m apps.sandbox.chain`; `start` waits until it says that it is ready."""

    def __init__(self, journal: Path, *, slot_seconds: float = 0.05) -> None:
        self.port = free_ports("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            **os.environ,
            "SANDBOX_RPC_PORT": str(self.port),
            "SANDBOX_SLOT_SECONDS": str(slot_seconds),
            "SANDBOX_CHAIN_JOURNAL": str(journal),
        }

    def start(self) -> None:
        command = [sys.executable, "-m", "apps.sandbox.chain"]
        self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("sandbox_chain_ready")

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(60)

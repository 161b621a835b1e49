"""A real web process on the session's database and a Redis of choice, and a real WebSocket client to talk to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import websockets.sync.client
from django.db import connection
from websockets.exceptions import ConnectionClosed

from config.runtime import ports

ROOT = Path(__file__).parents[2]
#: Waiting longer costs only who waits in vain.
WAIT_SECONDS = 60.0


def database_url() -> str:
    """Return the URL of the database the present test runs on."""
    own = connection.settings_dict
    credentials = f"{quote(own['USER'])}:{quote(own['PASSWORD'])}"
    return f"postgresql://{credentials}@/{own['NAME']}?host={quote(own['HOST'], safe='')}&port={own['PORT']}"


class WebProcess:
    """`python -m config.web` on a free port; `start` waits until it answers."""

    def __init__(self, redis_url: str, log: Path, **environment: str) -> None:
        self.port = ports.choose()
        self.log = log
        self.environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "REDIS_URL": redis_url,
            "PORT": str(self.port),
            "WEB_PROCESSES": "1",
            "LOGINS_PER_MINUTE": "100000",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "config.web"], cwd=ROOT, env=self.environment, stderr=self.log.open("ab")
        )
        until = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                if self.get("/api/v1/health/live")[0] == 200:
                    return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < until, self.log.read_text()
                time.sleep(0.1)

    def stop(self) -> int:
        """End it with SIGTERM; return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_SECONDS)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        return self.request("GET", path, headers=headers)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        talk = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        try:
            talk.request(method, path, body, headers or {})
            answer = talk.getresponse()
            return answer.status, answer.read()
        finally:
            talk.close()

    def socket(self, query: str, **options: Any) -> Watcher:
        """Open /ws with this query string."""
        return Watcher(
            websockets.sync.client.connect(
                f"ws://127.0.0.1:{self.port}/ws?{query}",
                max_size=None,
                compression=None,
                proxy=None,
                legacy=True,
                open_timeout=WAIT_SECONDS,
                **options,
            )
        )


class Watcher:
    """A client of the feed that keeps what it heard."""

    def __init__(self, talk: websockets.sync.client.ClientConnection) -> None:
        self.talk = talk

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.talk.close()

    def next(self, *kinds: str, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """Return the next message of one of `kinds`, skipping others; any when none is named."""
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            assert left > 0, f"no {kinds} within {seconds} s"
            message: dict[str, Any] = json.loads(self.talk.recv(timeout=left))
            if not kinds or message["type"] in kinds:
                return message

    def say(self, message: Any) -> None:
        self.talk.send(message if isinstance(message, str) else json.dumps(message))

    def close_code(self, seconds: float = WAIT_SECONDS) -> int | None:
        """Read on until the server closes, and return its code."""
        try:
            while True:
                self.talk.recv(timeout=seconds)
        except ConnectionClosed:
            return self.talk.close_code

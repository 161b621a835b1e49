"""Signs of life: each process of the desk says each five seconds that it is there; health reads who and when.

One sorted set in Redis, of what can be rebuilt: while Redis is away nobody's age is known. `install` hooks up Celery
workers, `core.beat` writes for Beat, other processes call `start` with their own kind.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

import redis
from celery import signals

from apps.core.redis import attempt, name

EVERY_SECONDS = 5.0
#: Silent for longer than this is not there any more.
GONE_SECONDS = 20.0
WORKER = "worker-"
BEAT = "beat"
_FORGOTTEN_SECONDS = 600.0
_KEY = "heartbeats"


@dataclass(frozen=True, slots=True)
class Sign:
    """The last sign of life of one process: its kind ("worker-trading", "web", "beat", …) and its age in seconds."""

    name: str
    age_seconds: float


def write(kind: str) -> None:
    """Note that this process, of this kind, lives now."""
    now = time.time()
    member = f"{kind}|{socket.gethostname()}|{os.getpid()}"

    def note(client: redis.Redis) -> None:
        pipeline = client.pipeline(transaction=False)
        pipeline.zadd(name(_KEY), {member: now})
        pipeline.zremrangebyscore(name(_KEY), 0, now - _FORGOTTEN_SECONDS)
        pipeline.execute()

    attempt(note, None, operation="heartbeat")


def erase(kind: str) -> None:
    """Take back this process's sign: it ends in order."""
    member = f"{kind}|{socket.gethostname()}|{os.getpid()}"
    attempt(lambda client: client.zrem(name(_KEY), member), 0, operation="heartbeat")


def signs() -> list[Sign]:
    """Return the last sign of every process of the last ten minutes, by name; empty while Redis is away."""
    nobody: Any = []
    rows = attempt(lambda client: client.zrange(name(_KEY), 0, -1, withscores=True), nobody, operation="heartbeat")
    now = time.time()
    return sorted(
        (Sign(member.decode().partition("|")[0], max(0.0, now - at)) for member, at in rows),
        key=lambda sign: (sign.name, sign.age_seconds),
    )


def list_workers() -> list[Sign]:
    """Return the Celery workers that are there."""
    return [sign for sign in signs() if sign.name.startswith(WORKER) and sign.age_seconds < GONE_SECONDS]


def beat_age_seconds() -> float | None:
    """Return how long ago Beat's clock last ticked; None when it has not for ten minutes, or Redis is away."""
    return min((sign.age_seconds for sign in signs() if sign.name == BEAT), default=None)


class _Heart(threading.Thread):
    def __init__(self, kind: str) -> None:
        super().__init__(name=f"heartbeat-{kind}", daemon=True)
        self.kind = kind
        self.stopped = threading.Event()

    def run(self) -> None:
        while True:
            write(self.kind)
            if self.stopped.wait(EVERY_SECONDS):
                return


_hearts: dict[str, _Heart] = {}


def start(kind: str) -> None:
    """Let a thread of this process write for `kind` until `stop`."""
    if kind not in _hearts:
        _hearts[kind] = heart = _Heart(kind)
        heart.start()


def stop() -> None:
    """End every heartbeat of this process and take its signs back."""
    for heart in _hearts.values():
        heart.stopped.set()
        erase(heart.kind)
    _hearts.clear()


def install() -> None:
    """Let Celery workers beat from the moment they consume until they shut down; Beat's beat is its own clock's."""
    signals.worker_ready.connect(_worker_ready, dispatch_uid="soldesk-heartbeat")
    signals.worker_shutdown.connect(_worker_shutdown, dispatch_uid="soldesk-heartbeat")


def _worker_ready(sender: Any, **_details: Any) -> None:
    start(WORKER + str(sender.hostname).partition("@")[0])


def _worker_shutdown(**_details: Any) -> None:
    stop()


os.register_at_fork(after_in_child=_hearts.clear)

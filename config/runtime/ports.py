"""Ports: which are free, which a home had before, and the sentence for one that is taken."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path

from config.runtime.errors import StartError
from config.runtime.home import write_private

# Below the range kernels hand out to outgoing connections, so that no client sits on a remembered port and none
# that retries can connect to itself.
PRIVATE_RANGE = range(20000, 32000)


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def choose(avoid: frozenset[int] = frozenset()) -> int:
    """Return a free port of the private range at random."""
    for _ in range(200):
        port = random.choice(PRIVATE_RANGE)
        if port not in avoid and is_free(port):
            return port
    raise StartError("No free port was found on 127.0.0.1 for the embedded PostgreSQL and Redis.")


def remembered(data: Path, names: tuple[str, ...]) -> dict[str, int]:
    """Return one port per service: the one this home used before if it is still free, else a new one."""
    path = data / "ports.json"
    before: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    now: dict[str, int] = {}
    for name in names:
        port = before.get(name)
        now[name] = port if port and is_free(port) else choose(frozenset(now.values()))
    if now != before:
        write_private(path, now)
    return now


def choose_several(number: int) -> int:
    """Return the first of so many free ports of the private range, one after another."""
    for _ in range(200):
        first = choose()
        if all(is_free(first + offset) for offset in range(number)):
            return first
    raise StartError(f"No {number} free ports one after another were found on 127.0.0.1.")


def require_free(wanted: Mapping[str, range]) -> None:
    """Check the ports the operator sees, by the name of the variable that says the first of them.

    Raises:
        StartError: one is taken, or two are the same.
    """
    seen: dict[int, str] = {}
    for variable, wished in wanted.items():
        for port in wished:
            if port in seen:
                raise StartError(f"{seen[port]} and {variable} both need {port}; give one of them another port.")
            seen[port] = variable
            if not (is_free(port) and is_free(port, "0.0.0.0")):
                raise StartError(
                    f"Port {port} is in use by another program. Stop it, or set {variable}=<another port>, "
                    f"for example `{variable}={wished.stop} make up`."
                )

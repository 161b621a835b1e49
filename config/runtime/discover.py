"""How a command finds the desk that runs from this folder: `manage.py`, the bench and tests started by hand.

The supervisor's children need none of this; they get everything in their environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from config.runtime import environment, home

PORTS = {"PORT": "web", "SANDBOX_PORT": "sandbox", "SANDBOX_RPC_PORT": "chain", "FLOWER_PORT": "flower"}


class StackNotRunning(SystemExit):
    """Nothing runs from this home; it ends a command with its sentence alone, where an exception would dump a trace."""


def running_stack(path: Path) -> dict[str, Any] | None:
    """Return the record of the stack that runs from the home `path`, or None.

    Keys: DATABASE_URL, REDIS_URL, settings, secrets, ports and pids (by process), urls, supervisor (pid), ready.
    """
    try:
        record: dict[str, Any] = json.loads((path / "run" / "stack.json").read_text())
    except (OSError, ValueError):
        return None
    return record if home.HomeLock.is_held(path) else None


def stack_environment(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that point a process at a running stack."""
    variables = {name: str(record[name]) for name in ("DATABASE_URL", "REDIS_URL")}
    variables |= record["settings"] | record["secrets"]
    for variable, process in PORTS.items():
        if process in record["ports"]:
            variables[variable] = str(record["ports"][process])
    return variables


def apply_running_stack(environ: MutableMapping[str, str]) -> None:
    """Fill in what points at the running stack, where neither `environ` nor a `.env` file says it.

    Raises:
        StackNotRunning: a URL is missing and nothing runs from this home.
    """
    settings = environment.read(environ)
    if settings.get("DATABASE_URL") and settings.get("REDIS_URL"):
        return
    path = home.locate(settings)
    record = running_stack(path)
    if record is None:
        raise StackNotRunning(
            f"No desk runs from {path}: start it with `make up` in another terminal, or set DATABASE_URL and REDIS_URL."
        )
    for name, value in stack_environment(record).items():
        if name not in settings:
            environ[name] = value

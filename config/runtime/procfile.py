"""The Procfile: one line per process, `name: command`, with `$NAME` taken from the environment; `$SHARD` is each shard.

No shell is involved, so that the process id that is supervised is the process itself.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from config.runtime.environment import ROOT
from config.runtime.errors import StartError

PROCFILE = ROOT / "Procfile"
_LINE = re.compile(r"([a-z][a-z0-9-]*):\s*(\S.*)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_SHARD = re.compile(r"\$(?:SHARD\b|\{SHARD\})")


def read(path: Path = PROCFILE) -> dict[str, str]:
    """Return the commands by process name, in file order; `#` begins a comment line."""
    commands: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or match[1] in commands:
            raise StartError(f"{path.name}, line {number}: expected `name: command`, each name once.")
        commands[match[1]] = match[2]
    return commands


def per_shard(commands: Mapping[str, str], shards: int) -> dict[str, str]:
    """Return the commands with each line that names `$SHARD` once for every shard, numbered if there are several.

    >>> per_shard({"web": "serve", "watch": "look -Q prices.$SHARD"}, 2)
    {'web': 'serve', 'watch-0': 'look -Q prices.0', 'watch-1': 'look -Q prices.1'}
    >>> per_shard({"watch": "look -Q prices.$SHARD"}, 1)
    {'watch': 'look -Q prices.0'}
    """
    expanded: dict[str, str] = {}
    for name, command in commands.items():
        if _SHARD.search(command) is None:
            expanded[name] = command
            continue
        for shard in range(shards):
            expanded[name if shards == 1 else f"{name}-{shard}"] = _SHARD.sub(str(shard), command)
    return expanded


def arguments(command: str, environment: Mapping[str, str]) -> list[str]:
    """Split a command into words and fill in its variables.

    Raises:
        StartError: a variable has no value.

    >>> arguments("celery -A config flower --port=$FLOWER_PORT", {"FLOWER_PORT": "5555"})
    ['celery', '-A', 'config', 'flower', '--port=5555']
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in environment:
            raise StartError(f"The Procfile's `{command}` needs {name}, which is not set.")
        return environment[name]

    return [_VARIABLE.sub(value, word) for word in shlex.split(command)]

"""How a child is started: its own session, tied to the life of its parent, with default signal handling.

Both the supervisor (asyncio) and the embedded services of a test session (plain `subprocess`) use it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from config.runtime.users import ServiceUser

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # loaded before any fork: after a change of account the interpreter may not be readable


@dataclass(frozen=True, slots=True)
class Launch:
    """One command with everything it is started with; `death_signal` is what it gets when its parent is gone.

    `descriptors` are files that stay open in it.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path = field(default_factory=lambda: Path("/"))
    user: ServiceUser | None = None
    death_signal: signal.Signals = signal.SIGKILL
    descriptors: tuple[int, ...] = ()

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments for `subprocess` and `asyncio` alike."""
        return {
            "env": dict(self.environment),
            "cwd": self.folder,
            "start_new_session": True,
            "pass_fds": self.descriptors,
            "preexec_fn": _tie_to_parent(self.death_signal),
            **(self.user.options() if self.user else {}),
        }


class Service(Protocol):
    """PostgreSQL or Redis: what the supervisor and the test session need to know to run one."""

    @property
    def name(self) -> str:
        """The process's name in logs and records."""

    @property
    def stop_signal(self) -> signal.Signals:
        """The signal that ends it in order."""

    @property
    def port(self) -> int:
        """The loopback port it listens on."""

    def prepare(self) -> None:
        """Make the data folder ready to start on; called before every start."""

    def launch(self) -> Launch:
        """Return the foreground command."""

    def is_ready(self, pid: int) -> bool:
        """Tell whether the server of that process id answers."""

    @property
    def url(self) -> str:
        """The URL clients use, password included."""


def end_with_parent() -> None:
    """Have the kernel ask this process to stop when its parent is gone (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


def _tie_to_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """Return what runs in the child just before exec, after the change of account (which would undo the tie)."""
    parent = os.getpid()

    def tie() -> None:
        for inherited in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(inherited, signal.SIG_DFL)
        if sys.platform == "linux":
            _libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:
                os._exit(1)

    return tie

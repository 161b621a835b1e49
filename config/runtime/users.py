"""Which account PostgreSQL runs as: it refuses to run as root, so root hands it to an unprivileged one."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.runtime.errors import StartError

CANDIDATES = ("nobody", "daemon")


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """An unprivileged account of this machine."""

    name: str
    uid: int
    gid: int

    def options(self) -> dict[str, Any]:
        """Return the `subprocess` arguments that start a child as this account and in no other group."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can(self, permission: str, path: Path) -> bool:
        """Ask the kernel, as this account, for `permission` ("x" or "w") on `path` and the way to it."""
        probe = subprocess.run(["test", f"-{permission}", str(path)], cwd="/", check=False, **self.options())
        return probe.returncode == 0


def service_user() -> ServiceUser | None:
    """Return the account to hand PostgreSQL to, or None when this process is not root and keeps its own.

    Raises:
        StartError: root on a machine without any of the candidate accounts.
    """
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServiceUser(name, entry.pw_uid, entry.pw_gid)
    raise StartError(
        f"PostgreSQL does not run as root and this machine has none of the accounts {', '.join(CANDIDATES)}. "
        "Run as an ordinary user, or set DATABASE_URL."
    )

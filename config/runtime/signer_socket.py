"""Where the signer listens when nobody says: in the home, or in a short folder where that path would be too long."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

LONGEST_SOCKET_PATH = 100  # the kernel takes 107 bytes


def default_socket(home: Path) -> Path:
    """Return the socket's path for a home; whoever listens makes its folder, private to its account."""
    inside = home / "run" / "signer" / "s"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Path("/tmp") / f"soldesk-{os.geteuid()}-{name}" / "s"  # whose it is, the listener checks

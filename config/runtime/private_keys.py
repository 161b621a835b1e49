"""Private keys in the environment of `make up` reach the signer alone.

What a process was started with stays readable for as long as it lives, whatever it deletes: so the supervisor starts
itself again without them, and keeps them in an open file that has no name and is in nobody's memory. The signer gets
that file each time it is started.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
from collections.abc import Mapping, MutableMapping

from dotenv import dotenv_values

from config.runtime.environment import ROOT
from config.runtime.errors import StartError

PROCESS = "signer"
VARIABLE = "SIGNER_KEYS_FD"
_KEY = re.compile(r"WALLET_[1-9]\d{0,3}")
_PR_SET_DUMPABLE = 4


def is_private_key(name: str) -> bool:
    """Tell whether a variable is a wallet's private key.

    >>> is_private_key("WALLET_1"), is_private_key("WALLET_CHANGES_PER_MINUTE")
    (True, False)
    """
    return _KEY.fullmatch(name) is not None


def set_aside() -> int | None:
    """Return the open file that holds this supervisor's private keys, or None; may start the process anew.

    Raises:
        StartError: keys stand in a file that every process reads, or cannot be kept apart on this system.
    """
    _refuse_shared_files(os.environ.get("SOLDESK_ENV") or "development")
    found = {name: value for name, value in os.environ.items() if is_private_key(name)}
    if found:
        _start_anew(found)
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is None:
        return None
    os.set_inheritable(int(descriptor), False)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # others of this account cannot open what it has open
    return int(descriptor)


def drop(environ: MutableMapping[str, str]) -> None:
    """Take private keys out of an environment that is not the signer's."""
    for name in [name for name in environ if is_private_key(name)]:
        del environ[name]


def _start_anew(found: Mapping[str, str]) -> None:
    if sys.platform != "linux":
        raise StartError("WALLET_1, … cannot be given by the environment on this system: put them into .env.signer.")
    descriptor = os.memfd_create("signer-keys", 0)
    os.write(descriptor, json.dumps(found).encode())
    os.set_inheritable(descriptor, True)
    kept = {name: value for name, value in os.environ.items() if name not in found}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**kept, VARIABLE: str(descriptor)})


def _refuse_shared_files(environment: str) -> None:
    for name in (".env", f".env.{environment}"):
        if any(map(is_private_key, dotenv_values(ROOT / name))):
            raise StartError(
                f"A private key (WALLET_1, …) stands in {name}, which every process reads: move it to .env.signer, "
                "which only the signer does."
            )

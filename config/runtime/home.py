"""The home folder: where one copy keeps its data, its secrets, its lock and the record of what runs.

`path` is SOLDESK_HOME (default `var/`). `data` is the same folder, except for root where PostgreSQL's account could
not enter it: then `/var/lib/soldesk-<hash of path>`. Both are private to the owner.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.runtime.environment import ROOT
from config.runtime.errors import StartError
from config.runtime.users import ServiceUser

MARK = ".soldesk-home"  # without it nothing in the folder is changed or removed
SHARED_DATA = Path("/var/lib")
SECRET_NAMES = (
    "SECRET_KEY",
    "JWT_SECRET",
    "METRICS_TOKEN",
    "FLOWER_PASSWORD",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "SANDBOX_SIGNAL_KEY",
)


@dataclass(frozen=True, slots=True)
class Home:
    """One copy's folders; `open_home` makes them."""

    path: Path
    data: Path

    @property
    def stack_file(self) -> Path:
        """Where the running supervisor records URLs, ports and process ids."""
        return self.path / "run" / "stack.json"

    def fresh_folder(self, name: str) -> Path:
        """Return an empty private folder for as long as one stack runs; what the last one left in it is removed."""
        folder = self.path / "run" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return folder


def locate(settings: Mapping[str, str]) -> Path:
    """Return the home folder the settings name, without creating it; a relative one counts from the project."""
    return (ROOT / Path(settings.get("SOLDESK_HOME", "var")).expanduser()).resolve()


def open_home(path: Path, user: ServiceUser | None) -> Home:
    """Create the folders of a home and decide where its data live.

    Raises:
        StartError: the folder is someone else's, or its data were made when it stood at another path.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (path / MARK).exists():
            if any(path.iterdir()):
                raise StartError(f"{path} holds other files. SOLDESK_HOME must be a folder of its own: new, or empty.")
            (path / MARK).touch(mode=0o600)
        (path / "run").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StartError(f"The data folder {path} cannot be used ({error.strerror}). Set SOLDESK_HOME.") from error
    if path.stat().st_uid != os.geteuid():
        raise StartError(f"The data folder {path} belongs to another user. Set SOLDESK_HOME to a folder of yours.")
    if user is None:
        return Home(path, path)
    path.chmod(0o711)
    return Home(path, path if user.can("x", path) else _data_outside(path))


def data_outside(path: Path) -> Path:
    """Return the folder root's data move to when the service user cannot enter `path`."""
    return SHARED_DATA / f"soldesk-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"


def _data_outside(path: Path) -> Path:
    """Open the folder outside the home, and keep it apart from one an earlier copy at the same path left behind."""
    record = path / "data-folder"
    data = data_outside(path)
    if record.exists():
        recorded = Path(record.read_text().strip())
        if recorded != data and recorded.exists():
            raise StartError(
                f"The data of {path} are in {recorded}, made when the folder stood elsewhere. To keep them: "
                f"`mv {recorded} {data}` and `rm '{record}'; echo {data} > '{record}'`. To begin anew: `rm '{record}'`."
            )
    elif data.exists():
        aside = data.with_name(f"{data.name}.{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}")
        data.rename(aside)
        print(f"An earlier copy at this path left data in {data}; they are now in {aside}.")
    data.mkdir(mode=0o711, exist_ok=True)
    data.chmod(0o711)
    record.write_text(f"{data}\n")
    return data


def folders_of(path: Path) -> list[Path]:
    """Return the folders that hold this home's data, where they exist."""
    if not (path / MARK).exists():
        return []
    record = path / "data-folder"
    outside = [Path(record.read_text().strip())] if record.exists() else []
    return [folder for folder in (path, *outside) if folder.exists()]


def remove(path: Path) -> None:
    """Forget a home: its folder, and root's data outside it."""
    for folder in reversed(folders_of(path)):
        shutil.rmtree(folder)


def is_abandoned(path: Path, seconds: float) -> bool:
    """Tell whether a home of this user was made more than `seconds` ago and nobody runs from it."""
    try:
        mark = (path / MARK).stat()
    except OSError:
        return False
    return mark.st_uid == os.geteuid() and time.time() - mark.st_mtime > seconds and not HomeLock.is_held(path)


class HomeLock:
    """An exclusive lock on a home, held by its supervisor and released by the kernel however that ends."""

    def __init__(self, path: Path) -> None:
        self._file = path / "run" / "lock"
        self._descriptor: int | None = None

    def acquire(self, patience_seconds: float = 1.0) -> bool:
        """Take the lock; give up after `patience_seconds`, since a reader may hold it for a moment."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + patience_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() < until:
                    time.sleep(0.05)
                    continue
                os.close(descriptor)
                return False
            self._descriptor = descriptor
            return True

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @staticmethod
    def is_held(path: Path) -> bool:
        """Tell whether a supervisor holds the lock of this home; immune to recycled process ids."""
        try:
            descriptor = os.open(path / "run" / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that only the owner can read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _new_secret(name: str) -> str:
    """Return a fresh secret; the signal source's has the form of an API key, since that is what it is."""
    return f"nex_{secrets.token_urlsafe(24)}" if name == "SANDBOX_SIGNAL_KEY" else secrets.token_urlsafe(36)


def load_secrets(data: Path) -> dict[str, str]:
    """Return this home's generated secrets, making those that do not exist yet."""
    path = data / "secrets.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {name: _new_secret(name) for name in SECRET_NAMES if name not in known}
    if missing:
        known |= missing
        write_private(path, known)
    return known

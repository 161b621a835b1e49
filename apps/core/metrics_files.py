"""Prometheus figures of several processes as one: each keeps its own in files of a shared folder, any may read all.

prometheus_client's multiprocess mode with three things it lacks: a process is known by a name that no later one has
(process ids are recycled), that it lives is a lock the kernel releases however it ends, and what dead processes had
counted is folded into one file, so that a process that restarts all night leaves no thousand files behind.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import Metric, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where the library looks for the folder, at each new file
_SIGN = ".alive"
#: What stays when a process has ended: counts. Gauges told of its present, and end with it.
_COUNTED = ("counter", "histogram")
_ENDED = "ended"


class _Presence:
    """This process's name in the folder and the lock that says it lives."""

    def __init__(self) -> None:
        self._name = ""
        self._descriptor: int | None = None

    def name(self) -> str:
        """Return the name, given at the first call; this runs at each observation."""
        return self._name or self._sign_up()

    def _sign_up(self) -> str:
        folder = Path(os.environ[_FOLDER])
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        draft = folder / f".{name}"
        self._descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # before the name shows: nobody may take it for a dead one's
        draft.rename(folder / f"{name}{_SIGN}")
        self._name = name
        return name

    def forget(self) -> None:
        """A forked child is another process: its parent keeps the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._name, self._descriptor = "", None


_presence = _Presence()
os.register_at_fork(after_in_child=_presence.forget)


def share(folder: Path) -> None:
    """Keep the figures of every metric declared from now on in files of `folder`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ[_FOLDER] = str(folder)
    values.ValueClass = values.MultiProcessValue(_presence.name)


def collect(folder: Path) -> list[Metric]:
    """Return the sum of what all processes of the folder have told, dead ones' counts included."""
    with _alone(folder):
        _fold_ended(folder)
        files = [str(path) for path in folder.glob("*.db") if path.stat().st_size]
        return list(MultiProcessCollector.merge(files))


def count_processes(folder: Path) -> int:
    """Return how many processes that live keep figures here."""
    return sum(_lives(sign) for sign in folder.glob(f"*{_SIGN}"))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time fold and read, so that nothing is read twice or not at all."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fold_ended(folder: Path) -> None:
    for sign in folder.glob(f"*{_SIGN}"):
        if _lives(sign):
            continue
        for path in folder.glob(f"*_{sign.stem}.db"):
            kind = path.name.partition("_")[0]
            if kind in _COUNTED:
                _add(path, folder / f"{kind}_{_ENDED}.db")
            path.unlink()
        sign.unlink()


def _add(path: Path, ended: Path) -> None:
    """Add a dead process's counts to those of all dead ones, whole or not at all."""
    sums: defaultdict[str, float] = defaultdict(float)
    for source in (ended, path):
        if source.exists() and source.stat().st_size:
            for key, value, _at, _position in MmapedDict.read_all_values_from_file(str(source)):
                sums[key] += value
    draft = ended.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    file = MmapedDict(str(draft))
    for key, value in sums.items():
        file.write_value(key, value, 0.0)
    file.close()
    draft.replace(ended)


def _lives(sign: Path) -> bool:
    """Tell whether somebody holds the lock of a sign."""
    try:
        descriptor = os.open(sign, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

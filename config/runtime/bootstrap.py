"""Make `.venv` and install the locked packages into it, once per lock file. Run by the Makefile with any Python 3.

Only the standard library, and only what Python 3.7 also understands: its first task is to find the right one.
The venv is made again when the lock file, its Python or the folder's path has changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / ".installed"
WANTED = ((3, 12), (3, 11))
CANDIDATES = ("python3", "python3.12", "python3.11", "python")


class BootstrapError(Exception):
    """What is missing on this machine, in a sentence."""


def main() -> int:
    """Bring `.venv` up to date; return the exit code."""
    if is_current():
        return 0
    try:
        with one_at_a_time():
            if not is_current():
                install()
    except BootstrapError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def is_current() -> bool:
    """Tell whether the venv holds exactly what the lock file says, at this path."""
    try:
        return STAMP.read_text() == stamp() and (VENV / "bin" / "python").exists()
    except OSError:
        return False


def stamp() -> str:
    """Return what the venv depends on: the lock file's content and, since its programs name it, the path."""
    return f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()}\n{VENV}\n"


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold a lock, so that `make up` and `make test` in a fresh clone do not install into each other."""
    with open(str(ROOT / ".venv.lock"), "w") as file:  # noqa: PTH123 - old Pythons
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install() -> None:
    """Create the venv where it is missing or stale, then install the lock file with its hashes."""
    python = find_python()
    if STAMP.exists():
        STAMP.unlink()
    if version_of(str(VENV / "bin" / "python")) not in WANTED or not same_place():
        version = ".".join(map(str, version_of(python)))
        print(f"Creating .venv with {python} ({version}).", flush=True)
        if VENV.exists():
            shutil.rmtree(str(VENV))
        if subprocess.call([python, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL) != 0:
            raise BootstrapError(
                "This Python cannot make a virtual environment. On Debian and Ubuntu: "
                f"`apt install python{version}-venv`, then again."
            )
        run([python, "-m", "venv", str(VENV)], "The virtual environment could not be created.")
    print("Installing the locked packages into .venv; once, it takes a minute or two.", flush=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    run([*pip, "--require-hashes", "-r", str(LOCK)], "The packages could not be installed; pip says why above.")
    STAMP.write_text(stamp())


def same_place() -> bool:
    """Tell whether the venv was made at this path: its programs carry the path in their first line."""
    try:
        return str(VENV / "bin" / "python") in (VENV / "bin" / "pip").read_text()
    except (OSError, UnicodeDecodeError):
        return False


def find_python() -> str:
    """Return the first Python of a wanted version; the plain `python3` comes first."""
    own = str(VENV / "bin")
    path = os.pathsep.join(folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder != own)
    for name in CANDIDATES:
        found = shutil.which(name, path=path)
        if found and version_of(found) in WANTED:
            return found
    plain = shutil.which("python3", path=path)
    version = ".".join(map(str, version_of(plain) if plain else ()))
    has = f"python3 here is {version}" if version else "there is no python3 here"
    raise BootstrapError(f"Soldesk needs Python 3.12 or 3.11; {has}. Install one of them, then again.")


def version_of(python: str) -> tuple[int, ...]:
    """Return (major, minor), or nothing if it does not run; a version manager's shim may be there and not run."""
    try:
        said = subprocess.check_output(
            [python, "-c", "import sys; print(sys.version_info[0], sys.version_info[1])"], stderr=subprocess.DEVNULL
        )
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(int(part) for part in said.split())


def run(command: list[str], failure: str) -> None:
    """Run a command with the user's pip settings, minus those a virtual environment contradicts."""
    contradicting = ("PIP_USER", "PIP_TARGET", "PYTHONHOME")
    environment = {name: value for name, value in os.environ.items() if name not in contradicting}
    environment["PIP_USER"] = "0"
    if subprocess.call(command, env=environment) != 0:
        raise BootstrapError(failure)


if __name__ == "__main__":
    sys.exit(main())

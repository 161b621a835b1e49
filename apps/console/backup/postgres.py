"""pg_dump and pg_restore of the desk's database: the wheel's, where the desk runs the wheel's server, else PATH's."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from django.db import connection

from apps.console.backup.errors import BackupFailed, BackupRefused
from apps.core import bulk
from config.runtime import postgres
from config.runtime.errors import StartError

#: What a desk has as soon as somebody works with it; the first administrator and the schedules are made at the start.
_SIGNS_OF_USE = ("agent", "wallet", "transaction", "ledger_entry", "trading_signal", "trade_order")
_SSL = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"}
_CHANGED = """
SELECT c.table_schema, c.table_name FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.column_name = 'changed_xid' AND c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
"""
_OTHERS = """
SELECT DISTINCT COALESCE(NULLIF(application_name, ''), 'a program without a name') FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY 1
"""


def server_version() -> int:
    """Return the major version of the desk's PostgreSQL."""
    connection.ensure_connection()
    return int(connection.cursor().connection.info.server_version) // 10_000


def dump(target: Path) -> None:
    """Write the database, as one moment of it, in pg_dump's own format.

    Raises:
        BackupFailed: PG_DUMP_FAILED. BackupRefused: no program for this server.
    """
    _run("pg_dump", ["--format=custom", "--no-owner", "--no-privileges", f"--file={target}"])


def load(source: Path) -> None:
    """Fill the emptied database from a dump, whole or not at all.

    Raises:
        BackupFailed: PG_RESTORE_FAILED; the database is empty then.
    """
    name = str(connection.settings_dict["NAME"])
    options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", f"--dbname={name}"]
    _run("pg_restore", [*options, str(source)])


def others() -> list[str]:
    """Return who else is connected to the database."""
    return [name for (name,) in bulk.fetch_all(_OTHERS)]


def signs_of_use() -> list[str]:
    """Return the tables that show that somebody works with this desk; none while it is empty."""
    there = set(connection.introspection.table_names())
    used = [name for name in _SIGNS_OF_USE if name in there]
    return [name for name in used if bulk.fetch_all(f'SELECT 1 FROM "{name}" LIMIT 1')]


def empty() -> None:
    """Remove every table, function and type of the desk's schema."""
    bulk.execute("DROP SCHEMA public CASCADE")
    bulk.execute("CREATE SCHEMA public")
    bulk.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")


def forget_transaction_ids() -> list[str]:
    """Set what says which transaction changed a row to 0, and return the tables: ids of another cluster mean nothing.

    Left as they are, ids of the future would hide changes from the watch until this cluster had counted so far.
    """
    tables = sorted(name for _, name in bulk.fetch_all(_CHANGED))
    for name in tables:
        bulk.execute(f'ALTER TABLE "{name}" DISABLE TRIGGER USER')
        bulk.execute(f"UPDATE \"{name}\" SET changed_xid = '0'")
        bulk.execute(f'ALTER TABLE "{name}" ENABLE TRIGGER USER')
    return tables


def _run(program: str, arguments: Sequence[str]) -> None:
    done = subprocess.run(
        [str(_find(program)), *arguments], env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last_words = " ".join(done.stderr.split())[-500:]
        raise BackupFailed(f"{program.upper()}_FAILED", f"{program} ended badly: {last_words}")


def _find(program: str) -> Path:
    """Return a program that is not older than the server."""
    wanted = server_version()
    found = []
    with contextlib.suppress(StartError):
        found.append(postgres.find_binaries() / program)
    on_path = shutil.which(program)
    if on_path is not None:
        found.append(Path(on_path))
    for path in found:
        if path.exists() and _version_of(path) >= wanted:
            return path
    raise BackupRefused(
        f"{program.upper()}_MISSING",
        f"There is no {program} here that knows PostgreSQL {wanted}: install its client programs",
    )


def _version_of(path: Path) -> int:
    said = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"\) (\d+)", said)
    return int(match.group(1)) if match else 0


def _environment() -> dict[str, str]:
    """Return what the programs need to connect as the desk does; a password never stands in a command line."""
    settings = connection.settings_dict
    options = settings.get("OPTIONS", {})
    given = {
        "PGHOST": settings["HOST"],
        "PGPORT": settings["PORT"],
        "PGUSER": settings["USER"],
        "PGPASSWORD": settings["PASSWORD"],
        "PGDATABASE": settings["NAME"],
        **{variable: options.get(name, "") for name, variable in _SSL.items()},
    }
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        **{name: str(value) for name, value in given.items() if value},
    }

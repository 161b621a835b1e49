"""Bringing a backup back: into an empty desk that nobody runs, checked before anything changes, audited afterwards."""

from __future__ import annotations

import json
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

import structlog
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from apps.accounts.services import audit
from apps.console.backup import manifest, postgres
from apps.console.backup.errors import BackupFailed, BackupRefused
from apps.console.backup.making import SignerFiles
from apps.console.backup.manifest import Manifest
from apps.trading.services import audit_books
from config.runtime import home

log = structlog.get_logger(__name__)
RESTORED = "desk.restored"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back, and what its audit found."""

    manifest: Manifest
    tables_restamped: list[str]
    keys: int
    differences: list[str]


def restore(
    source: Path, *, signer: SignerFiles, socket_path: Path, home_folder: Path, accept_other_secret: bool = False
) -> Restored:
    """Fill an empty desk from a backup: database, sealed keys, the signer's record; then work the books out anew.

    Raises:
        BackupRefused: nothing changed; see `_check`. BackupFailed: PG_RESTORE_FAILED; the database is empty then.
    """
    kept = manifest.read(source)
    _check(kept, source, signer, socket_path, home_folder, accept_other_secret)
    postgres.empty()
    postgres.load(source / manifest.DATABASE)
    tables = postgres.forget_transaction_ids()
    call_command("migrate", verbosity=0, interactive=False)
    _check_rows(kept)
    keys = _bring_signer_back(kept, source, signer)
    _bring_secrets_back(kept, source, home_folder)
    audit.record(actor=None, action=RESTORED, object_type="desk", object_id="desk", after={"made_at": kept.made_at})
    differences = [str(item) for item in audit_books.audit_books().differences]
    log.info("desk_restored", made_at=kept.made_at, keys=keys, differences=len(differences))
    return Restored(kept, tables, keys, differences)


def _check(
    kept: Manifest, source: Path, signer: SignerFiles, socket_path: Path, home_folder: Path, accept_other_secret: bool
) -> None:
    """Refuse what cannot go well.

    Raises:
        BackupRefused: DESK_RUNS, DESK_IN_USE, SIGNER_RUNS, BACKUP_TOO_NEW, KEYS_IN_THE_WAY, OTHER_SECRET.
    """
    others = postgres.others()
    if others:
        raise BackupRefused("DESK_RUNS", f"Stop the desk first: {', '.join(others)} use its database")
    used = postgres.signs_of_use()
    if used:
        raise BackupRefused(
            "DESK_IN_USE", f"This desk is not empty ({', '.join(used)} have rows): a backup goes into an empty one"
        )
    if _answers(socket_path):
        raise BackupRefused("SIGNER_RUNS", "Stop the signer first: it has its record of what was signed open")
    unknown = _unknown_migrations(kept)
    if unknown or kept.postgres > postgres.server_version():
        what = ", ".join(unknown[:3]) or f"PostgreSQL {kept.postgres}"
        raise BackupRefused("BACKUP_TOO_NEW", f"The backup is of a newer desk ({what}): install that version first")
    in_the_way = _in_the_way(kept, source, signer)
    if in_the_way:
        raise BackupRefused("KEYS_IN_THE_WAY", f"{in_the_way} exists already and is another: move it away first")
    same = kept.secret_key_mark == manifest.mark_of(settings.SECRET_KEY)
    brings = manifest.SECRETS in kept.files and (_secrets_file(home_folder) is not None)
    if not (same or brings or accept_other_secret):
        raise BackupRefused(
            "OTHER_SECRET",
            "SECRET_KEY is not the one this backup was sealed with: set it, or second factors, webhook secrets and"
            " signed orders in it stay closed for good (--accept-other-secret)",
        )


def _unknown_migrations(kept: Manifest) -> list[str]:
    known = MigrationLoader(None).disk_migrations
    return [f"{app}.{name}" for app, names in kept.migrations.items() for name in names if (app, name) not in known]


def _check_rows(kept: Manifest) -> None:
    for name, expected in kept.rows.items():
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT count(*) FROM "{name}"')
            (found,) = cursor.fetchone()
        if found < expected:
            raise BackupFailed("ROWS_MISSING", f"{name} has {found} rows, the backup said {expected}")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
        tried.settimeout(1)
        try:
            tried.connect(str(path))
        except OSError:
            return False
    return True


def _targets(kept: Manifest, signer: SignerFiles) -> dict[str, Path]:
    """Return where the signer's files of a backup belong."""
    keys = {name: signer.keys / Path(name).name for name in kept.files if name.startswith(f"{manifest.KEYS}/")}
    return keys | ({manifest.LEDGER: signer.ledger} if manifest.LEDGER in kept.files else {})


def _in_the_way(kept: Manifest, source: Path, signer: SignerFiles) -> Path | None:
    """Return a file that would have to be overwritten by another: what a signer has let out must never be forgotten."""
    for name, path in _targets(kept, signer).items():
        if path.exists() and path.read_bytes() != (source / name).read_bytes():
            return path
    return None


def _bring_signer_back(kept: Manifest, source: Path, signer: SignerFiles) -> int:
    """Put the sealed keys and the record back, for the owner alone; return how many keys."""
    targets = _targets(kept, signer)
    for name, path in targets.items():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.part")
        shutil.copyfile(source / name, draft)
        draft.chmod(0o600)
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.replace(path)
    return sum(name.startswith(f"{manifest.KEYS}/") for name in targets)


def _secrets_file(home_folder: Path) -> Path | None:
    """Return where an embedded desk keeps the secrets it made; None where the operator sets them."""
    found = (folder / "secrets.json" for folder in home.folders_of(home_folder))
    return next((path for path in found if path.exists()), None)


def _bring_secrets_back(kept: Manifest, source: Path, home_folder: Path) -> None:
    path = _secrets_file(home_folder)
    if manifest.SECRETS in kept.files and path is not None:
        home.write_private(path, json.loads(path.read_text()) | json.loads((source / manifest.SECRETS).read_text()))

"""Making a backup of a desk, running or not: a folder that is there whole or not at all, for its owner alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from apps.accounts.services import audit
from apps.console.backup import manifest, postgres
from apps.console.backup.errors import BackupRefused
from apps.console.backup.manifest import Manifest
from apps.core import bulk

_COUNTED = ("agent", "position", "transaction", "ledger_entry", "trade_order")
#: The entry of the audit log that says when the desk was last kept; the doctor looks for it.
MADE = "desk.backed_up"


@dataclass(frozen=True, slots=True)
class SignerFiles:
    """Where the signer keeps its sealed keys and what it has let out; either may not exist."""

    keys: Path
    ledger: Path


def signer_files(folder: Path) -> SignerFiles:
    """Return where the signer of a home keeps its files when its own settings do not say otherwise."""
    return SignerFiles(folder / "signer" / "keys", folder / "signer" / "signed.jsonl")


def make(target: Path, *, signer: SignerFiles, with_secrets: bool = False) -> Manifest:
    """Write a backup to the new folder `target` and return its manifest.

    Keys stay sealed: without their passphrases they are of no use. What the signer has let out is copied after the
    database was, so that it never knows of less than the orders do. `with_secrets` adds SECRET_KEY and JWT_SECRET.

    Raises:
        BackupRefused: TARGET_EXISTS. BackupFailed: pg_dump ended badly; nothing is left behind.
    """
    if target.exists():
        raise BackupRefused("TARGET_EXISTS", f"{target} exists already: a backup needs a new name")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    try:
        names = [manifest.DATABASE]
        postgres.dump(draft / manifest.DATABASE)
        names += _copy_signer(draft, signer)
        if with_secrets:
            (draft / manifest.SECRETS).write_text(
                json.dumps({"SECRET_KEY": settings.SECRET_KEY, "JWT_SECRET": settings.JWT_SECRET})
            )
            names.append(manifest.SECRETS)
        for name in names:
            (draft / name).chmod(0o600)
        made = Manifest(
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            postgres=postgres.server_version(),
            migrations=applied_migrations(),
            rows={name: bulk.fetch_all(f'SELECT count(*) FROM "{name}"')[0][0] for name in _COUNTED},
            secret_key_mark=manifest.mark_of(settings.SECRET_KEY),
            files=manifest.described(draft, names),
        )
        manifest.write(draft, made)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    audit.record(
        actor=None,
        action=MADE,
        object_type="desk",
        object_id="desk",
        after={"target": str(target), "rows": made.rows, "files": sorted(made.files)},
    )
    return made


def applied_migrations() -> dict[str, list[str]]:
    """Return the migrations the database has, by app."""
    names: dict[str, list[str]] = {}
    for app, name in sorted(MigrationRecorder(connection).applied_migrations()):
        names.setdefault(app, []).append(name)
    return names


def _copy_signer(draft: Path, signer: SignerFiles) -> list[str]:
    names = []
    if signer.keys.is_dir():
        for path in sorted(signer.keys.glob("*.key.json")):
            names.append(f"{manifest.KEYS}/{path.name}")
            _copy(path, draft / names[-1])
    if signer.ledger.is_file():
        names.append(manifest.LEDGER)
        _copy(signer.ledger, draft / names[-1])
    return names


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(source, target)

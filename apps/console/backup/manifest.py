"""What belongs to a backup: each file with its length and checksum, and what the desk was when it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from apps.console.backup.errors import BackupRefused

NAME = "manifest.json"
FORMAT = 1
DATABASE = "database.dump"
KEYS = "signer/keys"
LEDGER = "signer/signed.jsonl"
SECRETS = "secrets.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. `files` are paths within it with bytes and sha256.

    `secret_key_mark` tells whether the desk it is restored to has the SECRET_KEY that sealed what is in it.
    """

    made_at: str
    postgres: int
    migrations: Mapping[str, list[str]]
    rows: Mapping[str, int]
    secret_key_mark: str
    files: Mapping[str, Mapping[str, Any]]
    format: int = FORMAT


def mark_of(secret_key: str) -> str:
    """Return what tells two secrets apart and nothing of them."""
    return hashlib.scrypt(secret_key.encode(), salt=b"soldesk backup", n=2**14, r=8, p=1, dklen=16).hex()


def described(folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """Return length and checksum of files of a folder."""
    return {name: {"bytes": (folder / name).stat().st_size, "sha256": _digest(folder / name)} for name in names}


def write(folder: Path, manifest: Manifest) -> None:
    (folder / NAME).write_text(json.dumps(asdict(manifest), indent=2) + "\n")


def read(folder: Path) -> Manifest:
    """Return the manifest of a backup once every file it names is there, whole and unchanged.

    Raises:
        BackupRefused: NOT_A_BACKUP, BACKUP_TOO_NEW, BACKUP_DAMAGED.
    """
    try:
        document = json.loads((folder / NAME).read_text())
        manifest = Manifest(**document)
    except (OSError, ValueError, TypeError) as error:
        raise BackupRefused("NOT_A_BACKUP", f"{folder} has no {NAME} that makes sense ({error})") from error
    if manifest.format != FORMAT:
        raise BackupRefused("BACKUP_TOO_NEW", f"The backup's format is {manifest.format}, this desk reads {FORMAT}")
    for name, expected in manifest.files.items():
        _check(folder, name, expected)
    if DATABASE not in manifest.files:
        raise BackupRefused("BACKUP_DAMAGED", f"The backup has no {DATABASE}")
    return manifest


def _check(folder: Path, name: str, expected: Mapping[str, Any]) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise BackupRefused("BACKUP_DAMAGED", f"{name} is no file of a backup")
    try:
        found = described(folder, [name])[name]
    except OSError as error:
        raise BackupRefused("BACKUP_DAMAGED", f"{name} is missing from the backup") from error
    if found != expected:
        raise BackupRefused("BACKUP_DAMAGED", f"{name} is not what was backed up: its checksum differs")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

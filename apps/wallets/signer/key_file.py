"""Encrypted key files: scrypt makes a key of the passphrase, AES-256-GCM seals the private one under it.

The header (address, name, parameters, salt, nonce) is readable and authenticated: changed by a letter, the file does
not open. Files are written whole or not at all, and belong to the signer's account alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from apps.core import base58
from apps.wallets.signer.reasons import Reason, Refused

FORMAT = "soldesk-key-1"
SUFFIX = ".key.json"
LEAST_N, MOST_N = 2**17, 2**20
_R, _P = 8, 1
_SALT_BYTES, _NONCE_BYTES, _SEED_BYTES, _TAG_BYTES = 16, 12, 32, 16
SHORTEST_PASSPHRASE, LONGEST_PASSPHRASE = 12, 1024
LONGEST_NAME = 60
_LONGEST_FILE = 4096


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A sealed key. `sealed` is ciphertext and tag; everything else is the authenticated header."""

    address: str
    name: str
    created_at: str
    n: int
    salt: bytes
    nonce: bytes
    sealed: bytes

    @classmethod
    def seal(cls, seed: bytes | bytearray, *, name: str, passphrase: str, n: int = LEAST_N) -> Self:
        """Seal a 32-byte private key. Takes about a second and 128 MB.

        Raises:
            Refused: PASSPHRASE_WEAK.
        """
        check_passphrase(passphrase)
        address = address_of(Ed25519PrivateKey.from_private_bytes(seed))
        at = datetime.now(UTC).isoformat(timespec="seconds")
        bare = cls(address, name, at, n, os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES), b"")
        sealed = AESGCM(bare._key(passphrase)).encrypt(bare.nonce, bytes(seed), bare._header())
        return cls(address, name, at, n, bare.salt, bare.nonce, sealed)

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """Read a file's content.

        Raises:
            Refused: KEY_UNREADABLE.
        """
        try:
            file = cls(
                address=str(told["address"]),
                name=str(told["name"])[:LONGEST_NAME],
                created_at=str(told["createdAt"]),
                n=int(told["scrypt"]["n"]),
                salt=b64decode(told["scrypt"]["salt"], validate=True),
                nonce=b64decode(told["nonce"], validate=True),
                sealed=b64decode(told["sealed"], validate=True),
            )
            sound = (
                told["format"] == FORMAT
                and base58.is_address(file.address)
                and LEAST_N <= file.n <= MOST_N
                and file.n & (file.n - 1) == 0
                and (told["scrypt"]["r"], told["scrypt"]["p"]) == (_R, _P)
                and (len(file.salt), len(file.nonce)) == (_SALT_BYTES, _NONCE_BYTES)
                and len(file.sealed) == _SEED_BYTES + _TAG_BYTES
            )
        except (KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            raise Refused(Reason.KEY_UNREADABLE, "This is no key file of Soldesk, or it is damaged.")
        return file

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that belongs to this account alone.

        Raises:
            Refused: KEY_UNREADABLE.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                about = os.fstat(file.fileno())
                if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
                    raise Refused(Reason.KEY_UNREADABLE, f"{path.name} must belong to the signer, with mode 0600.")
                told = json.loads(file.read(_LONGEST_FILE))
        except (OSError, ValueError):
            raise Refused(Reason.KEY_UNREADABLE, f"{path.name} cannot be read.") from None
        if not isinstance(told, dict):
            raise Refused(Reason.KEY_UNREADABLE, f"{path.name} is no key file.")
        return cls.read(told)

    def write(self, folder: Path) -> Path:
        """Write the file into a folder, whole or not at all, readable by this account alone."""
        path = folder / f"{self.address}{SUFFIX}"
        draft = folder / f".{self.address}.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self.told(), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(folder)
        return path

    def told(self) -> dict[str, Any]:
        """Return the file's content: all of it may be seen, none of it signs without the passphrase."""
        return {**self._shown(), "sealed": b64encode(self.sealed).decode()}

    def open(self, passphrase: str) -> Ed25519PrivateKey:
        """Open the key. Takes about a second and 128 MB.

        Raises:
            Refused: PASSPHRASE_WRONG, which is also what a changed file looks like.
        """
        try:
            seed = bytearray(AESGCM(self._key(passphrase)).decrypt(self.nonce, self.sealed, self._header()))
        except InvalidTag:
            raise Refused(Reason.PASSPHRASE_WRONG, "The passphrase does not open this key.") from None
        try:
            key = Ed25519PrivateKey.from_private_bytes(seed)
        finally:
            wipe(seed)
        if address_of(key) != self.address:
            raise Refused(Reason.KEY_UNREADABLE, "The key in this file is not of the address it names.")
        return key

    def _key(self, passphrase: str) -> bytes:
        return hashlib.scrypt(
            passphrase.encode(), salt=self.salt, n=self.n, r=_R, p=_P, dklen=32, maxmem=self.n * _R * 128 * 2
        )

    def _shown(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "address": self.address,
            "name": self.name,
            "createdAt": self.created_at,
            "scrypt": {"n": self.n, "r": _R, "p": _P, "salt": b64encode(self.salt).decode()},
            "nonce": b64encode(self.nonce).decode(),
        }

    def _header(self) -> bytes:
        return json.dumps(self._shown(), sort_keys=True, separators=(",", ":")).encode()


def check_passphrase(passphrase: str) -> None:
    """Want a passphrase that is worth deriving a key from.

    Raises:
        Refused: PASSPHRASE_WEAK.
    """
    if (
        not SHORTEST_PASSPHRASE <= len(passphrase) <= LONGEST_PASSPHRASE
        or len(set(passphrase)) < SHORTEST_PASSPHRASE // 2
    ):
        raise Refused(
            Reason.PASSPHRASE_WEAK,
            f"A passphrase has {SHORTEST_PASSPHRASE} characters or more, not the same few again and again.",
        )


def address_of(key: Ed25519PrivateKey) -> str:
    return base58.encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def wipe(secret: bytearray) -> None:
    """Overwrite what was a secret; copies Python made of it on the way are out of reach."""
    secret[:] = bytes(len(secret))


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

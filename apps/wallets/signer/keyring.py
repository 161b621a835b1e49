"""The keys the signer holds: those of its environment at once, those of files while they are unlocked.

Wrong passphrases make a key's next try wait, each one longer. Deriving runs on a thread, one at a time.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from apps.wallets.signer import secret_text
from apps.wallets.signer.key_file import LONGEST_NAME, SUFFIX, KeyFile, address_of, check_passphrase
from apps.wallets.signer.reasons import Reason, Refused

log = structlog.get_logger(__name__)
VARIABLE = re.compile(r"WALLET_[1-9]\d{0,3}")
FREE_TRIES = 3
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 3600.0
MOST_FILES = 1_000


@dataclass(slots=True, repr=False)
class Entry:
    """One key. `key` is None while it is locked; `file` is None for a key of the environment."""

    address: str
    name: str
    file: Path | None = None
    key: Ed25519PrivateKey | None = None
    used_at: float = 0.0
    wrong: int = 0
    waits_until: float = 0.0

    def __repr__(self) -> str:
        return f"Entry({self.address}, {'locked' if self.key is None else 'loaded'})"

    def told(self) -> dict[str, Any]:
        source = "env" if self.file is None else "file"
        return {"address": self.address, "name": self.name, "source": source, "locked": self.key is None}


@dataclass(slots=True)
class Keyring:
    """All keys by address. One event loop uses it."""

    folder: Path
    now: Callable[[], float] = time.monotonic
    _entries: dict[str, Entry] = field(default_factory=dict)
    _deriving: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    def open(self, variables: Mapping[str, str]) -> None:
        """Take the keys of the environment, and find the files. What cannot be read is said and left out."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in sorted(filter(VARIABLE.fullmatch, variables)):
            try:
                key = secret_text.read(variables[name])
            except Refused as refusal:
                log.error("signer_key_unreadable", variable=name, reason=str(refusal.reason))
                continue
            self._entries[address_of(key)] = Entry(address_of(key), name, key=key)
        self.look_for_files()

    def look_for_files(self) -> None:
        """Take in key files that came into the folder, and forget locked ones that are gone."""
        self._take_files(self._read_files())

    async def look_again(self) -> None:
        """Do the same without keeping the loop."""
        self._take_files(await asyncio.to_thread(self._read_files))

    def _read_files(self) -> list[tuple[Path, KeyFile]]:
        found = []
        for path in sorted(self.folder.glob(f"*{SUFFIX}"))[:MOST_FILES]:
            try:
                found.append((path, KeyFile.load(path)))
            except Refused as refusal:
                log.error("signer_key_unreadable", file=path.name, reason=str(refusal.reason))
        return found

    def _take_files(self, found: Sequence[tuple[Path, KeyFile]]) -> None:
        there = set()
        for path, file in found:
            there.add(file.address)
            known = self._entries.setdefault(file.address, Entry(file.address, file.name, path))
            if known.key is None:
                known.file, known.name = path, file.name
        for address, entry in list(self._entries.items()):
            if entry.key is None and address not in there:
                del self._entries[address]

    def told(self) -> list[dict[str, Any]]:
        return [self._entries[address].told() for address in sorted(self._entries)]

    def sign(self, address: str, message: bytes) -> bytes:
        """Sign; the same message always gets the same signature.

        Raises:
            Refused: KEY_UNKNOWN, KEY_LOCKED.
        """
        entry = self._loaded(address)
        entry.used_at = self.now()
        return entry.key.sign(message)  # type: ignore[union-attr]  # loaded

    def require(self, address: str) -> None:
        """Want a key that can sign now. Raises like `sign`."""
        self._loaded(address)

    async def create(self, *, name: str, passphrase: str) -> dict[str, Any]:
        """Make a key, keep it in a file, and have it unlocked.

        Raises:
            Refused: PASSPHRASE_WEAK.
        """
        check_passphrase(passphrase)
        key = Ed25519PrivateKey.generate()
        file = await self._derive(
            lambda: KeyFile.seal(key.private_bytes_raw(), name=_tidy(name), passphrase=passphrase)
        )
        path = await asyncio.to_thread(file.write, self.folder)
        entry = self._entries[file.address] = Entry(file.address, file.name, path, key, used_at=self.now())
        log.info("signer_key_created", address=file.address)
        return entry.told()

    async def take_in(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Keep an encrypted key file; it stays locked.

        Raises:
            Refused: KEY_UNREADABLE, KEY_EXISTS.
        """
        file = KeyFile.read(told)
        if file.address in self._entries:
            raise Refused(Reason.KEY_EXISTS, "The signer has this key already.")
        path = await asyncio.to_thread(file.write, self.folder)
        entry = self._entries[file.address] = Entry(file.address, file.name, path)
        log.info("signer_key_imported", address=file.address)
        return entry.told()

    async def unlock(self, *, address: str, passphrase: str) -> dict[str, Any]:
        """Open a key's file.

        Raises:
            Refused: KEY_UNKNOWN, KEY_FROM_ENVIRONMENT, KEY_UNREADABLE, PASSPHRASE_WRONG, PASSPHRASE_LOCKED.
        """
        entry = self._entry(address)
        _, entry.key = await self._proven(entry, passphrase)
        entry.used_at = self.now()
        log.info("signer_key_unlocked", address=address)
        return entry.told()

    def lock(self, address: str) -> dict[str, Any]:
        """Forget a key; one of the environment comes back when the signer is started again.

        Raises:
            Refused: KEY_UNKNOWN.
        """
        entry = self._entry(address)
        entry.key = None
        log.info("signer_key_locked", address=address)
        return entry.told()

    async def export(self, *, address: str, passphrase: str) -> dict[str, Any]:
        """Return a key's file, for whoever can prove its passphrase.

        Raises:
            Refused: as `unlock`.
        """
        file, _ = await self._proven(self._entry(address), passphrase)
        log.warning("signer_key_exported", address=address)
        return file.told()

    def lock_idle(self, after_seconds: float) -> None:
        """Lock the keys of files that have not signed for so long."""
        for entry in self._entries.values():
            if entry.file is not None and entry.key is not None and self.now() - entry.used_at > after_seconds:
                self.lock(entry.address)

    def _entry(self, address: str) -> Entry:
        if address not in self._entries:
            self.look_for_files()
        entry = self._entries.get(address)
        if entry is None:
            raise Refused(Reason.KEY_UNKNOWN, "The signer has no key of this address.")
        return entry

    def _loaded(self, address: str) -> Entry:
        entry = self._entries.get(address)
        if entry is None:
            raise Refused(Reason.KEY_UNKNOWN, "The signer has no key of this address.")
        if entry.key is None:
            raise Refused(Reason.KEY_LOCKED, "The key of this address is locked: unlock it with its passphrase.")
        return entry

    async def _proven(self, entry: Entry, passphrase: str) -> tuple[KeyFile, Ed25519PrivateKey]:
        if entry.file is None:
            raise Refused(Reason.KEY_FROM_ENVIRONMENT, "This key is given to the signer by its environment.")
        async with self._deriving:  # tries wait for each other, so that none slips past the count
            if (left := entry.waits_until - self.now()) > 0:
                raise Refused(Reason.PASSPHRASE_LOCKED, f"Too many wrong passphrases: try again in {left:.0f} seconds.")
            file = KeyFile.load(entry.file)
            if file.address != entry.address:
                raise Refused(Reason.KEY_UNREADABLE, "The file of this key now holds another one.")
            try:
                key = await asyncio.to_thread(file.open, passphrase)
            except Refused as refusal:
                if refusal.reason == Reason.PASSPHRASE_WRONG:
                    self._count_wrong(entry)
                raise
        entry.wrong, entry.waits_until = 0, 0.0
        return file, key

    def _count_wrong(self, entry: Entry) -> None:
        entry.wrong += 1
        if entry.wrong >= FREE_TRIES:
            pause = min(FIRST_PAUSE_SECONDS * 2 ** (entry.wrong - FREE_TRIES), LONGEST_PAUSE_SECONDS)
            entry.waits_until = self.now() + pause
        log.warning("signer_wrong_passphrase", address=entry.address, times=entry.wrong)

    async def _derive(self, work: Callable[[], KeyFile]) -> KeyFile:
        async with self._deriving:
            return await asyncio.to_thread(work)


def keys_in(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are private keys."""
    return {name: text for name, text in environ.items() if VARIABLE.fullmatch(name) and text}


def from_descriptor(descriptor: int) -> dict[str, str]:
    """Return the variables a supervisor left for the signer in an open file of no name."""
    return keys_in(json.loads(os.pread(descriptor, 1_000_000, 0)))


def _tidy(name: str) -> str:
    return " ".join(name.split())[:LONGEST_NAME]

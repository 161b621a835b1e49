"""What has been signed, and what of the caps is used up: an append-only file that outlives every crash.

A line is on the disk before the signature it speaks of exists, so that what a killed signer let out is counted. Many
signatures share one write. The window is the last 24 hours, not a calendar day, which would give the cap twice around
midnight.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from apps.wallets.signer.key_file import sync_folder
from apps.wallets.signer.reasons import Reason, Refused

log = structlog.get_logger(__name__)
WINDOW_SECONDS = 24 * 3600
#: Orders are remembered longer than any transaction could still land.
KEPT_SECONDS = 8 * WINDOW_SECONDS
#: A file longer than this is written anew at the start, without what is forgotten anyway.
_LONG_BYTES = 8 << 20
_ENTRY, _SIGNATURE = "entry", "signature"


@dataclass(frozen=True, slots=True)
class Entry:
    """One order as it was let out. `spent` counts against the day, `risked` is what a sale may lose at the most.

    `height` is the block height the signer's node told when the transaction's blockhash was known to it: 150 blocks
    later it can land no more.
    """

    order_id: str
    wallet: str
    side: str
    mint: str
    digest: str
    spent: int
    risked: int
    height: int
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Lamports. Buys leave `exit_reserve` of the day for the fees of sales, so that no buy bars an exit."""

    trade: int
    day: int
    exit_reserve: int


class Caps:
    """The file and what it adds up to. One event loop uses it, one process has it open."""

    def __init__(
        self, path: Path, limits: Limits, now: Callable[[], float] = time.time, long_bytes: int = _LONG_BYTES
    ) -> None:
        self.limits = limits
        self._long_bytes = long_bytes
        self._path, self._clock = path, now
        self._latest = 0.0
        self._entries: dict[str, Entry] = {}
        self._signatures: dict[str, str] = {}
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._broken = False
        self._descriptor = -1

    def open(self) -> None:
        """Read the file, cut off a line that was never finished, and keep the file for this process alone.

        Raises:
            Refused: LEDGER_BROKEN; a signer that does not know what it has let out lets nothing out.
        """
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise Refused(Reason.LEDGER_BROKEN, f"Another signer has {self._path} open.") from None
        content = self._whole()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            log.warning("signer_ledger_torn_line", bytes=len(content) - end)
            os.ftruncate(self._descriptor, end)
        for number, line in enumerate(content[:end].splitlines(), start=1):
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError):
                raise Refused(Reason.LEDGER_BROKEN, f"Line {number} of {self._path} cannot be read.") from None
        self._now()
        self._forget()
        if end > self._long_bytes:
            self._shorten()
        os.lseek(self._descriptor, 0, os.SEEK_END)
        os.fsync(self._descriptor)
        sync_folder(folder)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def find(self, order_id: str) -> Entry | None:
        return self._entries.get(order_id)

    def signature_of(self, order_id: str) -> str | None:
        return self._signatures.get(order_id)

    def used(self) -> tuple[int, int]:
        """Return the lamports spent and risked within the window."""
        since = self._now() - WINDOW_SECONDS
        counted = [entry for entry in self._entries.values() if entry.at > since]
        return sum(entry.spent for entry in counted), sum(entry.risked for entry in counted)

    def check(self, entry: Entry, *, amount: int) -> None:
        """Want room for an order; `amount` is what a buy puts in, 0 for what is none.

        An earlier transaction of the same order is replaced: it can land no more.

        Raises:
            Refused: TRADE_CAP, DAY_CAP.
        """
        if amount > self.limits.trade:
            raise Refused(
                Reason.TRADE_CAP, f"One buy may spend {self.limits.trade} lamports; this one spends {amount}."
            )
        spent, _ = self.used()
        former = self._entries.get(entry.order_id)
        if former is not None and former.at > self._now() - WINDOW_SECONDS:
            spent -= former.spent
        most = self.limits.day - (self.limits.exit_reserve if amount else 0)
        if spent + entry.spent > most:
            raise Refused(
                Reason.DAY_CAP,
                f"Within 24 hours {most} lamports may be spent this way; {spent} are, and this adds {entry.spent}.",
            )

    async def reserve(self, entry: Entry, *, amount: int) -> None:
        """Count an order, on the disk when this returns.

        Raises:
            Refused: TRADE_CAP, DAY_CAP, LEDGER_BROKEN.
        """
        self.check(entry, amount=amount)
        counted = Entry(**{**asdict(entry), "at": self._now()})
        self._take({"kind": _ENTRY, **asdict(counted)})
        await self._write({"kind": _ENTRY, **asdict(counted)})

    def note_signature(self, order_id: str, signature: str) -> None:
        """Remember the signature of an order just counted; the line need not have reached the disk."""
        self._signatures[order_id] = signature
        self._append(_signature_line(order_id, signature))

    async def _write(self, told: dict[str, Any]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((_line(told), done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        await asyncio.shield(done)

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                self._append(b"".join(line for line, _ in batch))
                await asyncio.to_thread(os.fsync, self._descriptor)
            except OSError as error:
                self._broken = True  # what a failed write left behind is not known: nothing more goes out
                log.error("signer_ledger_broken", error=type(error).__name__)
            except Refused:
                self._broken = True
            for _, done in batch:
                if self._broken:
                    done.set_exception(Refused(Reason.LEDGER_BROKEN, "The signer cannot write down what it signs."))
                else:
                    done.set_result(None)

    def _append(self, lines: bytes) -> None:
        if self._broken or os.fstat(self._descriptor).st_nlink == 0:
            raise Refused(Reason.LEDGER_BROKEN, "The signer's record of what it signed is gone.")
        written = os.write(self._descriptor, lines)
        if written != len(lines):
            raise OSError("a short write")

    def _take(self, told: dict[str, Any]) -> None:
        if told["kind"] == _SIGNATURE:
            self._signatures[told["order_id"]] = told["signature"]
            return
        if told["kind"] != _ENTRY:
            raise ValueError
        entry = Entry(**{name: told[name] for name in Entry.__dataclass_fields__})
        self._latest = max(self._latest, entry.at)
        self._entries.pop(entry.order_id, None)  # the newest entries stay at the end
        self._entries[entry.order_id] = entry
        self._signatures.pop(entry.order_id, None)
        self._forget()

    def _shorten(self) -> None:
        """Put a file in the place of this one that holds what is still remembered; whole or not at all."""
        draft = self._path.with_name(f".{self._path.name}.new")
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with os.fdopen(os.dup(descriptor), "wb") as file:
            for order_id, entry in self._entries.items():
                file.write(_line({"kind": _ENTRY, **asdict(entry)}))
                if order_id in self._signatures:
                    file.write(_signature_line(order_id, self._signatures[order_id]))
            file.flush()
            os.fsync(descriptor)
        draft.replace(self._path)
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _forget(self) -> None:
        before = self._latest - KEPT_SECONDS
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if oldest.at >= before:
                return
            del self._entries[oldest.order_id]
            self._signatures.pop(oldest.order_id, None)

    def _now(self) -> float:
        """Return the time; a clock that is set back frees nothing."""
        self._latest = max(self._latest, self._clock())
        return self._latest

    def _whole(self) -> bytes:
        parts = []
        while part := os.read(self._descriptor, 1 << 20):
            parts.append(part)
        return b"".join(parts)


def _signature_line(order_id: str, signature: str) -> bytes:
    return _line({"kind": _SIGNATURE, "order_id": order_id, "signature": signature})


def _line(told: dict[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"

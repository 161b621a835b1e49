"""What survives the process: each landed transaction with the accounts as it left them, in one file that only grows.

A line is written before the answer is given, so that nothing anybody was told is lost with the process (the operating
system keeps what was written; a machine that loses power may lose the last lines). Nothing is executed again.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from apps.sandbox.chain.ledger import Landed, Ledger

log = logging.getLogger("sandbox.journal")

#: The present slot is written this often; a chain goes on as many slots behind the last one it wrote.
SLOT_EVERY = 25


class Journal:
    """The file of one chain. `follow` lets it write what lands from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._written_slot = 0

    def follow(self, chain: Ledger) -> None:
        """Write whatever lands on the chain."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab", buffering=0)
        self._chain = chain
        self.note_slot()
        chain.on_landed.append(self._note_landed)
        chain.on_rolled_back.append(self._note_rolled_back)
        chain.on_issued.append(self._note_issued)

    def note_slot(self) -> None:
        """Write the present slot if it is time to."""
        if self._chain.slot >= self._written_slot + SLOT_EVERY:
            self._written_slot = self._chain.slot
            self._write({"slot": self._chain.slot})

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _note_landed(self, landed: Landed) -> None:
        self._write(
            {
                "slot": landed.slot,
                "time": landed.block_time,
                "transaction": base64.b64encode(bytes(landed.transaction)).decode(),
                "keys": [str(key) for key in landed.keys],
                "meta": landed.meta,
                "accounts": [[str(key), _packed(state)] for key, state in self._chain.changed_by(landed)],
            }
        )

    def _note_rolled_back(self, undone: list[Landed]) -> None:
        self._write(
            {
                "slot": self._chain.slot,
                "rolled_back": [str(landed.signature) for landed in undone],
                "accounts": [[str(key), _packed(state)] for key, state in self._chain.changed_by(*undone)],
            }
        )

    def _note_issued(self, key: Pubkey, state: Account | None) -> None:
        self._write({"slot": self._chain.slot, "accounts": [[str(key), _packed(state)]]})

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(orjson.dumps(line) + b"\n")


def resume(path: Path, *, seed: int, now: float) -> Ledger:
    """Return the chain of a journal, or a new one; a last line that was cut off is left out, and cut off for good."""
    lines, whole_bytes = _lines(path)
    slots = [line["slot"] for line in lines]
    if not slots:
        return Ledger(seed=seed, now=now)
    chain = Ledger(seed=seed, now=now, slot=slots[0])
    for line in lines:
        chain.slot = max(chain.slot, line["slot"])
        states = [(Pubkey.from_string(key), _unpacked(state)) for key, state in line.get("accounts", ())]
        if "transaction" in line:
            chain.restore(_landed(line), states)
        else:
            undone = [chain.landed[Signature.from_string(signature)] for signature in line.get("rolled_back", ())]
            if undone:
                chain.take_back(undone)
            for key, state in states:
                chain.put_back(key, state)
    chain.skip_to(max(slots) + SLOT_EVERY, now)
    if path.stat().st_size > whole_bytes:
        log.warning("sandbox_journal_cut path=%s bytes=%d", path, path.stat().st_size - whole_bytes)
        with path.open("ab") as file:
            file.truncate(whole_bytes)
    log.info("sandbox_chain_resumed path=%s slot=%d transactions=%d", path, chain.slot, len(chain.landed))
    return chain


def _lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the whole lines of the file and their length in bytes."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    whole = raw[: raw.rfind(b"\n") + 1]
    return [orjson.loads(line) for line in whole.splitlines()], len(whole)


def _landed(line: dict[str, Any]) -> Landed:
    transaction = VersionedTransaction.from_bytes(base64.b64decode(line["transaction"]))
    return Landed(
        signature=Signature(bytes(transaction.signatures[0])),
        slot=line["slot"],
        block_time=line["time"],
        transaction=transaction,
        keys=tuple(Pubkey.from_string(key) for key in line["keys"]),
        meta=line["meta"],
    )


def _packed(state: Account | None) -> list[Any] | None:
    if state is None:
        return None
    return [state.lamports, base64.b64encode(bytes(state.data)).decode(), str(state.owner), state.executable]


def _unpacked(packed: Iterable[Any] | None) -> Account | None:
    if packed is None:
        return None
    lamports, data, owner, executable = packed
    return Account(
        lamports=lamports, data=base64.b64decode(data), owner=Pubkey.from_string(owner), executable=executable
    )

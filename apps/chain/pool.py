"""The nodes of one event loop as one: the healthiest is asked, the next one when it does not answer.

What a single node says is taken at its word here. Where a lie would cost money the caller asks nodes by name and
compares: `expiry`, `cluster`, `wallets`' reconciliation. Sends go to every node, with the same bytes.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from solders.pubkey import Pubkey

from apps.chain.adapters.json_rpc import Node, NodeState
from apps.chain.domain import answers
from apps.chain.domain.answers import (
    AccountState,
    AddressBalance,
    Blockhash,
    SignatureRow,
    SignatureStatus,
    Simulation,
    TokenAccount,
    TokenAccounts,
)
from apps.chain.domain.health import compare_slots
from apps.chain.errors import (
    NodeError,
    NodeRateLimited,
    NodesNotConfigured,
    NodeUnavailable,
    PreflightFailed,
    Verdict,
)
from apps.core.http import Lane

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Read = Callable[[Any], Result]

CONFIRMED, FINALIZED = "confirmed", "finalized"
MOST_STATUSES, MOST_ACCOUNTS, MOST_FEE_KEYS = 256, 100, 128
DEADLINE_SECONDS = 8.0
_SLOTS_COMPARED_EVERY_SECONDS = 5.0
_ROUND_PAUSE_SECONDS = 0.1
_RENT_KEPT_SECONDS = 600.0
_SEND_PATIENCE_SECONDS = 0.25
ALREADY_PROCESSED = "AlreadyProcessed"


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """What one node said to a send. `accepted`: it has the bytes. `pending`: it had not answered when we went on.

    Not accepted is not "will not land": only a proof of expiry says that.
    """

    node: str
    accepted: bool
    error: NodeError | None = None
    pending: bool = False


class NodePool:
    """Every configured node, in one event loop. All methods raise `NodeError`s; `node` asks that one alone."""

    def __init__(self, states: Sequence[NodeState]) -> None:
        self._nodes = {state.address.name: Node(state) for state in states}
        self._slots_compared_at = 0.0
        self._background: set[asyncio.Task[Any]] = set()
        self._rents: dict[int, tuple[float, int]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names in order of preference."""
        return tuple(self._nodes)

    # -- the chain

    async def latest_blockhash(
        self, commitment: str = CONFIRMED, *, node: str | None = None, lane: Lane = Lane.REST
    ) -> Blockhash:
        return await self._ask("getLatestBlockhash", [{"commitment": commitment}], answers.blockhash, lane, node)

    async def is_blockhash_valid(
        self,
        blockhash: str,
        commitment: str = CONFIRMED,
        *,
        node: str | None = None,
        min_context_slot: int | None = None,
        lane: Lane = Lane.REST,
    ) -> bool:
        config = _config(commitment, min_context_slot)
        return await self._ask("isBlockhashValid", [blockhash, config], _yes_or_no, lane, node)

    async def block_height(
        self, commitment: str = CONFIRMED, node: str | None = None, *, lane: Lane = Lane.REST
    ) -> int:
        return await self._ask("getBlockHeight", [{"commitment": commitment}], answers.whole, lane, node)

    async def slot(self, commitment: str = CONFIRMED, node: str | None = None, *, lane: Lane = Lane.REST) -> int:
        return await self._ask("getSlot", [{"commitment": commitment}], answers.whole, lane, node)

    async def genesis_hash(self, node: str | None = None, *, lane: Lane = Lane.REST) -> str:
        return await self._ask("getGenesisHash", [], _text, lane, node)

    async def rent(self, size: int, *, lane: Lane = Lane.REST) -> int:
        """Return the deposit of an account of `size` bytes, in lamports; it changes seldom and is kept for a while."""
        kept = self._rents.get(size)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        told = await self._ask("getMinimumBalanceForRentExemption", [size], answers.whole, lane, None)
        self._rents[size] = (time.monotonic() + _RENT_KEPT_SECONDS, told)
        return told

    async def recent_fees(self, keys: Sequence[str] = (), *, lane: Lane = Lane.REST) -> list[int]:
        """Return the least priority fee of each recent slot for writing `keys`, in micro-lamports per compute unit."""
        params = [list(keys[:MOST_FEE_KEYS])]
        return await self._ask("getRecentPrioritizationFees", params, answers.recent_fees, lane, None)

    # -- accounts

    async def balance(
        self,
        address: str,
        min_context_slot: int | None = None,
        *,
        commitment: str = CONFIRMED,
        node: str | None = None,
        lane: Lane = Lane.REST,
    ) -> AddressBalance:
        params = [address, _config(commitment, min_context_slot)]
        return await self._ask("getBalance", params, answers.balance, lane, node)

    async def token_accounts(
        self,
        owner: str,
        *,
        min_context_slot: int | None = None,
        commitment: str = CONFIRMED,
        node: str | None = None,
        lane: Lane = Lane.REST,
    ) -> list[TokenAccount]:
        """Return the owner's token accounts under both token programs."""
        told = await asyncio.gather(
            *(
                self.token_accounts_of(
                    owner, program, min_context_slot=min_context_slot, commitment=commitment, node=node, lane=lane
                )
                for program in answers.TOKEN_PROGRAMS
            )
        )
        return [row for each in told for row in each.rows]

    async def token_accounts_of(
        self,
        owner: str,
        program: str,
        *,
        min_context_slot: int | None = None,
        commitment: str = CONFIRMED,
        node: str | None = None,
        lane: Lane = Lane.REST,
    ) -> TokenAccounts:
        """Return the owner's token accounts under one token program, with the slot they were told for."""
        config = {**_config(commitment, min_context_slot), "encoding": "jsonParsed"}
        params = [owner, {"programId": program}, config]
        return await self._ask("getTokenAccountsByOwner", params, answers.token_accounts, lane, node)

    async def accounts(
        self,
        keys: Sequence[str],
        *,
        min_context_slot: int | None = None,
        commitment: str = CONFIRMED,
        node: str | None = None,
        lane: Lane = Lane.REST,
    ) -> list[AccountState | None]:
        """Return accounts as they are, None for those that do not exist, in the order asked."""
        found: list[AccountState | None] = []
        config = {**_config(commitment, min_context_slot), "encoding": "base64"}
        for start in range(0, len(keys), MOST_ACCOUNTS):
            part = list(keys[start : start + MOST_ACCOUNTS])

            def read(result: Any, part: list[str] = part) -> list[AccountState | None]:
                return answers.accounts(result, part)

            found += await self._ask("getMultipleAccounts", [part, config], read, lane, node)
        return found

    async def lookup_tables(
        self, keys: Sequence[str], *, node: str | None = None, lane: Lane = Lane.REST
    ) -> dict[str, list[str]]:
        """Return the addresses of each lookup table; a table that does not exist is missing."""
        states = await self.accounts(keys, node=node, lane=lane)
        try:
            return {state.address: answers.lookup_table(state, _base58) for state in states if state is not None}
        except ValueError as error:
            raise NodeUnavailable(node or "", f"a lookup table cannot be read: {error}") from None

    # -- transactions

    async def send(
        self,
        raw: bytes,
        *,
        skip_preflight: bool = False,
        min_context_slot: int | None = None,
        lane: Lane = Lane.REST,
        deadline_seconds: float = DEADLINE_SECONDS,
        patience_seconds: float = _SEND_PATIENCE_SECONDS,
    ) -> list[SendAnswer]:
        """Give the same bytes to every node at once; repeating it is harmless, signing anew is not.

        Returns when all have answered, or `patience_seconds` after the first that accepted: the others go on sending.
        """
        if not self._nodes:
            raise NodesNotConfigured
        params = [
            base64.b64encode(raw).decode(),
            {
                "encoding": "base64",
                "skipPreflight": skip_preflight,
                "preflightCommitment": CONFIRMED,
                "maxRetries": 0,
                **({} if min_context_slot is None else {"minContextSlot": min_context_slot}),
            },
        ]
        sends = {
            self._start(self._send_to(node, params, lane, deadline_seconds)): name for name, node in self._nodes.items()
        }
        waiting, until = set(sends), None
        while waiting:
            left = None if until is None else max(0.0, until - time.monotonic())
            done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            if until is None and any(task.result().accepted for task in done):
                until = time.monotonic() + patience_seconds
        return [
            task.result() if task.done() else SendAnswer(name, accepted=False, pending=True)
            for task, name in sends.items()
        ]

    async def _send_to(self, node: Node, params: list[Any], lane: Lane, deadline_seconds: float) -> SendAnswer:
        try:
            await node.call("sendTransaction", params, lane=lane, deadline_seconds=deadline_seconds, send=True)
        except PreflightFailed as error:
            if error.err == ALREADY_PROCESSED:
                return SendAnswer(node.name, accepted=True)
            return SendAnswer(node.name, accepted=False, error=error)
        except NodeError as error:
            return SendAnswer(node.name, accepted=False, error=error)
        return SendAnswer(node.name, accepted=True)

    async def statuses(
        self,
        signatures: Sequence[str],
        search_history: bool = False,
        node: str | None = None,
        *,
        lane: Lane = Lane.REST,
    ) -> list[SignatureStatus | None]:
        """Return what is known of each signature; unknown to the node that was asked is None, and proves nothing."""
        found: list[SignatureStatus | None] = []
        for start in range(0, len(signatures), MOST_STATUSES):
            part = list(signatures[start : start + MOST_STATUSES])

            def read(result: Any, count: int = len(part)) -> list[SignatureStatus | None]:
                return answers.statuses(result, count)

            params = [part, {"searchTransactionHistory": search_history}]
            found += await self._ask("getSignatureStatuses", params, read, lane, node)
        return found

    async def transaction(
        self,
        signature: str,
        commitment: str = CONFIRMED,
        node: str | None = None,
        min_context_slot: int | None = None,
        *,
        encoding: str = "json",
        lane: Lane = Lane.REST,
    ) -> dict[str, Any] | None:
        """Return the transaction as the node tells it, versions 0 and 1 alike; None where no node that answers has it.

        In encoding `json` the looked-up keys follow the message's own: `meta.loadedAddresses`, writable ones first.
        """
        config = {
            **_config(commitment, min_context_slot),
            "encoding": encoding,
            "maxSupportedTransactionVersion": 1,
        }
        failure: NodeError | None = None
        answered = False
        for name in [node] if node is not None else self._in_order():
            try:
                found = await self._ask("getTransaction", [signature, config], _object_or_none, lane, name)
            except NodeError as error:
                failure = error
                continue
            if found is not None:
                return found
            answered = True
        if not answered:
            raise failure or NodesNotConfigured()
        return None

    async def signatures_for(
        self,
        address: str,
        *,
        limit: int = 1000,
        before: str | None = None,
        until: str | None = None,
        commitment: str = CONFIRMED,
        min_context_slot: int | None = None,
        node: str | None = None,
        lane: Lane = Lane.REST,
    ) -> list[SignatureRow]:
        """Return the signatures that mention an address, newest first, one page."""
        config = {
            **_config(commitment, min_context_slot),
            "limit": limit,
            **({} if before is None else {"before": before}),
            **({} if until is None else {"until": until}),
        }
        return await self._ask("getSignaturesForAddress", [address, config], answers.history, lane, node)

    async def simulate(
        self,
        raw: bytes,
        *,
        sig_verify: bool = False,
        replace_blockhash: bool = False,
        accounts: Sequence[str] = (),
        commitment: str = CONFIRMED,
        min_context_slot: int | None = None,
        node: str | None = None,
        lane: Lane = Lane.REST,
    ) -> Simulation:
        """Try a transaction and return what it would do; `accounts` are told as they would be afterwards."""
        config = {
            **_config(commitment, min_context_slot),
            "encoding": "base64",
            "sigVerify": sig_verify,
            "replaceRecentBlockhash": replace_blockhash,
            "innerInstructions": True,
            **({"accounts": {"encoding": "base64", "addresses": list(accounts)}} if accounts else {}),
        }
        params = [base64.b64encode(raw).decode(), config]
        return await self._ask(
            "simulateTransaction", params, lambda result: answers.simulation(result, accounts), lane, node
        )

    # -- the nodes

    async def each(self, ask: Callable[[str], Coroutine[Any, Any, Result]]) -> dict[str, Result | NodeError]:
        """Ask every node by name at once; return what each answered or failed with."""

        async def one(name: str) -> Result | NodeError:
            try:
                return await ask(name)
            except NodeError as error:
                return error

        told = await asyncio.gather(*(one(name) for name in self._nodes))
        return dict(zip(self._nodes, told, strict=True))

    async def compare_slots(self) -> None:
        """Ask every node for its slot and note who is behind."""
        self._slots_compared_at = time.monotonic()
        told = await self.each(lambda name: self.slot(node=name))
        compare_slots(
            (self._nodes[name].state.health, slot) for name, slot in told.items() if not isinstance(slot, NodeError)
        )

    async def close(self) -> None:
        """Let go of connections and of what still runs in the background."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for node in self._nodes.values():
            await node.close()

    async def _ask(self, method: str, params: list[Any], read: Read[Result], lane: Lane, node: str | None) -> Result:
        """Ask the node, or the healthiest and then the next ones, twice round while the deadline leaves room."""
        if node is not None:
            return await self._ask_one(self._named(node), method, params, read, lane, DEADLINE_SECONDS)
        self._compare_slots_now_and_then()
        until = time.monotonic() + DEADLINE_SECONDS
        failure: NodeError = NodesNotConfigured()
        for pause in (_ROUND_PAUSE_SECONDS, None):
            for name in self._in_order():
                try:
                    left = until - time.monotonic()
                    return await self._ask_one(self._nodes[name], method, params, read, lane, left)
                except NodeError as error:
                    if error.verdict is Verdict.PERMANENT:
                        raise
                    failure = error
            wait = failure.retry_after_seconds if isinstance(failure, NodeRateLimited) else pause
            if pause is None or wait is None or not self._nodes or time.monotonic() + wait >= until:
                break
            await asyncio.sleep(wait)
        raise failure

    async def _ask_one(
        self, node: Node, method: str, params: list[Any], read: Read[Result], lane: Lane, seconds: float
    ) -> Result:
        result = await node.call(method, params, lane=lane, deadline_seconds=seconds)
        shaped: Result = node.shaped(method, read, result)
        return shaped

    def _named(self, name: str) -> Node:
        if name not in self._nodes:
            raise NodesNotConfigured(f"There is no node {name}")
        return self._nodes[name]

    def _in_order(self) -> list[str]:
        return sorted(self._nodes, key=lambda name: self._nodes[name].state.health.score())

    def _compare_slots_now_and_then(self) -> None:
        if len(self._nodes) > 1 and time.monotonic() > self._slots_compared_at + _SLOTS_COMPARED_EVERY_SECONDS:
            self._slots_compared_at = time.monotonic()
            self._start(self.compare_slots())

    def _start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


def _config(commitment: str, min_context_slot: int | None) -> dict[str, Any]:
    return {"commitment": commitment, **({} if min_context_slot is None else {"minContextSlot": min_context_slot})}


def _yes_or_no(result: Any) -> bool:
    _, value = answers.in_context(result)
    if not isinstance(value, bool):
        raise ValueError("neither yes nor no")
    return value


def _text(result: Any) -> str:
    if not isinstance(result, str) or not result:
        raise ValueError("no text")
    return result


def _object_or_none(result: Any) -> dict[str, Any] | None:
    if result is not None and not isinstance(result, dict):
        raise ValueError("no object")
    return result


def _base58(key: bytes) -> str:
    return str(Pubkey.from_bytes(key))

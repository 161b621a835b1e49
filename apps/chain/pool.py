"""The nodes of one event loop as one: the healthiest is asked, the next one when it does not answer.

What a single node says is taken at its word here. Where a lie would cost money the caller asks nodes by name and
compares: `expiry`, `cluster`, `wallets`' reconciliation. Sends go to every node, with the same bytes.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from solders.pubkey import Pubkey

from apps.chain.adapters.json_rpc import NodeState
from apps.chain.domain import answers
from apps.chain.domain.answers import (
    AccountState,
    AddressBalance,
    Blockhash,
    Known,
    SignatureRow,
    SignatureStatus,
    Simulation,
    TokenAccount,
    TokenAccounts,
)
from apps.chain.errors import NodeError, NodesDisagree, NodesNotConfigured, NodeUnavailable
from apps.chain.failover import DEADLINE_SECONDS, NodeGroup, first_and_rest, tried
from apps.chain.sending import SendAnswer, gathered, send_parameters, send_to
from apps.chain.waiting import POLL_SECONDS, Waiting
from apps.core.http import Lane

CONFIRMED, FINALIZED = "confirmed", "finalized"
MOST_STATUSES, MOST_ACCOUNTS, MOST_FEE_KEYS = 256, 100, 128
#: How many blocks a blockhash is taken for.
BLOCKHASH_WINDOW = 150
_BLOCKHASH_PATIENCE_SECONDS = 0.15
_RENT_KEPT_SECONDS = 600.0
_SEND_PATIENCE_SECONDS = 0.25


class NodePool(NodeGroup):
    """Every configured node, in one event loop. All methods raise `NodeError`s; `node` asks that one alone."""

    def __init__(self, states: Sequence[NodeState], *, poll_seconds: float = POLL_SECONDS) -> None:
        super().__init__(states)
        self._rents: dict[int, tuple[float, int]] = {}
        self._waiting = Waiting(self, [state.address for state in states], poll_seconds)

    # -- the chain

    async def latest_blockhash(
        self, commitment: str = CONFIRMED, *, node: str | None = None, lane: Lane = Lane.REST
    ) -> Blockhash:
        """Return a recent blockhash with the highest last valid height that any node tells within the window.

        Every node is asked, the slower ones for a moment: a height told too low would make what may still land look
        expired.

        Raises:
            NodesDisagree: their heights are further apart than the window, so that at least one is wrong.
        """

        async def one(name: str | None) -> Blockhash:
            return await self.ask("getLatestBlockhash", [{"commitment": commitment}], answers.blockhash, lane, name)

        if node is not None or len(self.names) < 2:
            return await one(node)
        asked = [self.start(tried(one(name))) for name in self.in_order()]
        await first_and_rest(asked, lambda told: isinstance(told, Blockhash), _BLOCKHASH_PATIENCE_SECONDS)
        told = [task.result() for task in asked if task.done()]
        found = [each for each in told if isinstance(each, Blockhash)]
        if not found:
            raise next(each for each in told if isinstance(each, NodeError))
        heights = [each.last_valid_block_height for each in found]
        if max(heights) - min(heights) > BLOCKHASH_WINDOW:
            raise NodesDisagree("the nodes tell block heights that cannot both be true", details={"heights": heights})
        return replace(found[0], last_valid_block_height=max(heights))

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
        return await self.ask("isBlockhashValid", [blockhash, config], _yes_or_no, lane, node)

    async def block_height(
        self, commitment: str = CONFIRMED, node: str | None = None, *, lane: Lane = Lane.REST
    ) -> int:
        return await self.ask("getBlockHeight", [{"commitment": commitment}], answers.whole, lane, node)

    async def finalized(self, *, node: str, lane: Lane = Lane.REST) -> tuple[int, int]:
        """Return the finalized block height of one node and the slot it belongs to, from one answer."""
        return await self.ask("getEpochInfo", [{"commitment": FINALIZED}], answers.finalized, lane, node)

    async def slot(self, commitment: str = CONFIRMED, node: str | None = None, *, lane: Lane = Lane.REST) -> int:
        return await self.ask("getSlot", [{"commitment": commitment}], answers.whole, lane, node)

    async def genesis_hash(self, node: str | None = None, *, lane: Lane = Lane.REST) -> str:
        return await self.ask("getGenesisHash", [], _text, lane, node)

    async def rent(self, size: int, *, lane: Lane = Lane.REST) -> int:
        """Return the deposit of an account of `size` bytes, in lamports; it changes seldom and is kept for a while."""
        kept = self._rents.get(size)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        told = await self.ask("getMinimumBalanceForRentExemption", [size], answers.whole, lane, None)
        self._rents[size] = (time.monotonic() + _RENT_KEPT_SECONDS, told)
        return told

    async def recent_fees(self, keys: Sequence[str] = (), *, lane: Lane = Lane.REST) -> list[int]:
        """Return the least priority fee of each recent slot for writing `keys`, in micro-lamports per compute unit."""
        params = [list(keys[:MOST_FEE_KEYS])]
        return await self.ask("getRecentPrioritizationFees", params, answers.recent_fees, lane, None)

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
        return await self.ask("getBalance", params, answers.balance, lane, node)

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
        return await self.ask("getTokenAccountsByOwner", params, answers.token_accounts, lane, node)

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

            found += await self.ask("getMultipleAccounts", [part, config], read, lane, node)
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

    async def airdrop(self, address: str, lamports: int, *, lane: Lane = Lane.REST) -> str:
        """Ask a faucet for play money and return its transaction's signature; only test clusters have one."""
        return await self.ask("requestAirdrop", [address, lamports], _text, lane, None)

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
        params = send_parameters(raw, skip_preflight=skip_preflight, min_context_slot=min_context_slot)
        if not self._nodes:
            raise NodesNotConfigured
        sends = {name: self.start(send_to(node, params, lane, deadline_seconds)) for name, node in self._nodes.items()}
        return await gathered(sends, patience_seconds)

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
            found += await self.ask("getSignatureStatuses", params, read, lane, node)
        return found

    async def known(self, signature: str, *, node: str, lane: Lane = Lane.REST) -> Known:
        """Return what one node knows of a signature, its whole history searched, and how far it had come."""
        params = [[signature], {"searchTransactionHistory": True}]
        return await self.ask("getSignatureStatuses", params, answers.known, lane, node)

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
        for name in [node] if node is not None else self.in_order():
            try:
                found = await self.ask("getTransaction", [signature, config], _object_or_none, lane, name)
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
        return await self.ask("getSignaturesForAddress", [address, config], answers.history, lane, node)

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
        return await self.ask(
            "simulateTransaction", params, lambda result: answers.simulation(result, accounts), lane, node
        )

    async def units(self, raw: bytes, *, lane: Lane = Lane.REST) -> int | None:
        """Try a transaction and return the compute units it uses; None if it fails."""
        config = {**_config(CONFIRMED, None), "encoding": "base64", "sigVerify": False, "replaceRecentBlockhash": True}
        params = [base64.b64encode(raw).decode(), config]
        return await self.ask("simulateTransaction", params, answers.units, lane, None)

    async def wait_for_signature(
        self, signature: str, seconds: float, *, commitment: str = CONFIRMED
    ) -> SignatureStatus | None:
        """Return the signature's status once a node reports it at `commitment`, None after `seconds`.

        One node's word: ask for the transaction before believing it. None says nothing about what may still land.
        """
        return await self._waiting.wait(signature, seconds, commitment)

    async def close(self) -> None:
        """Let go of connections, of who waits and of what still runs in the background."""
        await self._waiting.close()
        await super().close()


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

"""The signer's own nodes: what it believes about the chain, it has from them alone.

Named in its own settings and asked over its own connections; the desk's node client is not used, since whoever
controls the desk would control it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog
from solders.pubkey import Pubkey

from apps.wallets.signer.reasons import Reason, Refused
from apps.wallets.signer.tally import Reach

log = structlog.get_logger(__name__)
MAINNET_GENESIS = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
_SECONDS = 4.0
#: Who asks how the signer is waits for three seconds, whether nodes answer or not.
_NETWORK_SECONDS = 1.5
#: Blocks for which a blockhash is taken, and as many again: the node that told the height may have been behind.
_OVER_AFTER_BLOCKS = 150 + 150
#: Answers of a node that is unwell or behind: another may do better.
_PASSING_CODES = frozenset({-32004, -32005, -32007, -32014, -32016, -32603, 429, -32429, -32000})
_TOKEN_ACCOUNT_BYTES = 166
_TABLE_PROGRAM = "AddressLookupTab1e1111111111111111111111111"
_TABLE_HEADER_BYTES, _KEY_BYTES = 56, 32


class NodeRefused(Exception):
    """A node understood and said no, by a JSON-RPC code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code


@dataclass(frozen=True, slots=True)
class ChainAccount:
    """An account as a node tells it; `data` is its beginning only."""

    owner: str
    lamports: int
    executable: bool
    data: bytes
    space: int


class Nodes:
    """The nodes in order of preference; the first that answers is believed."""

    def __init__(self, urls: Sequence[str], session: aiohttp.ClientSession) -> None:
        self.urls = tuple(urls)
        self.reach = Reach()
        self._session = session
        self._numbers = itertools.count(1)
        self._tables: dict[str, list[str]] = {}
        self._network: str | None = None

    async def call(self, method: str, *parameters: Any, node: str | None = None) -> Any:
        """Return the result of one call.

        Raises:
            NodeRefused: the node said no for good.
            Refused: NODE_UNAVAILABLE, no node answered.
        """
        body = {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": list(parameters)}
        for url in (node,) if node else self.urls:
            try:
                async with asyncio.timeout(_SECONDS), self._session.post(url, json=body) as response:
                    answer = json.loads(await response.read()) if response.status == 200 else None
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                log.warning("signer_node_away", method=method, error=type(error).__name__)
                self.reach.failed()
                continue
            refusal = (answer.get("error") or {}) if isinstance(answer, dict) else None
            if (
                not isinstance(answer, dict)
                or not isinstance(refusal, dict)
                or ("result" not in answer and refusal.get("code") in _PASSING_CODES)
            ):
                self.reach.failed()
                continue
            self.reach.answered()
            if "result" in answer:
                return answer["result"]
            raise NodeRefused(int(refusal.get("code", 0)), str(refusal.get("message", ""))[:200])
        if node is None:
            self.reach.lost()
        raise Refused(Reason.NODE_UNAVAILABLE, "None of the signer's own nodes answered.")

    async def height(self, commitment: str = "processed", node: str | None = None) -> int:
        return int(await self.call("getBlockHeight", {"commitment": commitment}, node=node))

    async def accounts(self, keys: Sequence[str]) -> list[ChainAccount | None]:
        """Return the accounts, each with the beginning of its data."""
        config = {
            "encoding": "base64",
            "commitment": "confirmed",
            "dataSlice": {"offset": 0, "length": _TOKEN_ACCOUNT_BYTES},
        }
        result = await self.call("getMultipleAccounts", list(keys), config)
        return [read_account(told) for told in result["value"]]

    async def simulate(self, transaction: bytes, addresses: Sequence[str]) -> Mapping[str, Any]:
        """Return what a transaction would do as it is, its own blockhash included; no signature is looked at."""
        config = {
            "encoding": "base64",
            "commitment": "confirmed",
            "sigVerify": False,
            "replaceRecentBlockhash": False,
            "innerInstructions": True,
            "accounts": {"encoding": "base64", "addresses": list(addresses)},
        }
        result = await self.call("simulateTransaction", b64encode(transaction).decode(), config)
        value = result["value"]
        if not isinstance(value, dict):
            raise Refused(Reason.SIMULATION_INCOMPLETE, "The node's answer was no simulation.")
        return value

    async def table(self, key: str, highest: int) -> list[str]:
        """Return a lookup table's addresses up to a place at least. Tables only grow, so what is known stays true.

        Raises:
            Refused: LOOKUP_TABLE.
        """
        known = self._tables.get(key)
        if known is None or len(known) <= highest:
            result = await self.call("getAccountInfo", key, {"encoding": "base64", "commitment": "confirmed"})
            known = _table_addresses(result["value"])
            if len(known) <= highest:
                raise Refused(Reason.LOOKUP_TABLE, "The transaction uses a place of a lookup table that is empty.")
            self._tables[key] = known
        return known

    async def can_land_no_more(self, signature: str | None, height: int) -> bool:
        """Tell whether a transaction that was alive at a height is dead: no node knows it, and its time is over.

        Every node that answers has to agree that it is unknown, and each has to be past the height, finalized.
        """
        agreed = 0
        for url in self.urls:
            try:
                if await self.height("finalized", node=url) <= height + _OVER_AFTER_BLOCKS:
                    return False
                if signature is not None:
                    config = {"searchTransactionHistory": True}
                    result = await self.call("getSignatureStatuses", [signature], config, node=url)
                    if result["value"] != [None]:
                        return False
            except Refused:
                continue
            agreed += 1
        return agreed > 0

    async def network(self) -> str:
        """Return mainnet, testnet, or unknown while no node answers."""
        if self._network is None:
            try:
                async with asyncio.timeout(_NETWORK_SECONDS):
                    genesis = await self.call("getGenesisHash")
            except (Refused, NodeRefused, TimeoutError):
                return "unknown"
            self._network = "mainnet" if genesis == MAINNET_GENESIS else "testnet"
        return self._network


def read_account(told: Any) -> ChainAccount | None:
    """Return an account of a node's answer; None for one that does not exist."""
    if told is None:
        return None
    data = b64decode(told["data"][0])
    return ChainAccount(told["owner"], told["lamports"], told["executable"], data, told.get("space", len(data)))


def _table_addresses(told: Any) -> list[str]:
    account = read_account(told)
    if account is None or account.owner != _TABLE_PROGRAM:
        raise Refused(Reason.LOOKUP_TABLE, "The transaction uses a lookup table that does not exist.")
    listed = account.data[_TABLE_HEADER_BYTES:]
    return [str(Pubkey(listed[at : at + _KEY_BYTES])) for at in range(0, len(listed) - _KEY_BYTES + 1, _KEY_BYTES)]

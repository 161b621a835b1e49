"""A buy and the sale of what it brings at once, from Jupiter's V1: to be tried on a node, never to be signed.

V1, because it builds a sale of tokens the wallet does not have yet. Routes are kept short, so that both fit into one
transaction.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

import orjson

from apps.core.http import Answer, Lane, ProviderMalformed, ProviderRejected, async_client
from apps.core.http.answers import to_json
from apps.core.money import SOL_MINT
from apps.trading.adapters import jupiter
from apps.trading.adapters.jupiter import PROVIDER, read_quote
from apps.trading.adapters.jupiter_orders import V1_QUOTE_PATH, V1_SWAP_PATH

_FEWEST_ACCOUNTS = 24


@dataclass(frozen=True, slots=True)
class Trial:
    """What going in with `spent_lamports` and out again at once would bring. The transactions are unsigned.

    `bought_base_units` is the least the buy promises, and what the sale is quoted for; `back_lamports` the sale's own
    quote. The transactions are None where Jupiter quoted and would not build.
    """

    spent_lamports: int
    bought_base_units: int
    back_lamports: int
    buy: bytes | None = field(repr=False)
    sale: bytes | None = field(repr=False)


async def round_trip(*, mint: str, lamports: int, taker: str, slippage_bps: int, deadline_seconds: float) -> Trial:
    """Quote and build a buy of `lamports` and the sale of the least it promises.

    Raises:
        TokenNotTradable: nobody quotes one of them. ProviderError: no usable answer in time.
    """
    buy = await _quote(SOL_MINT, mint, lamports, slippage_bps, deadline_seconds)
    bought = _least(buy.payload)
    sale = await _quote(mint, SOL_MINT, bought, slippage_bps, deadline_seconds)
    back = read_quote(sale, (mint, SOL_MINT, bought)).out_amount
    built = await asyncio.gather(*(_build(quote, taker, deadline_seconds) for quote in (buy, sale)))
    return Trial(lamports, bought, back, *built)


async def _quote(source: str, target: str, amount: int, slippage_bps: int, deadline_seconds: float) -> Answer:
    query: list[tuple[str, str | int]] = [
        ("inputMint", source),
        ("outputMint", target),
        ("amount", amount),
        ("slippageBps", slippage_bps),
        ("maxAccounts", _FEWEST_ACCOUNTS),
        ("restrictIntermediateTokens", "true"),
    ]
    try:
        answer = await async_client(PROVIDER).get(
            "quote_v1", V1_QUOTE_PATH, query, lane=Lane.ENTRY_QUOTE, deadline_seconds=deadline_seconds
        )
    except ProviderRejected as refused:
        raise jupiter.meaning(refused, (source, target, amount)) from refused
    read_quote(answer, (source, target, amount))
    return answer


def _least(payload: Any) -> int:
    try:
        least = int(payload["otherAmountThreshold"])
    except (KeyError, TypeError, ValueError):
        least = 0
    if least <= 0:
        raise ProviderMalformed(PROVIDER, "quote_v1", "jupiter's quote promises no minimum")
    return least


async def _build(quoted: Answer, taker: str, deadline_seconds: float) -> bytes | None:
    """Return the transaction of a quote; None when Jupiter would not build it."""
    body = {
        "quoteResponse": orjson.Fragment(to_json(quoted.payload)),
        "userPublicKey": taker,
        "wrapAndUnwrapSol": True,
        "dynamicComputeUnitLimit": False,
        "skipUserAccountsRpcCalls": True,
    }
    try:
        built = await async_client(PROVIDER).post(
            "swap_v1",
            orjson.dumps(body),
            path=V1_SWAP_PATH,
            lane=Lane.ENTRY_QUOTE,
            deadline_seconds=deadline_seconds,
        )
    except ProviderRejected:
        return None
    text = built.payload.get("swapTransaction") if isinstance(built.payload, dict) else None
    try:
        return base64.b64decode(text, validate=True) if text else None
    except (binascii.Error, ValueError, TypeError):
        return None

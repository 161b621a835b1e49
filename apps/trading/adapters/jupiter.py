"""Quotes from Jupiter's Swap V2: `/order` without a taker, which prices a swap and builds nothing.

Amounts are integers of base units. Jupiter states price impact as a negative number for a loss; here it is a signed
fraction where positive is the loss, as `domain.fills.Quote` says. The answer is kept whole as the quote's payload.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from apps.core.errors import SoldeskError
from apps.core.http import (
    Answer,
    Lane,
    ProviderError,
    ProviderMalformed,
    ProviderRejected,
    async_client,
    call_loop,
    client,
)
from apps.core.money import MONEY
from apps.trading.domain.fills import Quote
from apps.trading.errors import TokenNotTradable

PROVIDER = "jupiter"
OPERATION = "quote"
PATH = "/swap/v2/order"

QuoteLane = Literal["entry", "exit", "check"]
QuoteRequest = tuple[str, str, int]  # input mint, output mint, base units of the input

_LANES = {"entry": Lane.ENTRY_QUOTE, "exit": Lane.EXIT_QUOTE, "check": Lane.REST}
#: Refusals that say something about the token, not about us.
_NO_ROUTE_CODES = frozenset(
    {
        "TOKEN_NOT_TRADABLE",
        "NO_ROUTES_FOUND",
        "COULD_NOT_FIND_ANY_ROUTE",
        "ROUTE_PLAN_DOES_NOT_CONSUME_ALL_THE_AMOUNT",
        "MARKET_NOT_FOUND",
        "NOT_SUPPORTED",
    }
)
#: `/order` also refuses without a code; these sentences mean the same.
_NO_ROUTE_SENTENCE = re.compile(r"failed to get quotes|not tradable|could not find any route|no routes? found", re.I)
_U64_MAX = 2**64 - 1
_INTEGER = re.compile(r"\d{1,20}", re.ASCII)
_ABSURD_IMPACT = Decimal(1_000_000)


async def quote(
    input_mint: str, output_mint: str, amount_base_units: int, *, lane: QuoteLane, deadline_seconds: float
) -> Quote:
    """Return a quote for swapping exactly `amount_base_units` of the input.

    Raises:
        TokenNotTradable: no route leads from one mint to the other for this amount.
        ProviderError: no usable quote came within the deadline, or the budget of the lane is spent.
    """
    request = (input_mint, output_mint, amount_base_units)
    try:
        answer = await async_client(PROVIDER).get(
            OPERATION, PATH, _query(request), lane=_LANES[lane], deadline_seconds=deadline_seconds
        )
    except ProviderRejected as refused:
        raise meaning(refused, request) from refused
    return read_quote(answer, request)


def quote_now(
    input_mint: str, output_mint: str, amount_base_units: int, *, lane: QuoteLane, deadline_seconds: float
) -> Quote:
    """Do as `quote`, in the calling thread.

    Raises:
        TokenNotTradable, ProviderError: as `quote`.
    """
    request = (input_mint, output_mint, amount_base_units)
    try:
        answer = client(PROVIDER).get(
            OPERATION, PATH, _query(request), lane=_LANES[lane], deadline_seconds=deadline_seconds
        )
    except ProviderRejected as refused:
        raise meaning(refused, request) from refused
    return read_quote(answer, request)


def quote_many(
    requests: Sequence[QuoteRequest], *, lane: QuoteLane, deadline_seconds: float
) -> list[Quote | SoldeskError]:
    """Return what came of each of `requests`, asked for at once, in their order: its quote, or the error instead.

    The errors are those of `quote`. Not to be called from an event loop.
    """
    if len(requests) == 1:
        try:
            return [quote_now(*requests[0], lane=lane, deadline_seconds=deadline_seconds)]
        except SoldeskError as error:
            return [error]
    return call_loop.run(_gather(requests, lane, deadline_seconds))


async def _gather(
    requests: Sequence[QuoteRequest], lane: QuoteLane, deadline_seconds: float
) -> list[Quote | SoldeskError]:
    calls = (quote(*request, lane=lane, deadline_seconds=deadline_seconds) for request in requests)
    answers: list[Quote | SoldeskError] = []
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, SoldeskError):
            raise outcome
        answers.append(outcome)
    return answers


def read_quote(answer: Answer, request: QuoteRequest) -> Quote:
    """Return the quote an answer holds.

    Raises:
        ProviderMalformed: another swap than asked for, or an amount that is missing, zero or no 64-bit integer.
        ProviderRejected: the answer itself says that it is an error.
    """
    payload = answer.payload
    if not isinstance(payload, dict):
        raise _malformed("is not an object")
    error_code = payload.get("errorCode")
    if error_code not in (None, 0, "0", ""):
        raise ProviderRejected(
            PROVIDER,
            OPERATION,
            http_status=answer.status,
            body_code=str(error_code)[:64],
            body_message=str(payload.get("errorMessage") or "")[:200],
        )
    input_mint, output_mint, amount = request
    if (payload.get("inputMint"), payload.get("outputMint")) != (input_mint, output_mint):
        raise _malformed("is about other mints")
    in_amount, out_amount = _amount(payload.get("inAmount")), _amount(payload.get("outAmount"))
    if in_amount != amount:
        raise _malformed("is for another amount")
    if not out_amount:
        raise _malformed("gives nothing")
    slippage = payload.get("slippageBps")
    return Quote(
        input_mint=input_mint,
        output_mint=output_mint,
        in_amount=in_amount,
        out_amount=out_amount,
        price_impact=loss_fraction(payload),
        slippage_bps=slippage if type(slippage) is int and 0 <= slippage <= 10_000 else 0,
        payload=payload,
        source=PROVIDER,
        quoted_at=datetime.now(UTC),
    )


def loss_fraction(payload: dict[str, Any]) -> Decimal:
    """Return the price impact as a signed fraction, positive for a loss; 0 when the answer does not say.

    `priceImpactPct` is a fraction and `priceImpact` percentage points, both negative for a loss.

    >>> loss_fraction({"priceImpactPct": "-0.000951"}), loss_fraction({"priceImpact": Decimal("-0.0951")})
    (Decimal('0.000951'), Decimal('0.000951'))
    """
    fraction = _decimal(payload.get("priceImpactPct"))
    if fraction is None:
        points = _decimal(payload.get("priceImpact"))
        fraction = None if points is None else points.scaleb(-2, context=MONEY)
    return Decimal(0) if fraction is None or fraction == 0 else MONEY.minus(fraction)


def _query(request: QuoteRequest) -> list[tuple[str, str | int]]:
    input_mint, output_mint, amount = request
    return [("inputMint", input_mint), ("outputMint", output_mint), ("amount", amount)]


def meaning(refused: ProviderRejected, request: QuoteRequest) -> ProviderError | TokenNotTradable:
    """Return what a refusal says: that there is no route, or itself."""
    if refused.http_status == 400 and (
        refused.body_code in _NO_ROUTE_CODES
        or (not refused.body_code and _NO_ROUTE_SENTENCE.search(refused.body_message))
    ):
        return TokenNotTradable(request[0], request[1], reason=refused.body_code or "NO_ROUTE")
    return refused


def _malformed(why: str) -> ProviderMalformed:
    return ProviderMalformed(PROVIDER, OPERATION, f"jupiter's quote {why}")


def _amount(value: Any) -> int | None:
    if type(value) is int:
        return value if 0 <= value <= _U64_MAX else None
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        number = int(value)
        return number if number <= _U64_MAX else None
    return None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < _ABSURD_IMPACT else None

"""What a swap cost, read from the aggregator's answer as it is stored with the transaction (trading.md 5.1).

The payload is flat (a quote) or {orderResponse, executeResponse}. Unknown is None, never zero; sums count None as zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Any

from apps.core.money import LAMPORTS_PER_SOL, MONEY, SOL_MINT

_BPS = 10_000
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_LARGEST_EXPONENT = 38


@dataclass(frozen=True, slots=True)
class SwapFees:
    """Fees in lamports, exact. `protocol` is None when it cannot be told, the network lines when there is no order."""

    protocol: Decimal | None
    signature: Decimal | None
    priority: Decimal | None
    rent: Decimal | None

    @property
    def network(self) -> Decimal | None:
        """Signature, priority and rent together."""
        if self.signature is None or self.priority is None or self.rent is None:
            return None
        return self.signature + self.priority + self.rent

    @property
    def protocol_sol(self) -> Decimal | None:
        return _in_sol(self.protocol)

    @property
    def network_sol(self) -> Decimal | None:
        return _in_sol(self.network)

    @property
    def protocol_lamports(self) -> int:
        """What is booked: whole lamports, rounded up because it goes out; 0 when unknown."""
        return _whole(self.protocol)

    @property
    def network_lamports(self) -> int:
        """What is booked: whole lamports, rounded up because it goes out; 0 when unknown."""
        return _whole(self.network)


NO_FEES = SwapFees(None, None, None, None)


def swap_fees(payload: Any, *, sol_lamports: int | None = None) -> SwapFees:
    """Read the fees of a swap. `sol_lamports` replaces the SOL side for a share of a bigger quote.

    >>> quote = {"inputMint": SOL_MINT, "outputMint": "T", "inAmount": "1000000000", "feeBps": 10,
    ...          "signatureFeeLamports": 5000}
    >>> swap_fees(quote).protocol_sol, swap_fees(quote).network_lamports
    (Decimal('0.001'), 5000)
    """
    if not isinstance(payload, Mapping):
        return NO_FEES
    order, executed = _parts(payload)
    if order is None:
        return NO_FEES
    return SwapFees(
        protocol=_protocol_fee(order, executed, sol_lamports),
        signature=_lamports(order.get("signatureFeeLamports")),
        priority=_lamports(order.get("prioritizationFeeLamports")),
        rent=_lamports(order.get("rentFeeLamports")),
    )


def _parts(payload: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    if "orderResponse" not in payload and "executeResponse" not in payload:
        return payload, None
    order, executed = payload.get("orderResponse"), payload.get("executeResponse")
    return (
        order if isinstance(order, Mapping) else None,
        executed if isinstance(executed, Mapping) else None,
    )


def _protocol_fee(
    order: Mapping[str, Any], executed: Mapping[str, Any] | None, sol_lamports: int | None
) -> Decimal | None:
    given = order.get("platformFee")
    platform: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    bps = _lamports(_first(platform.get("feeBps"), order.get("feeBps")))
    if bps <= 0:
        return Decimal(0)
    fee_mint = _first(platform.get("feeMint"), order.get("feeMint"))
    if fee_mint and fee_mint != SOL_MINT:
        return None
    if order.get("inputMint") == SOL_MINT:
        swapped = executed.get("inputAmountResult") if executed is not None else order.get("inAmount")
    elif order.get("outputMint") == SOL_MINT:
        swapped = executed.get("outputAmountResult") if executed is not None else order.get("outAmount")
    else:
        return None
    lamports = _lamports(swapped) if sol_lamports is None else Decimal(sol_lamports)
    if lamports == 0:
        return None
    with localcontext(MONEY):
        return lamports * bps / _BPS


def _first(preferred: Any, fallback: Any) -> Any:
    return fallback if preferred is None else preferred


def _lamports(value: Any) -> Decimal:
    """Read a number or a text holding one; anything else counts as 0."""
    if isinstance(value, bool):
        return Decimal(0)
    if isinstance(value, (int, Decimal)):
        number = Decimal(value)
    elif isinstance(value, (float, str)):
        text = repr(value) if isinstance(value, float) else value.strip()
        number = Decimal(text) if _NUMBER.fullmatch(text) else Decimal(0)
    else:
        return Decimal(0)
    return number if number.is_finite() and number.adjusted() <= _LARGEST_EXPONENT else Decimal(0)


def _in_sol(lamports: Decimal | None) -> Decimal | None:
    return None if lamports is None else MONEY.divide(lamports, Decimal(LAMPORTS_PER_SOL))


def _whole(lamports: Decimal | None) -> int:
    if lamports is None or lamports <= 0:
        return 0
    return int(lamports.to_integral_value(rounding=ROUND_CEILING))

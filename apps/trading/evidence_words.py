"""What the token safety gate looked at before a live buy, as sentences; from the evidence an order keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from apps.core import formatting
from apps.core.money import D, lamports_to_sol
from apps.trading.domain import token_safety

_AUTHORITIES = (
    ("mint_authority", "make new tokens"),
    ("freeze_authority", "freeze tokens"),
    ("permanent_delegate", "take anybody's tokens"),
    ("mint_close_authority", "close the mint"),
    ("pause_authority", "stop all transfers"),
    ("transfer_fee_authority", "change the transfer fee"),
)
_FLAGS = (
    ("is_default_frozen", "What is bought is frozen from the start."),
    ("is_non_transferable", "Tokens cannot be transferred."),
    ("is_paused", "All transfers are stopped."),
    ("has_confidential_transfer", "Balances can be hidden."),
)


def lines_of(evidence: Mapping[str, Any] | None) -> list[str]:
    """Return one sentence for each thing that was looked at: verdict, mint, prices, the way out, allowances."""
    if not evidence:
        return []
    against = [token_safety.MESSAGES.get(code, code) for code in evidence.get("codes") or ()]
    return [
        f"Refused. {' '.join(against)}" if against else "Nothing spoke against it.",
        *_mint(evidence.get("mint")),
        _prices(evidence.get("prices") or {}),
        _sale(evidence.get("sale") or {}),
        *_allowed(evidence.get("allowed") or {}),
    ]


def _mint(mint: Mapping[str, Any] | None) -> Iterable[str]:
    if mint is None:
        yield "No node told what the mint is."
        return
    newer = mint.get("program") == token_safety.SPL_2022
    extensions = ", ".join(mint.get("extensions") or ()) or "no extension"
    yield f"A mint of Token-2022 with {extensions}." if newer else "A mint of the older token program."
    holders = [f"{mint[name]} can {may}" for name, may in _AUTHORITIES if mint.get(name)]
    yield f"{'; '.join(holders)}." if holders else "Nobody can make new tokens, freeze or take them."
    if mint.get("transfer_fee_bps"):
        yield f"Each transfer costs {int(mint['transfer_fee_bps']) / 100:g} % of the tokens."
    if mint.get("transfer_hook_program"):
        yield f"The program {mint['transfer_hook_program']} decides about each transfer."
    if mint.get("unknown_extensions"):
        yield f"Extensions this desk does not know: {', '.join(map(str, mint['unknown_extensions']))}."
    for name, text in _FLAGS:
        if mint.get(name):
            yield text


def _prices(prices: Mapping[str, str]) -> str:
    if not prices:
        return "No source told a fresh price."
    told = [f"{source} {formatting.price(D(price))} SOL" for source, price in sorted(prices.items())]
    return f"Prices: {', '.join(told)}."


def _sale(sale: Mapping[str, Any]) -> str:
    spent, back = sale.get("spentLamports"), sale.get("backLamports")
    if spent is None:
        return "No sale was tried."
    if back is None:
        return f"Nobody quoted a sale of what {formatting.sol(lamports_to_sol(spent))} SOL would buy ({sale['error']})."
    trip = (
        f"Selling at once what {formatting.sol(lamports_to_sol(spent))} SOL buy would bring"
        f" {formatting.sol(lamports_to_sol(back))} SOL"
    )
    if sale.get("succeeded"):
        return f"{trip}; tried on a node, both went through."
    if sale.get("succeeded") is None:
        return f"{trip}; no node could try it ({sale.get('error') or 'no answer'})."
    return f"{trip}; tried on a node, it failed ({sale.get('error')})."


def _allowed(allowed: Mapping[str, Any]) -> Iterable[str]:
    if allowed:
        names = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in sorted(allowed.items()))
        yield f"The agent lets pass: {names}."

"""What pages of orders and executions say in words: why, what it cost line by line, and what was looked at."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.chain import explorers
from apps.core.adminkit import cells
from apps.core.money import lamports_to_sol
from apps.trading import evidence_words
from apps.trading.domain.landed_swap import LandedSwap
from apps.trading.models import Order, OrderSide, SignalExecution
from apps.trading.services import reason_words


def why(code: str, detail: str = "") -> SafeString:
    """Return a code as a sentence, with what was told besides."""
    if not code:
        return cells.DASH
    said = reason_words.sentence(code)
    more = detail if detail and detail not in said else ""
    return format_html("{} {}", said or code.replace("_", " ").capitalize() + ".", more)


def reasons(execution: SignalExecution) -> SafeString:
    """Return each reason of a verdict as a sentence."""
    codes = execution.reasons or ([execution.code] if execution.code else [])
    return _lines([why(code) for code in codes]) if codes else cells.DASH


def money(order: Order) -> SafeString:
    """Return what a landed order moved, each fee a line of its own."""
    if order.fill is None:
        return cells.DASH
    landed = LandedSwap.from_document(order.fill)
    shown = [(title, cells.sol(lamports_to_sol(lamports), signed=True)) for title, lamports in _moved(order, landed)]
    return format_html(
        '<span class="sd-facts">{}</span>',
        format_html_join("", '<span class="sd-fact"><b>{}</b> <span>{}</span></span>', shown),
    )


def _moved(order: Order, landed: LandedSwap) -> Iterator[tuple[str, int]]:
    """Yield each line in lamports as the wallet saw it; the last is their sum."""
    buys = order.side == OrderSide.BUY
    if landed.swap_lamports:
        yield ("Paid for the tokens", -landed.swap_lamports) if buys else ("The tokens brought", landed.swap_lamports)
    yield "Network fee", -landed.network_fee_lamports
    yield "Priority fee", -landed.priority_fee_lamports
    yield "Tip", -landed.tip_lamports
    if landed.protocol_fee_lamports:
        within = "Aggregator's fee, within that" if buys else "Aggregator's fee, already off"
        yield within, -landed.protocol_fee_lamports
    if landed.rent_lamports:
        yield "Rent, a deposit", -landed.rent_lamports
    yield "The wallet in all", landed.wallet_lamports_delta


def evidence(order: Order | None) -> SafeString:
    """Return what the token safety gate looked at, in sentences."""
    lines = evidence_words.lines_of(None if order is None else order.evidence)
    return _lines(lines) if lines else cells.DASH


def signature(text: str | None) -> SafeString:
    """Return a signature, linked to the explorer of the cluster where there is one."""
    if not text:
        return cells.DASH
    address = explorers.here(text)
    if address is None:
        return format_html('<span class="sd-signature" data-copy="{}" title="Click to copy">{}</span>', text, text)
    link = '<a class="sd-link sd-signature" href="{}" target="_blank" rel="noopener noreferrer">{}</a>'
    return format_html(link, address, text)


def order_of(execution: SignalExecution) -> Order | None:
    """Return the last live order of a verdict."""
    wanted = Order.objects.filter(signal_id=execution.signal_id, agent_id=execution.agent_id, purpose="entry")
    return wanted.order_by("-attempt").first()


def order_link(execution: SignalExecution) -> SafeString:
    return cells.link(order_of(execution))


def _lines(lines: list[str] | list[SafeString]) -> SafeString:
    shown = format_html_join("", '<span class="sd-fact"><span>{}</span></span>', ((line,) for line in lines))
    return format_html('<span class="sd-facts">{}</span>', shown)

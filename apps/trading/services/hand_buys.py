"""A buy a person asks for: one agent, now, through the same rules, gate and booking as a signal's entry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import transaction as database
from django.utils import timezone

from apps.accounts.models import User
from apps.agents.models import Agent
from apps.core.errors import SoldeskError
from apps.core.money import lamports_to_sol
from apps.prices import services as prices
from apps.trading import metrics
from apps.trading.domain import entry_rules, exit_decision, loss_limits, price_impact, sizing
from apps.trading.domain.entry_rules import EntryRequest
from apps.trading.errors import BuyPending, EntryRefused
from apps.trading.models import Order, OrderStatus
from apps.trading.selectors import candidates
from apps.trading.selectors.candidates import Candidate
from apps.trading.services import booking, entry_orders, gate, quoting, reason_words
from apps.trading.services.booking import EntryOrder, TokenView
from apps.trading.services.quoting import Share, Wanted
from apps.trading.services.verdicts import Outcome
from apps.wallets import selectors as wallets
from apps.wallets.models import Transaction, Wallet

WAIT_SECONDS = 15.0
_SHORTEST_LOOK_SECONDS = 0.01
_LONGEST_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class EntryResult:
    """A buy by hand as it was booked; amounts in whole SOL and tokens, price in SOL per token, both without fees.

    `stop_loss_percentage` is None while the agent's stop loss is off.
    """

    transaction_id: UUID
    position_id: UUID
    input_amount: Decimal
    output_amount: Decimal
    purchase_price: Decimal
    stop_loss_percentage: Decimal | None
    signal_id: int | None
    transaction_hash: str | None = None
    #: There is a position, and it is watched, whichever exits are on.
    stop_loss_initialized: bool = True


def buy_by_hand(
    *,
    agent: Agent,
    token_address: str,
    actor: User | None,
    wallet_address: str | None = None,
    token_symbol: str | None = None,
    signal_id: int | None = None,
    position_size_sol: Decimal | None = None,
    on_booked: Callable[[EntryResult], None] = lambda _: None,
    on_reserved: Callable[[UUID], None] = lambda _: None,
    timeout_seconds: float = WAIT_SECONDS,
) -> EntryResult:
    """Buy a token for one agent now, paused or not, through the same gate and booking as a signal's entry.

    `position_size_sol` None works the size out from balance and configuration. `on_booked` runs in the transaction of
    the booking, and by raising undoes it. A live buy is an order: `on_reserved` runs in the transaction that reserves
    it, with its id, and then its end is waited for. Not to be called in a transaction.

    Raises:
        BuyPending: a live order has not landed within `timeout_seconds`; it goes on to its end.
        EntryRefused: with the code of the rule, TOKEN_NOT_TRADABLE, or PRICE_IMPACT_TOO_HIGH.
        TokenNotTradable: nobody quotes the token for this amount.
        ProviderError: the aggregator gave no quote; nothing was booked.
    """
    with _measured():
        bought = _buy(
            agent,
            token_address,
            actor,
            wallet_address,
            token_symbol,
            signal_id,
            position_size_sol,
            on_booked,
            on_reserved,
        )
        return bought if isinstance(bought, EntryResult) else wait_for_order(bought, timeout_seconds=timeout_seconds)


def wait_for_order(order_id: UUID, *, timeout_seconds: float = WAIT_SECONDS) -> EntryResult:
    """Wait until a live buy has landed and is booked, and return it.

    Raises:
        BuyPending: it has not ended within `timeout_seconds`.
        EntryRefused: it ended without landing; with the code of the rule, or EXECUTION_FAILED and the cause.
    """
    until, look = time.monotonic() + timeout_seconds, _SHORTEST_LOOK_SECONDS
    while True:
        order = Order.objects.select_related("transaction__position").get(pk=order_id)
        if order.status in (OrderStatus.FAILED, OrderStatus.EXPIRED):
            raise _ended(order)
        if order.transaction is not None:
            return _landed(order, order.transaction)
        if time.monotonic() >= until:
            raise BuyPending(order_id=order_id)
        time.sleep(min(look, max(0.0, until - time.monotonic())))
        look = min(look * 2, _LONGEST_LOOK_SECONDS)


def _ended(order: Order) -> EntryRefused:
    if order.code in _MESSAGES:
        return _refusal(order.code)
    return _refusal(booking.EXECUTION_FAILED, order.code or order.status)


def _landed(order: Order, booked: Transaction) -> EntryResult:
    position = booked.position
    assert position is not None and booked.input_amount is not None  # noqa: S101 - a buy that landed has both
    assert booked.output_amount is not None and booked.output_price is not None  # noqa: S101
    return EntryResult(
        transaction_id=booked.pk,
        position_id=position.pk,
        input_amount=booked.input_amount,
        output_amount=booked.output_amount,
        purchase_price=booked.output_price,
        stop_loss_percentage=position.stop_percent,
        signal_id=order.signal_id,
        transaction_hash=booked.transaction_hash,
    )


@contextmanager
def _measured() -> Iterator[None]:
    """Count a buy that was tried: booked, or failed by something else than a rule's refusal."""
    asked_at = time.monotonic()
    try:
        yield
    except BuyPending:
        raise
    except SoldeskError as error:
        if not isinstance(error, EntryRefused) or error.code == entry_orders.TOKEN_NOT_TRADABLE:
            metrics.entries_failed([error.code], time.monotonic() - asked_at)
        raise
    metrics.entries_booked(1, time.monotonic() - asked_at)


def _buy(
    agent: Agent,
    token_address: str,
    actor: User | None,
    wallet_address: str | None,
    token_symbol: str | None,
    signal_id: int | None,
    position_size_sol: Decimal | None,
    on_booked: Callable[[EntryResult], None],
    on_reserved: Callable[[UUID], None],
) -> EntryResult | UUID:
    """Return what was booked, or the id of the order a live wallet buys by."""
    item = candidates.of_agent(agent_id=agent.pk, mint=token_address)
    if item is None:
        raise _refusal(entry_rules.AGENT_NOT_FOUND)
    draw = sizing.draw(f"hand:{timezone.now().isoformat()}", agent.pk)
    request = entry_orders.request_of(item, draw, position_size_sol)
    if wallet_address not in (None, item.wallet_address):
        request = _elsewhere(request, wallets.list_wallets(agent=agent).filter(address=wallet_address).first())
    decision = entry_rules.decide(request)
    if not decision.allowed or decision.size_sol is None:
        raise _refusal(decision.code, decision.cause)
    token = _token(token_address, token_symbol)
    order = EntryOrder(item, _share(token, entry_orders.wanted(item, decision.size_sol)), draw, explicit=True)
    sol_usd = prices.usable_sol_usd()
    try:
        with database.atomic():
            (outcome,) = booking.book_entries(
                token=token, orders=[order], sol_usd=sol_usd, by_hand_signal=signal_id, actor=actor
            )
            if outcome.order_id is not None:
                on_reserved(outcome.order_id)
                return outcome.order_id
            result = _result(outcome, item, signal_id)
            on_booked(result)
    except DatabaseError as error:
        code = booking.error_code(error)
        if code is None:
            raise
        raise _refusal(code) from error
    return result


def _result(outcome: Outcome, item: Candidate, signal_id: int | None) -> EntryResult:
    if outcome.fill is None or outcome.transaction_id is None or outcome.position_id is None:
        raise _refusal(outcome.code)
    return EntryResult(
        transaction_id=outcome.transaction_id,
        position_id=outcome.position_id,
        input_amount=lamports_to_sol(outcome.fill.swap_lamports),
        output_amount=outcome.fill.token_amount,
        purchase_price=outcome.fill.price_sol,
        stop_loss_percentage=item.config.stop_loss.default_percent
        if item.config and item.config.stop_loss.enabled
        else None,
        signal_id=signal_id,
    )


def _elsewhere(request: EntryRequest, wallet: Wallet | None) -> EntryRequest:
    """Return the request for a wallet the agent does not trade with now: not its own, or of its other mode."""
    wallet_type = request.wallet_type if wallet is None else wallet.wallet_type
    return replace(request, wallet_exists=wallet is not None, wallet_type=wallet_type)


def _token(mint: str, symbol: str | None) -> TokenView:
    token = entry_orders.token_view(mint)
    if token is None:
        raise _refusal(entry_orders.TOKEN_NOT_TRADABLE)
    return TokenView(token.mint, symbol or token.symbol, token.decimals)


def _share(token: TokenView, wanted: Wanted) -> Share:
    quoted = quoting.share_out([wanted], quoting.quotes_for_buy(token.mint))
    if wanted.buyer in quoted.errors:
        raise quoted.errors[wanted.buyer]
    if wanted.buyer not in quoted.shares:
        raise _refusal(price_impact.PRICE_IMPACT_TOO_HIGH)
    return quoted.shares[wanted.buyer]


_MESSAGES = {
    **entry_rules.MESSAGES,
    **gate.MESSAGES,
    **loss_limits.MESSAGES,
    entry_orders.TOKEN_NOT_TRADABLE: "Nobody quotes this token.",
    price_impact.PRICE_IMPACT_TOO_HIGH: "The buy would move the price more than the agent allows, at every size tried.",
    exit_decision.WALLET_RESET: "The wallet was reset meanwhile; nothing was booked.",
    booking.EXECUTION_FAILED: "The buy did not land; nothing was bought.",
}


def _refusal(code: str, cause: str | None = None) -> EntryRefused:
    message = _MESSAGES.get(code, "The buy was refused.")
    if code == booking.EXECUTION_FAILED and cause is not None and (said := reason_words.sentence(cause)):
        message = f"Nothing was bought. {said}"
    return EntryRefused(code, message, **({"cause": cause} if cause else {}))

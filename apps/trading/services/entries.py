"""From a signal (or a hand) to booked positions: who is eligible, how much each buys, at which quote, then `booking`.

Durable by the signal's row: leased while worked on, due again if this process dies, done once all agents have verdicts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db import transaction as database
from django.utils import timezone

from apps.accounts.models import User
from apps.agents.models import Agent
from apps.core import database_errors, outbox
from apps.core.errors import SoldeskError
from apps.core.http import errors as provider_errors
from apps.core.money import sol_to_lamports
from apps.prices import services as prices
from apps.signals import queue
from apps.signals.queue import LeasedSignal
from apps.trading import errors
from apps.trading.domain import eligibility, entry_rules, fills, price_impact, sizing
from apps.trading.domain.eligibility import SignalView, TokenMetrics
from apps.trading.domain.entry_rules import EntryRequest
from apps.trading.selectors import candidates as candidate_reads
from apps.trading.selectors.candidates import Candidate
from apps.trading.services import booking, gate, quoting, verdicts
from apps.trading.services.booking import EntryOrder, TokenView
from apps.trading.services.quoting import Share, Wanted
from apps.trading.services.verdicts import Outcome

log = structlog.get_logger(__name__)

TOKEN_NOT_TRADABLE = "TOKEN_NOT_TRADABLE"  # noqa: S105 - a code, no secret
EXECUTION_FAILED = "EXECUTION_FAILED"
#: A signal younger than this is traded without asking how far the price has moved since it came.
DRIFT_CHECK_SECONDS = 5
#: What a constraint means when two bookings met it at once.
_CONSTRAINT_CODES = {
    "position_one_open": entry_rules.POSITION_EXISTS,
    "agent_state_open_positions": entry_rules.MAX_POSITIONS_EXCEEDED,
}


@dataclass(frozen=True, slots=True)
class SignalReport:
    """How a signal ended: agents by verdict, and how long it took since it was leased."""

    signal_id: int
    executed: int
    skipped: int
    failed: int
    seconds: float


def process_signal(signal_id: int) -> SignalReport | None:
    """Trade a signal for every agent of its owner that wants it; None when it is done or in other hands.

    Safe to run twice, at once or after a crash: each (signal, agent) pair gets exactly one verdict. Errors that pass
    (provider away, connection lost, deadlock) give the signal back to be tried again until it is too old to trade.
    """
    started = time.monotonic()
    signal = queue.lease(signal_id)
    if signal is None:
        return None
    try:
        signal = _trade(signal)
    except queue.LeaseLost:
        log.warning("signal_lease_lost", signal_id=signal.id, attempt=signal.attempts)
        return None
    except (DatabaseError, provider_errors.ProviderError) as error:
        log.warning("signal_given_back", signal_id=signal.id, attempt=signal.attempts, error=_name_of(error))
        _give_back(signal)
        return None
    return _finish(signal, started)


def _give_back(signal: LeasedSignal) -> None:
    """Make the signal due again; with the database away its lease does the same a little later."""
    try:
        queue.give_back(signal)
    except DatabaseError:
        connection.close()


def _trade(signal: LeasedSignal) -> LeasedSignal:
    """Bring every waiting pair to its verdict; return the signal with the lease as it was renewed on the way."""
    wanted = _orders(signal)
    if wanted is None:
        return signal
    token, orders = wanted
    sol_usd = _sol_usd()
    for start in range(0, len(orders), booking.CHUNK):
        signal = queue.keep(signal)
        _book(signal, token, orders[start : start + booking.CHUNK], sol_usd)
    return signal


def _orders(signal: LeasedSignal) -> tuple[TokenView, list[EntryOrder]] | None:
    """Return the token and what is to be booked, quoted, or None; everybody else has a verdict then."""
    waiting = candidate_reads.for_signal(
        signal_id=signal.id, user_id=signal.user_id, mint=signal.token_address, created_at=signal.created_at
    )
    if not waiting:
        return None
    age = (timezone.now() - signal.created_at).total_seconds()
    if age > settings.MAX_SIGNAL_AGE_SECONDS:
        inputs = {"ageSeconds": round(age, 3)}
        verdicts.record(signal, [Outcome.skipped(item.agent_id, [booking.SIGNAL_EXPIRED], inputs) for item in waiting])
        return None
    buyers, refused = _sort_out(signal, waiting)
    quotes = quoting.begin(signal.token_address, [_wanted(item, size) for item, size, _ in buyers])
    verdicts.record(signal, refused)
    if not buyers:
        return None
    token = _token(signal)
    if token is None:
        verdicts.record(signal, [Outcome.failed(item.agent_id, TOKEN_NOT_TRADABLE) for item, _, _ in buyers])
        return None
    return token, _quoted(signal, token, buyers, quotes, age)


def _sol_usd() -> Decimal | None:
    """Return SOL in dollars for the books: unknown while nobody has told it lately, never a default."""
    known = prices.sol_usd()
    return None if known is None or known.is_stale else known.value


_Buyer = tuple[Candidate, Decimal, Decimal]


def _sort_out(signal: LeasedSignal, waiting: Sequence[Candidate]) -> tuple[list[_Buyer], list[Outcome]]:
    """Split candidates into buyers (with size in SOL and the draw it came from) and refusals with every reason."""
    view = SignalView(signal.token_address, signal.signal_type, signal.signal_strength)
    metrics = _metrics(signal, waiting)
    buyers: list[_Buyer] = []
    refused: list[Outcome] = []
    for item in waiting:
        wanted = eligibility.decide(
            view, None if item.config is None else item.config.signals, metrics, automated=item.automated
        )
        if not wanted.allowed:
            refused.append(Outcome.skipped(item.agent_id, wanted.reasons))
            continue
        closed = gate.entry_refusal(item.desk_state, item.own_state)
        if closed is not None:
            refused.append(Outcome.skipped(item.agent_id, [closed]))
            continue
        draw = sizing.draw(signal.id, item.agent_id)
        decision = entry_rules.decide(_request(item, draw))
        if decision.allowed and decision.size_sol is not None:
            buyers.append((item, decision.size_sol, draw))
        else:
            inputs = {"balanceSol": None if item.balance_sol is None else f"{item.balance_sol:f}"}
            refused.append(Outcome.skipped(item.agent_id, [decision.cause or decision.code], inputs))
    return buyers, refused


def _metrics(signal: LeasedSignal, waiting: Sequence[Candidate]) -> TokenMetrics | None:
    """Fetch the token's figures only when somebody bounds them."""
    if not any(item.config is not None and item.config.signals.bounded for item in waiting):
        return None
    found = prices.token_metrics(signal.token_address)
    return None if found is None else TokenMetrics(found.market_cap_usd, found.liquidity_usd, found.holder_count)


def _request(item: Candidate, draw: Decimal, size_sol: Decimal | None = None) -> EntryRequest:
    return EntryRequest(
        config=item.config,
        balance_sol=item.balance_sol,
        size_sol=size_sol,
        random=draw,
        agent_mode=item.trading_mode,
        wallet_exists=item.wallet_id is not None,
        wallet_type=item.trading_mode,
        has_position=item.has_position,
        open_positions=item.open_positions,
        max_open_positions=item.max_open_positions,
    )


def _token(signal: LeasedSignal) -> TokenView | None:
    token = prices.ensure_tokens([signal.token_address]).get(signal.token_address)
    return None if token is None else TokenView(token.mint, token.symbol, token.decimals)


def _wanted(item: Candidate, size_sol: Decimal) -> Wanted:
    limit = None if item.config is None else item.config.purchase_limits.max_price_impact_fraction
    return Wanted(item.agent_id, sol_to_lamports(size_sol), limit)


def _quoted(
    signal: LeasedSignal, token: TokenView, buyers: Sequence[_Buyer], quotes: Future[dict[UUID, Share]], age: float
) -> list[EntryOrder]:
    """Return the orders of buyers a quote was found for; the others have their verdict."""
    try:
        shares = quotes.result()
    except SoldeskError as refused:
        if isinstance(refused, provider_errors.ProviderError) and not isinstance(
            refused, provider_errors.ProviderRejected
        ):
            raise
        verdicts.record(signal, [Outcome.failed(item.agent_id, refused.code) for item, _, _ in buyers])
        return []
    drifted = {agent for agent, share in shares.items() if _drifted(signal, token, share, age)}
    orders, refusals = [], []
    for item, _, draw in buyers:
        share = shares.get(item.agent_id)
        if share is None:
            refusals.append(Outcome.skipped(item.agent_id, [price_impact.PRICE_IMPACT_TOO_HIGH]))
        elif item.agent_id in drifted:
            refusals.append(Outcome.skipped(item.agent_id, [booking.SIGNAL_EXPIRED], {"ageSeconds": round(age, 3)}))
        else:
            orders.append(EntryOrder(item, share, draw))
    verdicts.record(signal, refusals)
    return orders


def _drifted(signal: LeasedSignal, token: TokenView, share: Share, age: float) -> bool:
    """Whether the price moved too far since the signal; asked only of signals that had to wait."""
    if age < DRIFT_CHECK_SECONDS:
        return False
    then = prices.price_at(token.mint, signal.created_at)
    if then is None:
        return False
    quote = share.quote
    now = fills.price_per_token(quote.in_amount, quote.out_amount, token.decimals)
    return abs(now - then) * 100 > then * settings.MAX_ENTRY_DRIFT_PERCENT


def _book(signal: LeasedSignal, token: TokenView, orders: Sequence[EntryOrder], sol_usd: Decimal | None) -> None:
    """Book a chunk; a data error bisects it until the one agent it belongs to fails alone."""
    if not orders:
        return
    try:
        booking.book_entries(
            token=token,
            orders=orders,
            sol_usd=sol_usd,
            signal=signal,
            max_age_seconds=settings.MAX_SIGNAL_AGE_SECONDS,
        )
    except verdicts.VerdictTaken:
        _book(signal, token, orders, sol_usd)
    except (DatabaseError, SoldeskError) as error:
        code = _data_error_code(error)
        if code is None:
            raise
        if len(orders) == 1:
            log.warning("entry_failed", signal_id=signal.id, agent_id=str(orders[0].candidate.agent_id), code=code)
            verdicts.record(signal, [Outcome.failed(orders[0].candidate.agent_id, code)])
            return
        middle = len(orders) // 2
        _book(signal, token, orders[:middle], sol_usd)
        _book(signal, token, orders[middle:], sol_usd)


def _data_error_code(error: Exception) -> str | None:
    """Return the verdict's code when the error belongs to the rows, None when it passes (connection, deadlock, …)."""
    if isinstance(error, SoldeskError):
        return error.code
    if not database_errors.is_data_error(error):
        return None
    constraint = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or ""
    return _CONSTRAINT_CODES.get(constraint, EXECUTION_FAILED)


def _name_of(error: Exception) -> str:
    return error.code if isinstance(error, SoldeskError) else type(error).__name__


def _finish(signal: LeasedSignal, started: float) -> SignalReport | None:
    with database.atomic():
        if not queue.finish(signal):
            return None
        counts = verdicts.count(signal.id)
        payload = {"id": signal.id, **{name: counts[name] for name in ("executed", "skipped", "failed")}}
        outbox.append([outbox.Message(f"user:{signal.user_id}", "signal_finished", payload)])
    report = SignalReport(
        signal.id, counts["executed"], counts["skipped"], counts["failed"], time.monotonic() - started
    )
    log.info(
        "signal_traded",
        signal_id=signal.id,
        symbol=signal.symbol or signal.token_address,
        executed=report.executed,
        skipped=report.skipped,
        failed=report.failed,
        ms=round(report.seconds * 1000, 1),
    )
    return report


@dataclass(frozen=True, slots=True)
class EntryResult:
    """A buy by hand as it was booked; amounts in whole SOL and tokens, price in SOL per token."""

    transaction_id: UUID
    position_id: UUID
    input_amount: Decimal
    output_amount: Decimal
    purchase_price: Decimal
    stop_loss_percentage: Decimal | None
    signal_id: int | None
    transaction_hash: str | None = None

    @property
    def stop_loss_initialized(self) -> bool:
        return self.stop_loss_percentage is not None


def buy_by_hand(
    *,
    agent: Agent,
    token_address: str,
    actor: User | None,
    wallet_address: str | None = None,
    token_symbol: str | None = None,
    signal_id: int | None = None,
    position_size_sol: Decimal | None = None,
) -> EntryResult:
    """Buy a token for one agent now, paused or not, through the same gate and booking as a signal's entry.

    `position_size_sol` None works the size out from balance and configuration.

    Raises:
        EntryRefused: with the code of the rule, TOKEN_NOT_TRADABLE, or PRICE_IMPACT_TOO_HIGH.
        ProviderError: the aggregator gave no quote; nothing was booked.
    """
    item = candidate_reads.of_agent(agent_id=agent.pk, mint=token_address)
    if item is None or item.wallet_id is None or wallet_address not in (None, "", item.wallet_address):
        raise errors.EntryRefused(entry_rules.WALLET_NOT_FOUND, entry_rules.MESSAGES[entry_rules.WALLET_NOT_FOUND])
    draw = sizing.draw(f"hand:{timezone.now().isoformat()}", agent.pk)
    decision = entry_rules.decide(_request(item, draw, position_size_sol))
    if not decision.allowed or decision.size_sol is None:
        raise _refusal(decision.code, decision.cause)
    token = _token_by_hand(token_address, token_symbol)
    shares = quoting.begin(token.mint, [_wanted(item, decision.size_sol)]).result()
    if not shares:
        raise _refusal(price_impact.PRICE_IMPACT_TOO_HIGH)
    order = EntryOrder(item, shares[agent.pk], draw, explicit=True)
    try:
        (outcome,) = booking.book_entries(
            token=token,
            orders=[order],
            sol_usd=_sol_usd(),
            by_hand_signal=signal_id,
            actor=actor,
        )
    except DatabaseError as error:
        code = _data_error_code(error)
        if code is None:
            raise
        raise _refusal(code) from error
    if outcome.fill is None or outcome.transaction_id is None or outcome.position_id is None:
        raise _refusal(outcome.code)
    return EntryResult(
        transaction_id=outcome.transaction_id,
        position_id=outcome.position_id,
        input_amount=outcome.fill.debit_sol,
        output_amount=outcome.fill.token_amount,
        purchase_price=outcome.fill.price_sol,
        stop_loss_percentage=item.config.stop_loss.default_percent
        if item.config and item.config.stop_loss.enabled
        else None,
        signal_id=signal_id,
    )


def _token_by_hand(mint: str, symbol: str | None) -> TokenView:
    token = prices.ensure_tokens([mint]).get(mint)
    if token is None:
        raise _refusal(TOKEN_NOT_TRADABLE)
    return TokenView(token.mint, symbol or token.symbol, token.decimals)


_MESSAGES = {
    **entry_rules.MESSAGES,
    **gate.MESSAGES,
    TOKEN_NOT_TRADABLE: "Nobody quotes this token.",
    price_impact.PRICE_IMPACT_TOO_HIGH: "The buy would move the price more than the agent allows, at every size tried.",
    booking.WALLET_RESET: "The wallet was reset meanwhile; nothing was booked.",
}


def _refusal(code: str, cause: str | None = None) -> errors.EntryRefused:
    message = _MESSAGES.get(code, "The buy was refused.")
    return errors.EntryRefused(code, message, **({"cause": cause} if cause else {}))

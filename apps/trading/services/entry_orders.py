"""From a signal to what is to be booked: who is eligible, how much each buys, at which quote. Books nothing itself.

Whoever is refused on the way has a verdict when this returns; what passes is judged again under lock, by `booking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.core.errors import SoldeskError
from apps.core.http import ProviderError, ProviderRejected
from apps.core.money import sol_to_lamports
from apps.prices import services as prices
from apps.signals import queue
from apps.signals.queue import LeasedSignal
from apps.trading.domain import eligibility, entry_rules, fills, price_impact, sizing
from apps.trading.domain.eligibility import SignalView, TokenMetrics
from apps.trading.domain.entry_rules import EntryRequest
from apps.trading.selectors import candidates as candidate_reads
from apps.trading.selectors.candidates import Candidate
from apps.trading.services import gate, quoting, verdicts
from apps.trading.services.booking import EntryOrder, TokenView
from apps.trading.services.quoting import Quoted, Share, Wanted
from apps.trading.services.verdicts import Outcome

TOKEN_NOT_TRADABLE = "TOKEN_NOT_TRADABLE"  # noqa: S105 - a code, no secret
#: A signal younger than this is traded without asking how far the price has moved since it came.
DRIFT_CHECK_SECONDS = 5


@dataclass(frozen=True, slots=True)
class EntryPlan:
    """Orders to book. `unanswered` is what passed in the way of a quote: its agents wait for the next attempt."""

    token: TokenView
    orders: list[EntryOrder]
    unanswered: SoldeskError | None = None


def for_signal(signal: LeasedSignal) -> EntryPlan | None:
    """Return what is to be booked, quoted, or None when everybody has a verdict. Keeps the lease while it waits.

    Raises:
        LeaseLost: the signal is in other hands. ProviderError: nobody told what the token is.
    """
    waiting = candidate_reads.for_signal(signal)
    buyers, refused = _sort_out(signal, waiting)
    queue.keep(signal)
    if not buyers:
        verdicts.record(signal, refused)
        return None
    quotes = quoting.begin(signal.token_address, [wanted(buyer.candidate, buyer.size_sol) for buyer in buyers])
    verdicts.record(signal, refused)
    token = token_view(signal.token_address)
    if token is None:
        verdicts.record(signal, [Outcome.failed(buyer.agent_id, TOKEN_NOT_TRADABLE) for buyer in buyers])
        return None
    return _plan(signal, token, buyers, _wait(signal, quotes))


@dataclass(frozen=True, slots=True)
class _Buyer:
    """A candidate that wants to buy: its size in SOL and the draw it came from."""

    candidate: Candidate
    size_sol: Decimal
    draw: Decimal

    @property
    def agent_id(self) -> UUID:
        return self.candidate.agent_id


def _sort_out(signal: LeasedSignal, waiting: Sequence[Candidate]) -> tuple[list[_Buyer], list[Outcome]]:
    """Split candidates into buyers and refusals with every reason."""
    view = SignalView(signal.token_address, signal.signal_type, signal.signal_strength)
    metrics = _metrics(signal, waiting)
    buyers: list[_Buyer] = []
    refused: list[Outcome] = []
    for item in waiting:
        decided = eligibility.decide(
            view, None if item.config is None else item.config.signals, metrics, automated=item.automated
        )
        if not decided.allowed:
            refused.append(Outcome.skipped(item.agent_id, decided.reasons))
            continue
        closed = gate.entry_refusal(item.desk_state, item.own_state)
        if closed is not None:
            refused.append(Outcome.skipped(item.agent_id, [closed]))
            continue
        draw = sizing.draw(signal.id, item.agent_id)
        decision = entry_rules.decide(request_of(item, draw))
        if decision.allowed and decision.size_sol is not None:
            buyers.append(_Buyer(item, decision.size_sol, draw))
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


def request_of(item: Candidate, draw: Decimal, size_sol: Decimal | None = None) -> EntryRequest:
    """Return what the rules ask of a candidate; `size_sol` None works the size out with `draw`."""
    return EntryRequest(
        config=item.config,
        balance_sol=item.balance_sol,
        size_sol=size_sol,
        random=draw,
        agent_mode=item.trading_mode,
        wallet_exists=item.wallet_id is not None,
        wallet_type=item.trading_mode,
        wallet_loaded=item.wallet_loaded,
        has_position=item.has_position,
        open_positions=item.open_positions,
        max_open_positions=item.max_open_positions,
    )


def token_view(mint: str) -> TokenView | None:
    """Return what a booking needs to know of a token, None when nobody knows it.

    Raises:
        ProviderError: the token is new here and the provider could not be asked.
    """
    token = prices.ensure_tokens([mint]).get(mint)
    return None if token is None else TokenView(token.mint, token.symbol, token.decimals)


def wanted(item: Candidate, size_sol: Decimal) -> Wanted:
    """Return what is to be quoted for a candidate that spends `size_sol`, a lamport or more."""
    limit = None if item.config is None else item.config.purchase_limits.max_price_impact_fraction
    return Wanted(item.agent_id, sol_to_lamports(size_sol), limit)


def passes(error: SoldeskError) -> bool:
    """Tell whether what came instead of a quote may be gone next time; a refusal will be repeated."""
    return isinstance(error, ProviderError) and not isinstance(error, ProviderRejected)


def _wait(signal: LeasedSignal, quotes: Future[Quoted]) -> Quoted:
    """Wait for the quotes, which may take longer than the lease, and keep it meanwhile."""
    while not futures.wait([quotes], timeout=queue.RENEW_BELOW_SECONDS / 2).done:
        queue.keep(signal)
    return quotes.result()


def _plan(signal: LeasedSignal, token: TokenView, buyers: Sequence[_Buyer], quoted: Quoted) -> EntryPlan:
    """Make orders of what was quoted; who met a refusal has a verdict then, who met what passes has none yet."""
    age = age_seconds(signal)
    price_then = prices.price_at(token.mint, signal.created_at) if age >= DRIFT_CHECK_SECONDS else None
    orders: list[EntryOrder] = []
    refused: list[Outcome] = []
    unanswered = None
    for buyer in buyers:
        share, error = quoted.shares.get(buyer.agent_id), quoted.errors.get(buyer.agent_id)
        if share is not None and not _drifted(price_then, token, share):
            orders.append(EntryOrder(buyer.candidate, share, buyer.draw))
        elif share is not None:
            inputs = {"ageSeconds": round(age, 3)}
            refused.append(Outcome.skipped(buyer.agent_id, [eligibility.SIGNAL_EXPIRED], inputs))
        elif error is None:
            refused.append(Outcome.skipped(buyer.agent_id, [price_impact.PRICE_IMPACT_TOO_HIGH]))
        elif passes(error):
            unanswered = error
        else:
            refused.append(Outcome.failed(buyer.agent_id, error.code))
    verdicts.record(signal, refused)
    return EntryPlan(token, orders, unanswered)


def age_seconds(signal: LeasedSignal) -> float:
    """Return how long ago the signal came."""
    return (timezone.now() - signal.created_at).total_seconds()


def _drifted(price_then: Decimal | None, token: TokenView, share: Share) -> bool:
    """Tell whether the quote is too far from the price the signal came with; unknown is not far."""
    if price_then is None:
        return False
    quote = share.quote
    now = fills.price_per_token(quote.in_amount, quote.out_amount, token.decimals)
    return abs(now - price_then) * 100 > price_then * settings.MAX_ENTRY_DRIFT_PERCENT

"""Whether a fired take profit or DCA is still to be booked, decided under lock against the price of its own quote.

Unlike a close an adjust does not latch: it lapses after ten seconds, and any fill in between ends it. The price that
decides is the quote's before its own impact; the price that fired it says what was intended, never more than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from apps.agents.domain.model import PurchaseLimits, TakeProfit, TradingConfig
from apps.core.money import MONEY, SOL_MINT, sol_to_lamports
from apps.trading.domain import dca, entry_rules, exit_decision, fills, loss_limits, position_changes, take_profit
from apps.trading.domain.exit_decision import (
    ALLOWED,
    AMOUNT_CHANGED,
    EXITS_HALTED,
    POSITION_CLOSED,
    WALLET_RESET,
    Action,
)
from apps.trading.domain.fills import Quote
from apps.trading.domain.position_changes import Books
from apps.trading.domain.take_profit import CorruptProgress, TakeProfitDecision

LAPSE_SECONDS = 10

BARRED_BY_CLOSE = "BARRED_BY_CLOSE"
GENERATION_CHANGED = "GENERATION_CHANGED"
LAPSED = "LAPSED"
CONFIG_ERROR = entry_rules.CONFIG_ERROR
NOT_REACHED = "NOT_REACHED"

#: Refusals for want of money, or of leave to spend it: it takes longer than a moment until they may have passed.
MONEY_CODES = frozenset(
    {
        entry_rules.INSUFFICIENT_BALANCE,
        entry_rules.BELOW_MINIMUM_THRESHOLD,
        entry_rules.VIOLATES_MINIMUM_BALANCE,
        *loss_limits.CODES,
    }
)
#: A quote states its amounts and its impact rounded; less than this part of its price says nothing.
_ROUNDING = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known under lock of an adjust and its position, whichever kind it is.

    `barred` tells that a close of the position is open; `age_seconds` counts since the adjust was fired.
    """

    fired_generation: int
    generation: int
    is_open: bool
    wallet_current: bool
    barred: bool
    age_seconds: Decimal
    config: TradingConfig | None


@dataclass(frozen=True, slots=True)
class SaleDecision:
    """What becomes of a take profit, and the stable code of why; `profit` is what is booked, None when nothing is."""

    action: Action
    code: str
    profit: TakeProfitDecision | None = None


@dataclass(frozen=True, slots=True)
class PurchaseDecision:
    """What becomes of a DCA, and the stable code of why; `lamports` is what it spends when it is allowed."""

    action: Action
    code: str
    lamports: int = 0


def cancellation(now: Standing) -> str | None:
    """Return why an adjust ends whatever its price, or None; the first rule that applies.

    >>> from apps.agents.domain.trading_config import DEFAULT_CONFIG
    >>> cancellation(Standing(1, 2, True, True, False, Decimal(1), DEFAULT_CONFIG))
    'GENERATION_CHANGED'
    >>> cancellation(Standing(1, 1, True, True, False, Decimal("10.5"), DEFAULT_CONFIG))
    'LAPSED'
    """
    if not now.is_open:
        return POSITION_CLOSED
    if not now.wallet_current:
        return WALLET_RESET
    if now.barred:
        return BARRED_BY_CLOSE
    if now.generation != now.fired_generation:
        return GENERATION_CHANGED
    if now.age_seconds > LAPSE_SECONDS:
        return LAPSED
    return CONFIG_ERROR if now.config is None else None


def intended_sale(books: Books, trigger_price: Decimal | None, rules: TakeProfit) -> TakeProfitDecision | str:
    """Return what the price that fired a take profit sells by the rules as they are now, or the code of why nothing.

    >>> from apps.agents.domain.trading_config import DEFAULT_CONFIG
    >>> intended_sale(Books(0, 1000, 1000, 10**9, 10**9, Decimal("0.001")), Decimal(1), DEFAULT_CONFIG.take_profit)
    'DISABLED'
    """
    if trigger_price is None:
        return NOT_REACHED
    try:
        decision = take_profit.evaluate(books.for_take_profit(), trigger_price, rules)
    except CorruptProgress as corrupt:
        return corrupt.code
    if not decision.allowed:
        return NOT_REACHED if decision.code == take_profit.BELOW_NEXT_LEVEL else decision.code.upper()
    return decision if position_changes.units_to_sell(books, decision) > 0 else take_profit.NOTHING_TO_SELL.upper()


def decide_sale(
    now: Standing,
    books: Books,
    *,
    trigger_price: Decimal | None,
    market_price: Decimal,
    quoted_units: int,
    exits_allowed: bool,
) -> SaleDecision:
    """Decide a take profit under lock: the intended levels are booked if the quote's market price reaches them all.

    `quoted_units` are the base units of the quote that are this position's. More levels than intended wait for the
    next tick, so that nothing but what was quoted is sold.
    """
    refusal = cancellation(now)
    if refusal is not None or now.config is None:
        return SaleDecision(Action.CANCEL, refusal or CONFIG_ERROR)
    if not exits_allowed:
        return SaleDecision(Action.WAIT, EXITS_HALTED)
    rules = now.config.take_profit
    intended = intended_sale(books, trigger_price, rules)
    if isinstance(intended, str):
        return SaleDecision(Action.CANCEL, intended)
    if position_changes.units_to_sell(books, intended) != quoted_units:
        return SaleDecision(Action.CANCEL, AMOUNT_CHANGED)
    supported = take_profit.evaluate(books.for_take_profit(), MONEY.multiply(market_price, 1 + _ROUNDING), rules)
    if len(supported.levels) < len(intended.levels):
        return SaleDecision(Action.CANCEL, NOT_REACHED)
    return SaleDecision(Action.BOOK, ALLOWED, intended)


def intended_purchase(
    books: Books,
    price: Decimal,
    config: TradingConfig,
    *,
    seconds_since_last: Decimal | None,
    balance_sol: Decimal | None,
    most_lamports: int | None = None,
) -> PurchaseDecision:
    """Return what a price (SOL per token) makes a DCA spend, within the limits of decision 7, or why nothing.

    `most_lamports` is what a quote was asked for: a DCA spends no more, and less when the price fell meanwhile.

    >>> from dataclasses import replace
    >>> from apps.agents.domain.trading_config import DEFAULT_CONFIG as config
    >>> config = replace(config, dca=replace(config.dca, enabled=True))
    >>> books = Books(0, 1000, 1000, 10**9, 10**9, Decimal("0.001"))
    >>> buy = intended_purchase(books, Decimal("0.0008"), config, seconds_since_last=None, balance_sol=Decimal(5))
    >>> buy.code, buy.lamports
    ('ALLOWED', 600000000)
    """
    wanted = dca.evaluate(books.for_dca(seconds_since_last), price, config.dca)
    if wanted.buy_sol is None:
        return PurchaseDecision(Action.CANCEL, wanted.code.upper())
    balance = Decimal(0) if balance_sol is None else balance_sol
    size = dca.affordable(wanted.buy_sol, balance, config.purchase_limits)
    if size is None:
        return PurchaseDecision(Action.CANCEL, _unaffordable(wanted.buy_sol, balance, config.purchase_limits))
    lamports = sol_to_lamports(size)
    if most_lamports is not None:
        lamports = min(lamports, most_lamports)
    if lamports <= 0:
        return PurchaseDecision(Action.CANCEL, entry_rules.INVALID_POSITION_SIZE)
    return PurchaseDecision(Action.BOOK, ALLOWED, lamports)


def _unaffordable(buy_sol: Decimal, balance_sol: Decimal, limits: PurchaseLimits) -> str:
    if buy_sol <= 0:
        return entry_rules.INVALID_POSITION_SIZE
    if buy_sol > balance_sol:
        return entry_rules.INSUFFICIENT_BALANCE
    if balance_sol < limits.minimum_agent_balance_sol:
        return entry_rules.BELOW_MINIMUM_THRESHOLD
    return entry_rules.VIOLATES_MINIMUM_BALANCE


def decide_purchase(
    now: Standing,
    books: Books,
    *,
    market_price: Decimal,
    quoted_lamports: int,
    seconds_since_last: Decimal | None,
    balance_sol: Decimal | None,
    gate_refusal: str | None,
) -> PurchaseDecision:
    """Decide a DCA under lock: gate, drop, cooldown and count at the quote's market price, and the money there is."""
    refusal = cancellation(now)
    if refusal is not None or now.config is None:
        return PurchaseDecision(Action.CANCEL, refusal or CONFIG_ERROR)
    if gate_refusal is not None:
        return PurchaseDecision(Action.CANCEL, gate_refusal)
    return intended_purchase(
        books,
        MONEY.multiply(market_price, 1 - _ROUNDING),
        now.config,
        seconds_since_last=seconds_since_last,
        balance_sol=balance_sol,
        most_lamports=quoted_lamports,
    )


def market_price(quote: Quote, token_decimals: int) -> Decimal:
    """Return the price (SOL per token) a quote starts from, before its own impact.

    >>> sale = Quote("T", SOL_MINT, 1000, 900_000_000, price_impact=Decimal("0.1"))
    >>> buy = Quote(SOL_MINT, "T", 1_000_000_000, 800, price_impact=Decimal("0.2"))
    >>> market_price(sale, 0) == market_price(buy, 0) == Decimal("0.001")
    True
    """
    if quote.input_mint == SOL_MINT:
        paid = fills.price_per_token(quote.in_amount, quote.out_amount, token_decimals)
        return MONEY.multiply(paid, 1 - exit_decision.plausible_impact(quote.price_impact))
    got = fills.price_per_token(quote.out_amount, quote.in_amount, token_decimals)
    return exit_decision.market_price(got, quote.price_impact)

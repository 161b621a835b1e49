"""A wallet and one position on paper: the domain's rules walked step by step, without database, clock or network.

What happens to books, balances and stop is the domain's; here is only what follows what. A market is a function that
answers a side and an amount of base units with a quote.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from apps.agents.domain.model import TradingConfig
from apps.core.errors import SoldeskError
from apps.core.money import SOL_MINT, lamports_to_sol, sol_to_lamports
from apps.trading.domain import (
    adjust_decision,
    dca,
    entry_rules,
    fills,
    pnl,
    position_changes,
    price_impact,
    stop_loss,
    watch_rules,
)
from apps.trading.domain.fills import BUY, SELL, Fill, Quote
from apps.trading.domain.pnl import Ended
from apps.trading.domain.position_changes import Books, Sold
from apps.trading.domain.take_profit import TakeProfitDecision
from apps.trading.domain.watch_rules import Verdict, Watched
from apps.wallets.domain import balance_effects
from apps.wallets.domain.balance_effects import SWAP, Leg

TOKEN_MINT = "TOKEN"  # noqa: S105 - a mint

Market = Callable[[str, int], Quote]

_NOBODY = UUID(int=0)
_START = datetime(2026, 1, 1, tzinfo=UTC)


class Refused(SoldeskError):
    """A rule said no before anything was asked for or booked."""

    def __init__(self, code: str) -> None:
        super().__init__(code, "Refused.")


class NoQuote(SoldeskError):
    """The market did not answer."""

    def __init__(self) -> None:
        super().__init__("NO_QUOTE", "There is no quote.")


@dataclass(frozen=True, slots=True)
class Trade:
    """A fill as it was booked. `sold` is what a sale made of the books, `ended` how it ended the position."""

    fill: Fill
    quote: Quote
    value_usd: Decimal | None
    is_dca: bool = False
    is_take_profit: bool = False
    sold: Sold | None = None
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """A position that ended: its last books, its figures and why."""

    books: Books
    ended: Ended
    reason: str | None


class Paper:
    """One agent's wallet, and its position in one token while there is one."""

    def __init__(
        self, *, config: TradingConfig, token_decimals: int, balance_sol: Decimal, sol_usd: Decimal | None
    ) -> None:
        self.config = config
        self.balances = {SOL_MINT: balance_sol}
        self.books: Books | None = None
        self.stop_percent: Decimal | None = None
        self.peak_price: Decimal | None = None
        self.lowest_price: Decimal | None = None
        self.asked: list[tuple[str, int]] = []
        self.trades: list[Trade] = []
        self.closed: list[Closed] = []
        self.sol_usd = sol_usd
        self._decimals = token_decimals
        self._now = self._opened_at = _START
        self._last_dca_at: datetime | None = None

    def wait(self, seconds: Decimal) -> None:
        self._now += timedelta(microseconds=int(seconds.scaleb(6)))

    def buy(self, size_sol: Decimal | None, market: Market) -> Trade:
        """Open a position as a first buy does; a size of None is worked out from balance and configuration."""
        decision = entry_rules.decide(
            entry_rules.EntryRequest(
                config=self.config,
                balance_sol=self.balances.get(SOL_MINT),
                size_sol=size_sol,
                has_position=self.books is not None,
                open_positions=0 if self.books is None else 1,
            )
        )
        if not decision.allowed or decision.size_sol is None:
            raise Refused(decision.code)
        quote, fill = self._bought(sol_to_lamports(decision.size_sol), market)
        self.books = position_changes.opened(fill)
        start = stop_loss.at_buy(self.books.average_price, self.config.stop_loss)
        self.peak_price, self.stop_percent, self.lowest_price = start.peak_price, start.stop_percent, fill.price_sol
        self._opened_at, self._last_dca_at = self._now, None
        return self._booked(Trade(fill, quote, fills.value_usd(quote, fill, self.sol_usd)))

    def add(self, wanted_sol: Decimal, market: Market) -> Trade:
        """Buy more, as a DCA that wants to spend so much SOL does."""
        self._held()
        balance = self.balances.get(SOL_MINT, Decimal(0))
        size = dca.affordable(wanted_sol, balance, self.config.purchase_limits)
        if size is None:
            raise Refused(entry_rules.INSUFFICIENT_BALANCE)
        return self._add(sol_to_lamports(size), market)

    def _add(self, lamports: int, market: Market) -> Trade:
        quote, fill = self._bought(lamports, market)
        self.books = position_changes.added(self._held(), fill, self.config.take_profit)
        restarted = stop_loss.after_dca(fill.price_sol, self.config.stop_loss)
        self.peak_price, self.stop_percent = restarted.peak_price, restarted.stop_percent
        self._last_dca_at = self._now
        return self._booked(Trade(fill, quote, fills.value_usd(quote, fill, self.sol_usd), is_dca=True))

    def sell(self, reason: str | None, market: Market) -> Trade:
        """Sell all that remains."""
        quote, fill = self._sold(self._held().remaining_units, market)
        sold = position_changes.sold(self._held(), fill)
        return self._booked(
            Trade(
                fill,
                quote,
                fills.value_usd(quote, fill, self.sol_usd),
                sold=sold,
                ended=self._end(sold.books, reason),
            )
        )

    def take_profit(self, decision: TakeProfitDecision, market: Market) -> Trade:
        """Sell what a take profit decided; without anything left that closes the position."""
        quote, fill = self._sold(position_changes.units_to_sell(self._held(), decision), market)
        sold = position_changes.took_profit(self._held(), fill, decision)
        self.books = sold.books
        return self._booked(
            Trade(
                fill,
                quote,
                fills.value_usd(quote, fill, self.sol_usd),
                is_take_profit=True,
                sold=sold,
                ended=None if sold.books.remaining_units else self._end(sold.books, watch_rules.TAKE_PROFIT),
            )
        )

    def tick(self, price: Decimal, market: Market, *, automated: bool = True) -> None:
        """Judge a price and do what it fires; what a take profit leaves open is judged by the rules after it.

        Raises:
            SoldeskError: a close could not be sold. A take profit or DCA that fails is left to a later tick.
        """
        if self.books is None:
            return
        verdict = self._judge(price, may_sell=True, may_add=automated)
        if verdict.take_profit is not None:
            with suppress(SoldeskError):
                self.take_profit(verdict.take_profit, market)
            if self.books is None:
                return
            verdict = self._judge(price, may_sell=False, may_add=automated)
        if verdict.closes:
            self.sell(verdict.reason, market)
            return
        if verdict.dca is not None:
            with suppress(SoldeskError):
                self._add(self._dca_lamports(price), market)
        self.lowest_price = price if self.lowest_price is None else min(self.lowest_price, price)

    def _judge(self, price: Decimal, *, may_sell: bool, may_add: bool) -> Verdict:
        peak = price if self.peak_price is None else max(self.peak_price, price)
        verdict = watch_rules.judge(
            Watched(
                id=_NOBODY,
                agent_id=_NOBODY,
                mint=TOKEN_MINT,
                books=self._held(),
                stop_percent=self.stop_percent,
                generation=1,
                opened_at=self._opened_at,
                config=self.config,
                peak_price=peak,
                last_dca_at=self._last_dca_at,
                may_sell=may_sell,
                may_add=may_add,
            ),
            price,
            now=self._now,
        )
        if verdict.stop is not None:
            self.stop_percent = verdict.stop.percent
            self.peak_price = peak
        return verdict

    def _dca_lamports(self, price: Decimal) -> int:
        last = self._last_dca_at
        purchase = adjust_decision.intended_purchase(
            self._held(),
            price,
            self.config,
            seconds_since_last=None if last is None else watch_rules.seconds_between(last, self._now),
            balance_sol=self.balances.get(SOL_MINT),
        )
        if not purchase.lamports:
            raise Refused(purchase.code)
        return purchase.lamports

    def _held(self) -> Books:
        if self.books is None:
            raise Refused("POSITION_NOT_FOUND")
        return self.books

    def _bought(self, lamports: int, market: Market) -> tuple[Quote, Fill]:
        """Quote and fill a buy, smaller where the price impact is above the limit, and take it from the wallet."""
        quote = self._quote(BUY, lamports, market)
        limit = self.config.purchase_limits.max_price_impact_fraction
        retries = iter(price_impact.RETRY_PERCENTS)
        while price_impact.exceeds(quote.price_impact, limit):
            percent = next(retries, None)
            smaller = None if percent is None else price_impact.retry_amount(lamports, percent)
            if smaller is None:
                raise Refused(price_impact.PRICE_IMPACT_TOO_HIGH)
            quote = self._quote(BUY, smaller, market)
        fill = fills.simulated_buy(quote, token_decimals=self._decimals)
        self._swap(Leg(SOL_MINT, fill.debit_sol), Leg(TOKEN_MINT, fill.token_amount))
        return quote, fill

    def _sold(self, units: int, market: Market) -> tuple[Quote, Fill]:
        quote = self._quote(SELL, units, market)
        fill = fills.simulated_sell(quote, token_decimals=self._decimals)
        self._swap(Leg(TOKEN_MINT, fill.token_amount), Leg(SOL_MINT, lamports_to_sol(fill.credit_lamports)))
        return quote, fill

    def _quote(self, side: str, amount: int, market: Market) -> Quote:
        self.asked.append((side, amount))
        return market(side, amount)

    def _swap(self, given: Leg, taken: Leg) -> None:
        self.balances = balance_effects.apply(self.balances, SWAP, given, taken)

    def _booked(self, trade: Trade) -> Trade:
        self.trades.append(trade)
        return trade

    def _end(self, books: Books, reason: str | None) -> Ended:
        ended = pnl.ended(
            invested_sol=lamports_to_sol(books.invested_lamports),
            received_sol=lamports_to_sol(books.proceeds_lamports),
            bought_tokens=books.tokens(books.bought_units),
            sol_usd=self.sol_usd,
        )
        self.closed.append(Closed(books, ended, reason))
        self.books = self.stop_percent = self.peak_price = self.lowest_price = None
        return ended

"""From due intents to what is to be quoted: leased, worked out, put into lots that share a quote. Books nothing.

Closes and take profits of one token share quotes; DCAs of one token share theirs. A live close that is certain waits
for no quote: it becomes an order. What cannot be done any more ends
here, before it costs a quote; what passes is decided again under lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from apps.core import bulk
from apps.core.money import to_base_units
from apps.trading.domain import adjust_decision, eligibility, exit_decision, position_changes, price_impact
from apps.trading.domain.exit_decision import Action
from apps.trading.domain.price_impact import SizeRequest
from apps.trading.models import CloseReason
from apps.trading.selectors import adjusting
from apps.trading.selectors.adjusting import Adjusting
from apps.trading.services import exit_intents, gate
from apps.trading.services.exit_intents import LeasedExit
from apps.trading.services.exit_outcomes import Outcome
from apps.trading.services.quoting import Wanted

ZERO_BALANCE = "ZERO_BALANCE"
#: A live position that is sold out stays open while a buy of it may still land.
BUY_UNRESOLVED = "BUY_UNRESOLVED"


@dataclass(frozen=True, slots=True)
class SaleLot:
    """Sales of one token that share one quote, asked for at `amount`, the largest of them in base units."""

    mint: str
    amount: int
    exits: tuple[LeasedExit, ...]
    shares: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BuyLot:
    """DCAs of one token; their quotes are shared out by size, as those of entries are."""

    mint: str
    exits: tuple[LeasedExit, ...]
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class OrderLot:
    """Certain closes of one live wallet: each becomes an order at once, its quote comes when that is built.

    `reads_chain`: one of them has failed before, so that the wallet is read again first.
    """

    wallet_id: UUID
    address: str
    chain_slot: int
    exits: tuple[LeasedExit, ...]
    reads_chain: bool

    @property
    def mint(self) -> str:
        return self.exits[0].mint


@dataclass(slots=True)
class Lots:
    """What was leased: lots to be quoted or ordered, and what became of the rest, to be written by `exit_settling`."""

    sales: list[SaleLot] = field(default_factory=list)
    buys: list[BuyLot] = field(default_factory=list)
    orders: list[OrderLot] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def taken(self) -> int:
        """How many intents were leased."""
        lots: tuple[Sequence[SaleLot | BuyLot | OrderLot], ...] = (self.sales, self.buys, self.orders)
        return sum(len(lot.exits) for each in lots for lot in each) + len(self.outcomes)


def take(
    *, limit: int, intent_ids: Sequence[int] | None = None, buys: bool = True, without: Collection[str] = ()
) -> Lots:
    """Lease at most `limit` due intents, closes first, and put them into lots; DCAs only with `buys`.

    None in the tokens `without`.
    """
    closes = exit_intents.lease_due(limit=limit, intent_ids=intent_ids, without=without)
    room = limit - len(closes)
    adjusts = (
        exit_intents.lease_adjusts(limit=room, intent_ids=intent_ids, buys=buys, without=without) if room > 0 else []
    )
    plan = _Plan(adjusting.read(item.position_id for item in adjusts))
    for item in closes:
        plan.close(item)
    for item in adjusts:
        if item.reason == CloseReason.TAKE_PROFIT:
            plan.take_profit(item)
        else:
            plan.buy(item)
    return plan.finish()


class _Plan:
    """Leased intents as they are sorted out."""

    def __init__(self, present: dict[UUID, Adjusting]) -> None:
        self._present = present
        self._sales: dict[str, list[tuple[LeasedExit, int]]] = defaultdict(list)
        self._buys: dict[str, list[tuple[LeasedExit, Wanted]]] = defaultdict(list)
        self._orders: dict[UUID, list[LeasedExit]] = defaultdict(list)
        self._outcomes: list[Outcome] = []

    def close(self, item: LeasedExit) -> None:
        units = to_base_units(item.remaining_amount, item.decimals)
        if not item.is_open:
            self._cancel(item, exit_decision.POSITION_CLOSED)
        elif units == 0 and item.is_live:
            self._outcomes.append(Outcome(item, Action.REQUOTE, BUY_UNRESOLVED))
        elif units > 0 and item.is_live and item.is_certain:
            self._orders[item.wallet_id].append(item)
        elif units > 0:
            self._sales[item.mint].append((item, units))
        else:
            self._outcomes.append(Outcome(item, Action.WAIT, ZERO_BALANCE))

    def take_profit(self, item: LeasedExit) -> None:
        present = self._present[item.position_id]
        if not item.is_open:
            return self._cancel(item, exit_decision.POSITION_CLOSED)
        if present.config is None:
            return self._cancel(item, adjust_decision.CONFIG_ERROR)
        profit = adjust_decision.intended_sale(present.books, item.trigger_price_sol, present.config.take_profit)
        if isinstance(profit, str):
            return self._cancel(item, profit)
        self._sales[item.mint].append((item, position_changes.units_to_sell(present.books, profit)))

    def buy(self, item: LeasedExit) -> None:
        wanted = _wanted(item, self._present[item.position_id])
        if isinstance(wanted, str):
            return self._cancel(item, wanted)
        self._buys[item.mint].append((item, wanted))

    def _cancel(self, item: LeasedExit, code: str) -> None:
        self._outcomes.append(Outcome(item, Action.CANCEL, code))

    def finish(self) -> Lots:
        return Lots(
            sales=[lot for mint, wanted in self._sales.items() for lot in _sale_lots(mint, wanted)],
            buys=[BuyLot(mint, *_unzip(wanted)) for mint, wanted in self._buys.items()],
            orders=_order_lots(self._orders),
            outcomes=self._outcomes,
        )


def _wanted(item: LeasedExit, present: Adjusting) -> Wanted | str:
    """Return what a DCA wants quoted, by the price that fired it, or the code of why nothing."""
    if not item.is_open:
        return exit_decision.POSITION_CLOSED
    if present.config is None:
        return adjust_decision.CONFIG_ERROR
    if item.trigger_price_sol is None:
        return adjust_decision.NOT_REACHED
    if present.paused:
        return eligibility.PAUSED.upper()
    closed = gate.entry_refusal(present.desk_state, present.own_state)
    if closed is not None:
        return closed
    purchase = adjust_decision.intended_purchase(
        present.books,
        item.trigger_price_sol,
        present.config,
        seconds_since_last=present.seconds_since_dca,
        balance_sol=present.balance_sol,
    )
    if purchase.action is not Action.BOOK:
        return purchase.code
    return Wanted(item.position_id, purchase.lamports, present.config.purchase_limits.max_price_impact_fraction)


def _sale_lots(mint: str, wanted: Sequence[tuple[LeasedExit, int]]) -> Iterable[SaleLot]:
    units_of = {item.id: (item, units) for item, units in wanted}
    for group in price_impact.group_sizes(SizeRequest(item.id, units) for item, units in wanted):
        members = [units_of[int(str(member.key))] for member in group.members]
        exits, shares = zip(*members, strict=True)
        yield SaleLot(mint, group.amount, exits, shares)


_WALLETS = "SELECT id, address, chain_slot FROM wallet WHERE id = ANY(%s)"


def _order_lots(wanted: Mapping[UUID, Sequence[LeasedExit]]) -> list[OrderLot]:
    if not wanted:
        return []
    return [
        OrderLot(wallet_id, address, slot, tuple(exits), any(item.attempts > 1 for item in exits))
        for wallet_id, address, slot in bulk.fetch_all(_WALLETS, [list(wanted)])
        for exits in [wanted[wallet_id]]
    ]


def _unzip(wanted: Sequence[tuple[LeasedExit, Wanted]]) -> tuple[tuple[LeasedExit, ...], tuple[Wanted, ...]]:
    return tuple(item for item, _ in wanted), tuple(want for _, want in wanted)

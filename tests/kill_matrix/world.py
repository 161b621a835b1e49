"""The desk the matrix kills: a real database, the real signer, the sandbox with both its nodes; and one cell after the
other on it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from django.core.management import call_command
from django.db import DatabaseError, connections
from solders.keypair import Keypair

from apps.core import database_links
from apps.trading.domain import order_machine
from apps.trading.models import Order, OrderStatus
from apps.trading.services import exit_runner
from apps.wallets.signer_client import Signer, SignerRefused, SignerUnavailable
from tests.kill_matrix import processes, traders, truths
from tests.kill_matrix.cells import CLOSING, OPENING, Cell
from tests.kill_matrix.market import Market
from tests.kill_matrix.processes import KillableServices
from tests.kill_matrix.traders import Trader, Wish
from tests.trading.closing import differences

#: Until an order is at its point, until its fault is over, and until everything about it has ended.
POINT_SECONDS, FAULT_SECONDS, END_SECONDS = 30.0, 2.5, 90.0
#: How long a process may take from the end of an order to its stop right after it.
_STOP_SECONDS = 0.5
_LOOK_SECONDS = 0.1
_BEYOND_EVERY_HEIGHT = 230
#: Where the orders process waits for the faults a reclaim shall meet, the sale before it having met none.
_RECLAIM_BEGINS = "after:reserved"
_WAITING = (OrderStatus.SENT, OrderStatus.UNRESOLVED)


@dataclass(slots=True)
class Course:
    """One cell on its way."""

    cell: Cell
    wish: Wish
    before: frozenset[str]
    at_point: bool = False
    aged: bool = False
    turned: bool = False
    ended: bool = False
    looked_at: float = 0.0

    def line(self, point: str) -> str:
        """Return what tells the orders process to stop there."""
        return f"{point} {self.wish.trader.order_key(self.cell.purpose)}"


@dataclass
class World:
    market: Market
    services: KillableServices
    keys: list[Keypair]
    folder: Path
    socket: Path
    was_reached: bool = False
    ended: str = ""
    traders: list[Trader] = field(default_factory=list)
    _known: frozenset[str] = frozenset()

    def start(self) -> None:
        """Make the database, fund the wallets, start the processes."""
        call_command("migrate", verbosity=0)
        tokens = self.market.add_tokens(len(self.keys))
        self.traders = [
            traders.make(self.market, str(key.pubkey()), token) for key, token in zip(self.keys, tokens, strict=True)
        ]
        self.route = ""
        self.orders = processes.orders(os.environ, self.folder)
        self.signer = processes.signer(self._signers_environment(), self.folder)
        self._start_signer()

    def close(self) -> None:
        for process in (self.orders, self.signer):
            process.close()

    def start_over(self) -> None:
        """Leave what failed behind: its wallet is not used any more."""
        self.market.calm()
        if len(self.traders) > 2:
            self.traders.pop()
        self.orders.restart()
        self._known = frozenset(differences())

    def last_words(self) -> str:
        os.kill(self.orders.pid, signal.SIGUSR1)
        time.sleep(0.5)
        return f"-- orders\n{self.orders.last_words()}\n-- signer\n{self.signer.last_words()}"

    def suits(self, cell: Cell) -> bool:
        """Whether somebody can have the cell's wish right now."""
        return any(traders.fits(trader, cell.purpose) for trader in self.traders)

    def try_out(self, cell: Cell) -> None:
        """Bring one order to its point, kill, and check that everything ends as it must.

        Raises:
            AssertionError: it does not.
        """
        if cell.route != self.route:
            self.route = cell.route
            self.orders.environment["LIVE_LANDING_ROUTE"] = cell.route
            self.orders.close()
            self.orders.start()
        trader = self._somebody(cell.purpose)
        course = self._begin(cell, trader)
        self.was_reached = self._reaches(course)
        if self.was_reached:
            self._kill(cell)
        self._let_it_pass(course)
        self._check_at_rest(course)
        self.ended = _told(course.wish)
        if trader.position() is None:
            traders.put_price(self.market, trader, trader.token.price_sol)

    # -- who

    def _somebody(self, purpose: str) -> Trader:
        """Return a trader who can have this wish, the one who has rested longest; some buy before if nobody can."""
        found = next((each for each in self.traders if traders.fits(each, purpose)), None)
        if found is None:
            self._make_fit(purpose)
            found = next(each for each in self.traders if traders.fits(each, purpose))
        self.traders.remove(found)
        self.traders.append(found)
        return found

    def _make_fit(self, purpose: str) -> None:
        """Open positions for most who have none, or close all there are, without a fault or a kill."""
        if purpose in OPENING or not (flat := [each for each in self.traders if each.position() is None]):
            moving = [each for each in self.traders if each.position() is not None]
            wishes = [traders.begin(self.market, each, "stop_loss") for each in moving]
        else:
            moving = flat[: max(len(flat) - 1, 1)]
            wishes = [traders.begin(self.market, each, "manual") for each in moving]
        deadline = time.monotonic() + END_SECONDS
        while any(map(truths.unfinished, moving)):
            assert time.monotonic() < deadline, f"stuck: {[truths.unfinished(each) for each in moving]}"
            exit_runner.run_due()
            time.sleep(_LOOK_SECONDS)
        for wish in wishes:
            own = {str(each.signature) for each in wish.attempts()}
            truths.check(self.market, wish, self._history(wish.trader) - own, self._known)
        if purpose not in OPENING and not flat:
            self._make_fit(purpose)

    # -- what happens

    def _begin(self, cell: Cell, trader: Trader) -> Course:
        """Let the order be reserved and everything go wrong that shall, while the orders process stands still."""
        before = self._history(trader)
        self.orders.pause()
        course = Course(cell, traders.begin(self.market, trader, cell.purpose), before)
        if cell.purpose == "reclaim":
            course = self._sell_first(course)
        turn = cell.fault.turn
        is_there = (cell.purpose, cell.point) == ("reclaim", _RECLAIM_BEGINS)
        points = [*(() if is_there else (cell.point,)), *(() if turn is None else (turn[0],))]
        self._stop_at({course.line(point) for point in points})
        self._break(cell)
        if not is_there:
            self.orders.go_on()
        return course

    def _sell_first(self, course: Course) -> Course:
        """Bring a sale to its end and stop where the closing of its token account has been reserved."""
        trader = course.wish.trader
        self._stop_at({f"{_RECLAIM_BEGINS} {trader.order_key('reclaim')}"})
        self.orders.go_on()
        deadline = time.monotonic() + END_SECONDS
        while self._stops_left():
            assert time.monotonic() < deadline, f"not sold: {truths.unfinished(trader)}"
            time.sleep(0.01)
        self.orders.stand_still()
        closing = Order.objects.filter(wallet=trader.wallet, purpose="reclaim").latest("created_at")
        sales = {str(each.signature) for each in course.wish.attempts()}
        return replace(course, wish=traders.wish_of("reclaim", trader, closing), before=course.before | sales)

    def _break(self, cell: Cell) -> None:
        for kind, nodes, options in cell.fault.nodes:
            self.market.fault(kind, *nodes, **options)
        for source, kind, options in cell.fault.jupiter:
            self.market.control.fault(source, kind, **options)

    def _reaches(self, course: Course) -> bool:
        """Wait until the orders process has stopped itself at the point; a point may never be met."""
        began, ended_at = time.monotonic(), None
        while time.monotonic() - began < POINT_SECONDS:
            if self._attend(course):
                return True
            if course.ended:  # in the database; right after it the process may stop
                ended_at = ended_at or time.monotonic()
                if time.monotonic() - ended_at > _STOP_SECONDS:
                    return False
            time.sleep(0.005)
        return False

    def _kill(self, cell: Cell) -> None:
        if cell.victim == "orders":
            self.orders.restart()
            return
        if cell.victim == "database":
            self.services.kill_database()
            connections.close_all()
            self.orders.go_on()
        elif cell.victim == "signer":
            self.signer.kill()
            self.orders.go_on()
            self._start_signer()
        else:
            self.market.kill()
            self.orders.go_on()
            self.market.start()
            for trader in self.traders:  # as they were when the file was written last
                traders.put_price(self.market, trader, trader.price_sol)
            self._break(cell)

    def _let_it_pass(self, course: Course) -> None:
        """Let the fault do its worst for a while, then end it and wait for the end of all the wallet has under way."""
        began, calm = time.monotonic(), False
        course.ended = False
        while time.monotonic() - began < END_SECONDS:
            if self._attend(course):
                self.orders.go_on()
            if course.ended:
                return
            if not calm and time.monotonic() - began > FAULT_SECONDS:
                self.market.calm()
                calm = True
            time.sleep(0.01)
        raise AssertionError(f"stuck: {truths.unfinished(course.wish.trader)}")

    def _attend(self, course: Course) -> bool:
        """Look once, and do what is to be done now; True when the process stands at the cell's point, for the first
        time."""
        left, turn = self._stops_left(), course.cell.fault.turn
        if turn is not None and not course.turned and course.line(turn[0]) not in left:
            self.orders.stand_still()
            course.turned = True
            self._turn(course, turn[1])
        if not course.at_point and course.line(course.cell.point) not in left:
            self.orders.stand_still()
            course.at_point = True
            return True
        if self.orders.is_stopped:
            self.orders.go_on()
        elif time.monotonic() - course.looked_at > _LOOK_SECONDS:
            course.looked_at = time.monotonic()
            if course.cell.fault.expires and not course.aged and self._ask(lambda: _is_out(course.wish)):
                self.market.pass_slots(_BEYOND_EVERY_HEIGHT)
                course.aged = True
            course.ended = bool(self._ask(lambda: self._has_ended(course.wish)))
        return False

    def _turn(self, course: Course, what: str) -> None:
        trader = course.wish.trader
        if what == "price":
            traders.put_price(self.market, trader, trader.price_sol / 2)
            return
        signature = course.wish.attempts()[-1].signature
        if signature is not None and self.market.fork(signature):
            self.market.pass_slots(_BEYOND_EVERY_HEIGHT)

    def _has_ended(self, wish: Wish) -> bool:
        orders = Order.objects.filter(wallet=wish.trader.wallet)
        if orders.exclude(status__in=order_machine.TERMINAL).exists():
            return False
        exit_runner.run_due()
        return not truths.unfinished(wish.trader) and (wish.purpose not in CLOSING or wish.trader.position() is None)

    # -- what must hold

    def _check_at_rest(self, course: Course) -> None:
        """Check while no order moves: a sale's rent may be on its way back a moment after its end."""
        self.market.calm()
        self._stop_at(set())
        course.at_point = course.turned = True
        if self.orders.is_stopped:
            self.orders.go_on()
        while True:
            standing = self._standing(course.wish.trader)
            try:
                truths.check(self.market, course.wish, course.before, self._known)
            except AssertionError:
                trader = course.wish.trader
                if self._standing(trader) == standing and not truths.unfinished(trader):
                    raise
                self._let_it_pass(course)
            else:
                return

    def _standing(self, trader: Trader) -> set[tuple[object, str]]:
        return set(Order.objects.filter(wallet=trader.wallet).values_list("pk", "status"))

    # -- plumbing

    def _history(self, trader: Trader) -> frozenset[str]:
        return frozenset(self.market.history_of(trader.wallet.address)) - trader.faucet

    def _stop_at(self, lines: set[str]) -> None:
        processes.write_whole(self.folder / "stop_at", "\n".join(lines))

    def _stops_left(self) -> list[str]:
        return (self.folder / "stop_at").read_text().splitlines()

    def _ask(self, question: Callable[[], object]) -> object:
        """Ask the database; None while it is away."""
        try:
            database_links.drop_dead()
            return question()
        except DatabaseError:
            connections.close_all()
            return None

    def _signers_environment(self) -> dict[str, str]:
        own = {f"WALLET_{number}": str(key) for number, key in enumerate(self.keys, 1)}
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME", "TMPDIR") if name in os.environ}
        return {
            **kept,
            **own,
            "SIGNER_SOCKET": str(self.socket),
            "SIGNER_KEY_DIR": str(self.folder / "keys"),
            "SIGNER_STATE_FILE": str(self.folder / "signed.jsonl"),
            "SIGNER_RPC_URLS": ",".join(self.market.rpc_urls),
            "SIGNER_PRICE_URL": self.market.control.jupiter_url,
            "SIGNER_PRICE_MAX_AGE_SECONDS": "0.2",
            "SIGNER_MAX_TRADE_SOL": "10",
            "SIGNER_MAX_DAY_SOL": "100000",
            "SOLDESK_HOME": str(self.folder / "signer-home"),
        }

    def _start_signer(self) -> None:
        self.signer.start()
        deadline = time.monotonic() + processes.START_SECONDS
        while time.monotonic() < deadline:
            try:
                Signer(self.socket).status()
                return
            except (SignerUnavailable, SignerRefused):
                time.sleep(0.02)
        raise AssertionError(f"the signer did not start:\n{self.signer.last_words()}")


def _is_out(wish: Wish) -> bool:
    return any(each.status in _WAITING for each in wish.attempts())


def _told(wish: Wish) -> str:
    return ", ".join(f"{each.side} {each.status} {each.code}".strip() for each in wish.attempts())

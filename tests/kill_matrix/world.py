"""The desk the matrix kills: a real database, the real signer, both nodes; and what must hold after each cell."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from django.core.management import call_command
from django.db import DatabaseError, connections, transaction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from apps.agents.models import Agent
from apps.core import database_links
from apps.trading.domain import order_machine
from apps.trading.models import Order, OrderStatus, Position
from apps.trading.services import exit_intents, exit_runner
from apps.trading.services.exit_intents import FiredExit
from apps.wallets.signer_client import Signer, SignerRefused, SignerUnavailable
from tests import factories
from tests.chain_market import ChainMarket
from tests.kill_matrix import processes
from tests.kill_matrix.cells import Cell
from tests.kill_matrix.processes import KillableServices
from tests.sandbox_server import SandboxToken
from tests.trading.closing import differences
from tests.trading.live import orders_world
from tests.trading.live.orders_world import reserve_buy

SOL_EACH = 50
#: Until an order is at its point, until its fault is over, and until everything about it has ended.
POINT_SECONDS, FAULT_SECONDS, END_SECONDS = 5.0, 2.5, 60.0
_BEYOND_EVERY_HEIGHT = 230


@dataclass
class World:
    market: ChainMarket
    services: KillableServices
    keys: list[Keypair]
    folder: Path
    socket: Path
    was_reached: bool = False
    ended: str = ""
    agents: list[Agent] = field(default_factory=list)

    def start(self) -> None:
        """Make the database, fund the wallets, start the processes."""
        call_command("migrate", verbosity=0)
        self.token = self._token()
        for key in self.keys:
            agent = factories.make_agent(sol=None, trading_mode="live")
            wallet = factories.make_wallet(agent, wallet_type="live", address=str(key.pubkey()))
            factories.make_live_key(address=wallet.address)
            self.market.airdrop(key.pubkey(), SOL_EACH * 10**9)
            factories.fund(wallet, str(SOL_EACH))
            self.agents.append(agent)
        self.route = ""
        self.orders = processes.orders(os.environ, self.folder)
        self.signer = processes.signer(self._signers_environment(), self.folder)
        self._start_signer()

    def close(self) -> None:
        for process in (self.orders, self.signer):
            process.kill()

    def start_over(self) -> None:
        """Leave what failed behind: its wallet is not used any more."""
        self.market.calm()
        if len(self.agents) > 1:
            self.agents.pop(0)
        self.orders.restart()

    def last_words(self) -> str:
        os.kill(self.orders.pid, signal.SIGUSR1)
        time.sleep(0.5)
        return f"-- orders\n{self.orders.last_words()}\n-- signer\n{self.signer.last_words()}"

    def try_out(self, cell: Cell) -> None:
        """Bring one order to its point, kill, and check that everything ends as it must.

        Raises:
            AssertionError: it does not.
        """
        if cell.route != self.route:
            self.route = cell.route
            self.orders.environment["LIVE_LANDING_ROUTE"] = cell.route
            self.orders.restart()
        agent = self.agents[0]
        self.agents.append(self.agents.pop(0))
        held = Position.objects.filter(agent=agent, closed_at=None).first()
        self._break(cell)
        order = self._sell(held) if held is not None else reserve_buy(agent, self.token, lamports=10**8)
        (self.folder / "stop_at").write_text(f"{cell.point} {order.pk}")
        self.was_reached = self._reaches(cell, order)
        if self.was_reached:
            self._kill(cell)
        (self.folder / "stop_at").unlink(missing_ok=True)
        self._let_it_pass(cell, order)
        self._check_at_rest(cell, agent, order, held)
        self.ended = f"{order.side} {order.status} {order.code}".strip()

    # -- what happens

    def _break(self, cell: Cell) -> None:
        for kind, nodes, options in cell.fault.nodes:
            self.market.fault(kind, *nodes, **options)
        for source, kind, options in cell.fault.jupiter:
            self.market.control.fault(source, kind, **options)

    def _sell(self, position: Position) -> Order:
        with transaction.atomic():
            exit_intents.fire([FiredExit(position.pk, "stop_loss", position.generation)])
        exit_runner.run_due()
        return Order.objects.filter(position=position, side="sell").latest("created_at")

    def _reaches(self, cell: Cell, order: Order) -> bool:
        """Wait until the orders process has stopped itself at the point; a point may never be met."""
        deadline = time.monotonic() + POINT_SECONDS
        aged = False
        while time.monotonic() < deadline:
            if self.orders.is_stopped:
                return True
            if cell.fault.expires and not aged and self._status(order) in order_machine.MAY_LAND - {"signed"}:
                self.market.pass_slots(_BEYOND_EVERY_HEIGHT)
                aged = True
            if self._status(order) in order_machine.TERMINAL:
                return False
            time.sleep(0.01)
        return self.orders.is_stopped

    def _kill(self, cell: Cell) -> None:
        if cell.victim == "orders":
            self.orders.restart()
            return
        if cell.victim == "database":
            self.services.kill_database()
            connections.close_all()
        elif cell.victim == "signer":
            self.signer.kill()
            self._start_signer()
        else:
            self._kill_sandbox()
            self._break(cell)
            return
        self.orders.go_on()

    def _kill_sandbox(self) -> None:
        """Kill it under a process that goes on in the same moment: who is stopped lets no connection end."""
        self.market.save()  # as a sandbox does each few seconds
        killing = threading.Thread(target=self.market.kill)
        killing.start()
        self.orders.go_on()
        killing.join()
        deadline = time.monotonic() + processes.START_SECONDS
        while True:
            try:
                self.market.start()
                return
            except OSError:  # whoever tries to reach a port that nobody has may hold it for a moment
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _let_it_pass(self, cell: Cell, order: Order) -> None:
        """Let the fault do its worst for a while, then end it and wait for the end of every order of the wallet."""
        began = time.monotonic()
        aged = calm = False
        while time.monotonic() - began < END_SECONDS:
            if cell.fault.expires and not aged and self._status(order) in order_machine.MAY_LAND - {"signed"}:
                self.market.pass_slots(_BEYOND_EVERY_HEIGHT)
                aged = True
            if self._everything_ended(order):
                return
            if not calm and time.monotonic() - began > FAULT_SECONDS:
                self.market.calm()
                calm = True
            if self.orders.is_stopped:
                self.orders.go_on()
            time.sleep(0.02)
        rows = list(Order.objects.filter(wallet=order.wallet).exclude(status__in=order_machine.TERMINAL))
        raise AssertionError(f"stuck: {[(row.side, row.purpose, row.status, row.code, row.detail) for row in rows]}")

    def _everything_ended(self, order: Order) -> bool:
        def look() -> bool:
            open_orders = Order.objects.filter(wallet=order.wallet).exclude(status__in=order_machine.TERMINAL)
            if open_orders.exists():
                return False
            exit_runner.run_due()
            unsold = Position.objects.filter(orders=order, closed_at=None) if order.side == "sell" else None
            return not open_orders.exists() and not (unsold is not None and unsold.exists())

        return bool(self._ask(look))

    # -- what must hold

    def _check_at_rest(self, cell: Cell, agent: Agent, order: Order, held: Position | None) -> None:
        """Check while no order moves: a sale's rent may be on its way back a moment after its end."""
        while True:
            before = self._standing(order)
            try:
                self._check(agent, order, held)
            except AssertionError:
                if self._standing(order) == before:
                    raise
                self._let_it_pass(cell, order)
            else:
                return

    def _standing(self, order: Order) -> set[tuple[object, str]]:
        return set(Order.objects.filter(wallet=order.wallet).values_list("pk", "status"))

    def _check(self, agent: Agent, order: Order, held: Position | None) -> None:
        self.market.calm()
        order.refresh_from_db()
        orders = list(Order.objects.filter(wallet=order.wallet))
        on_chain = self._spent_from(order)
        known = {each.signature for each in orders if each.fill is not None}
        assert on_chain == known, f"the chain has {on_chain - known} beyond the books, and not {known - on_chain}"
        made = [each for each in orders if each.status == OrderStatus.FINALIZED and _same_wish(each, order)]
        assert len(made) <= 1, f"done {len(made)} times: {[str(each.signature) for each in made]}"
        if held is not None:
            held.refresh_from_db()
            assert held.closed_at is not None, "the position is still open"
        assert orders_world.books_equal_chain(orders_world.Desk(self.market), agent), (
            "the wallet differs from its books"
        )
        assert differences() == [], f"the audit finds {differences()}"

    def _spent_from(self, order: Order) -> set[str]:
        wallet = Pubkey.from_string(order.wallet.address)

        def own() -> set[str]:
            ledger = self.market.ledger
            landed = (ledger.landed[signature] for signature in ledger.by_address.get(wallet, []))
            return {str(each.signature) for each in landed if each.transaction.message.account_keys[0] == wallet}

        return self.market.call(own)

    # -- plumbing

    def _status(self, order: Order) -> str:
        return str(self._ask(lambda: Order.objects.values_list("status", flat=True).get(pk=order.pk)) or "")

    def _ask(self, question: Callable[[], object]) -> object:
        """Ask the database; None while it is away."""
        try:
            database_links.drop_dead()
            return question()
        except DatabaseError:
            connections.close_all()
            return None

    def _token(self) -> SandboxToken:
        (token,) = self.market.control.add_tokens(1)
        factories.make_token(token.symbol, mint=token.mint, decimals=token.decimals)
        return token

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
                time.sleep(0.05)
        raise AssertionError(f"the signer did not start:\n{self.signer.last_words()}")


def _same_wish(one: Order, other: Order) -> bool:
    """Whether two orders are attempts at the same thing; what a person asked for has one attempt."""
    return one.pk == other.pk or (one.intent_id is not None and one.intent_id == other.intent_id)

"""What tests of the orders process share: live agents with funds on both sides, a signer, a running driver.

The market, the chain and its nodes are the sandbox's (`tests.chain_market`); the driver runs in a thread with an event
loop of its own, as it does in its process.
"""

from __future__ import annotations

import asyncio
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from django.db import OperationalError, connections, transaction
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from apps.agents import locks
from apps.agents.models import Agent
from apps.chain import nodes
from apps.core import http
from apps.core.money import SOL_MINT
from apps.prices.models import Token
from apps.sandbox.chain import accounts
from apps.trading.models import Order, OrderPurpose, OrderSide, OrderStatus
from apps.trading.services.live import new_orders, reserving, running
from apps.trading.services.live.bookings import Bookings, Landing, Services
from apps.trading.services.live.building import Signing
from apps.trading.services.live.claims import Claims
from apps.trading.services.live.live_order import LiveOrder
from apps.wallets.models import Balance, Wallet
from apps.wallets.services import books
from apps.wallets.signer_client import ReclaimToSign, Signed, SwapToSign
from tests import factories
from tests.chain_market import ChainMarket
from tests.sandbox_server import SandboxToken

Result = TypeVar("Result")
WAIT_SECONDS = 60.0
SLOT_SECONDS = 0.06
#: A little more than the slots after which the sandbox's chain calls a block final.
FINAL_AFTER_SLOTS = 36
#: The market of the desk that is open.
_markets: list[ChainMarket] = []


class KeyRing:
    """A signer that signs what it is asked to, by the real one's interface, and remembers how often."""

    def __init__(self) -> None:
        self.keys: dict[str, Keypair] = {}
        self.signed: list[str] = []

    def add(self) -> Keypair:
        key = Keypair()
        self.keys[str(key.pubkey())] = key
        return key

    async def sign_swap(self, swap: SwapToSign) -> Signed:
        return self._sign(swap.order_id, swap.wallet, swap.transaction)

    async def sign_reclaim(self, reclaim: ReclaimToSign) -> Signed:
        return self._sign(reclaim.order_id, reclaim.wallet, reclaim.transaction)

    def _sign(self, order_id: str, wallet: str, raw: bytes) -> Signed:
        message = VersionedTransaction.from_bytes(b64decode(b64encode(raw))).message
        signature = self.keys[wallet].sign_message(to_bytes_versioned(message))
        self.signed.append(order_id)
        return Signed(bytes(VersionedTransaction.populate(message, [signature])), str(signature))


@dataclass
class Desk:
    """A market, a signer and whoever trades on them.

    Its slots last three times as long as the market's own: a blockhash of 150 of them must outlast whatever a crowded
    machine does between the building of a swap and its landing.
    """

    market: ChainMarket
    signer: KeyRing = field(default_factory=KeyRing)

    def __post_init__(self) -> None:
        _markets[:] = [self.market]
        self.market.pace(SLOT_SECONDS)

    def agent(self, *, sol: int = 5, **fields: Any) -> Agent:
        """Return an agent whose live wallet holds `sol` on chain and in its books."""
        agent = factories.make_agent(sol=None, trading_mode="live", **fields)
        key = self.signer.add()
        wallet = factories.make_wallet(agent, wallet_type="live", address=str(key.pubkey()))
        factories.make_live_key(address=wallet.address)
        self.market.airdrop(key.pubkey(), sol * 10**9)
        factories.fund(wallet, str(sol))
        return agent

    def token(self, **options: Any) -> SandboxToken:
        (token,) = self.market.control.add_tokens(1, **options)
        factories.make_token(token.symbol, mint=token.mint, decimals=token.decimals)
        return token


def reserve_buy(agent: Agent, token: SandboxToken, *, lamports: int = 10**8, **fields: Any) -> Order:
    """Reserve a buy by hand as the desk does, its funds and its slot held."""
    wallet = live_wallet(agent)
    with transaction.atomic():
        locks.lock_states([agent.pk])
        locked = books.lock_wallets([wallet.pk])[wallet.pk]
        order = reserving.buy(
            purpose=OrderPurpose.MANUAL,
            wallet=locked,
            mint=token.mint,
            symbol=token.symbol,
            decimals=token.decimals,
            lamports=lamports,
            price_impact=Decimal(0),
            inputs={},
            **fields,
        )
        locks.count_positions({agent.pk: 1})
        new_orders.write([order])
    return Order.objects.get(pk=order.id)


def live_wallet(agent: Agent) -> Wallet:
    return Wallet.objects.get(agent=agent, wallet_type="live", released_at=None)


def books_equal_chain(desk: Desk, agent: Agent) -> bool:
    """Whether the live wallet's books are the chain's to the lamport and base unit, and nothing is put aside."""
    wallet = live_wallet(agent)
    key = Pubkey.from_string(wallet.address)

    def on_chain() -> dict[str, int]:
        ledger = desk.market.ledger
        account = ledger.account(key)
        held = {SOL_MINT: 0 if account is None else account.lamports}
        for address in ledger.states.owned_by(key):
            found = accounts.token_account(ledger.account(address))
            if found is not None and found.owner == key and found.amount:
                held[str(found.mint)] = held.get(str(found.mint), 0) + found.amount
        return held

    decimals = {token.mint: token.decimals for token in Token.objects.all()} | {SOL_MINT: 9}
    books_say = {
        balance.mint: int(balance.amount.scaleb(decimals[balance.mint]))
        for balance in Balance.objects.filter(wallet=wallet)
        if balance.amount
    }
    held = Balance.objects.filter(wallet=wallet, held__gt=0).exists()
    chain_says = desk.market.call(on_chain)
    assert books_say == chain_says, f"the books say {books_say}, the chain {chain_says}"
    return not held


def status_of(order: Order) -> str:
    return Order.objects.values_list("status", flat=True).get(pk=order.pk)


def until(found: Callable[[], Result | bool | None], what: str, *, seconds: float = WAIT_SECONDS) -> Result:
    """Ask again and again until there is an answer."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        if time.monotonic() > deadline:
            rows = list(Order.objects.values("side", "status", "code", "detail", "sends", "lease_until"))
            raise AssertionError(f"waited in vain for {what}: {rows}")
        time.sleep(0.02)
    return result  # type: ignore[return-value]


def becomes(order: Order, *statuses: str, seconds: float = WAIT_SECONDS) -> Order:
    """Wait until an order is in one of these states; what landed and shall be final need not wait for its slots."""
    hurried = False

    def reached() -> bool:
        nonlocal hurried
        status = status_of(order)
        if status == OrderStatus.LANDED and status not in statuses and not hurried:
            hurried = True
            _markets[-1].pass_slots(FINAL_AFTER_SLOTS)
        return status in statuses

    until(reached, f"order to be {statuses}", seconds=seconds)
    return Order.objects.get(pk=order.pk)


class StuckClaims(Claims):
    """Claims of a process that does nothing more for an order once it has reached a status."""

    def __init__(self, stop_at: str, reached: Callable[[str], None], **options: Any) -> None:
        super().__init__(**options)
        self._stop_at, self._reached = stop_at, reached

    async def claim(self, most: int) -> list[LiveOrder]:
        orders = await super().claim(most)
        if self._stop_at == "reserved" and orders:
            await self._hang("reserved")
        return orders

    async def step(self, order: LiveOrder, after: str, **columns: Any) -> None:
        await super().step(order, after, **columns)
        if after == self._stop_at:
            await self._hang(after)

    async def _hang(self, status: str) -> None:
        self._reached(status)
        await asyncio.Event().wait()


class RunningDriver:
    """A driver in a thread. `stop` ends it in order, `die` leaves its rows as a killed process would.

    With `stop_at` it goes no further than that status, as if it died there; then `stopped_at` says so.
    """

    def __init__(
        self,
        signer: Signing,
        services: Services | None = None,
        *,
        lease_seconds: float = 0.4,
        stop_at: str = "",
        **options: Any,
    ) -> None:
        self.stopped_at, self._stop_at = "", stop_at
        self._signer, self._services, self._options = signer, services or running.services(), options
        self._lease_seconds = lease_seconds
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="orders", daemon=True)
        self._thread.start()
        assert self._ready.wait(WAIT_SECONDS) or self._failure

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(WAIT_SECONDS)
            assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def die(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(WAIT_SECONDS)

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except asyncio.CancelledError:
            pass
        except BaseException as failure:  # noqa: BLE001 - handed to the test's thread
            self._failure = failure
        finally:
            connections.close_all()

    def _settle_and_hang(self, landed: list[Landing]) -> set[UUID]:
        settled = set(self._services.settle_landed(landed))
        self.stopped_at = "landed"
        raise OperationalError(f"dead after {len(settled)}")

    def _reached(self, status: str) -> None:
        self.stopped_at = status

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._task = asyncio.current_task()
        services = self._services
        if self._stop_at == "landed":
            services = replace(services, settle_landed=self._settle_and_hang)
        bookings = Bookings(services)
        try:
            claims = StuckClaims(self._stop_at, self._reached, lease_seconds=self._lease_seconds)
            driver = running.make_driver(bookings, signer=self._signer, claims=claims, **self._options)
            self._ready.set()
            await driver.run(self._stop)
        finally:
            bookings.close()
            await nodes.close_pool()
            await http.close_async_clients()


@contextmanager
def driving(desk: Desk, **options: Any) -> Iterator[RunningDriver]:
    driver = RunningDriver(desk.signer, **options)
    try:
        yield driver
    finally:
        driver.stop()


def orders_of(side: OrderSide) -> list[Order]:
    return list(Order.objects.filter(side=side).order_by("created_at"))

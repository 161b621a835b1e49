"""Rent that comes back: a token account of ours that is empty is closed by an order of its own, of purpose `reclaim`.

Such an order holds nothing and swaps nothing; it goes the way of every order (one transaction, signed once, booked from
the chain). It is made after a sale was finalized, when nothing of the token is held or under way any more; a sale whose
process ended before it could is found by `left_behind`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from apps.chain.domain.answers import TokenAccount
from apps.chain.errors import NodeError
from apps.chain.pool import FINALIZED, NodePool
from apps.core import bulk
from apps.core.http import Lane
from apps.trading.domain import order_machine
from apps.trading.models import Order, OrderPurpose, OrderSide
from apps.trading.services.live.bookings import Bookings, Sold
from apps.trading.services.live.building import Builder, CannotBuild, TryLater
from apps.trading.services.live.chain_clock import ChainClock
from apps.trading.services.live.compute_budget import ComputeBudgets
from apps.trading.services.live.live_order import LiveOrder
from apps.wallets.signer_client import ReclaimToSign, Signed

log = structlog.get_logger(__name__)

_CLOSE_ACCOUNT = bytes((9,))
_UNITS = 10_000
#: Less than this is not worth a fee.
_LEAST_RENT_LAMPORTS = 100_000
ACCOUNT_NOT_EMPTY = "ACCOUNT_NOT_EMPTY"
#: A reclaim that did not land is made again so often.
_MOST_TRIES = 5

_IN_USE = """
SELECT EXISTS (SELECT 1 FROM trade_order WHERE wallet_id = %s AND mint = %s AND status = ANY(%s))
    OR EXISTS (SELECT 1 FROM position WHERE wallet_id = %s AND mint = %s AND closed_at IS NULL)
"""
#: The latest sale of each token of a wallet, unless its rent is back or on its way; a moment old, so that the process
#: that finalized it has had its turn.
_LEFT_BEHIND = """
SELECT sale.id, w.address, sale.mint
FROM wallet w CROSS JOIN LATERAL (
    SELECT DISTINCT ON (o.mint) o.id, o.mint, o.ended_at FROM trade_order o
    WHERE o.wallet_id = w.id AND o.created_at > now() - interval '1 day'
        AND o.side = 'sell' AND o.purpose <> 'reclaim' AND o.status = 'finalized'
    ORDER BY o.mint, o.ended_at DESC
) sale
WHERE w.wallet_type = 'live' AND w.released_at IS NULL AND sale.ended_at < now() - interval '10 seconds'
    AND NOT EXISTS (SELECT 1 FROM position p
        WHERE p.wallet_id = w.id AND p.mint = sale.mint AND p.closed_at IS NULL)
    AND NOT EXISTS (SELECT 1 FROM trade_order o
        WHERE o.wallet_id = w.id AND o.mint = sale.mint AND o.created_at > sale.ended_at AND o.status <> ALL(%s))
    AND (SELECT count(*) FROM trade_order o
        WHERE o.wallet_id = w.id AND o.mint = sale.mint AND o.created_at > sale.ended_at
            AND o.purpose = 'reclaim') < %s
"""


class Reclaims:
    """Makes reclaim orders, and their transactions."""

    def __init__(
        self, pool: NodePool, clock: ChainClock, budgets: ComputeBudgets, builder: Builder, bookings: Bookings
    ) -> None:
        self._budgets = budgets
        self._bookings = bookings
        self._pool = pool
        self._clock = clock
        self._builder = builder

    async def prepare(self, order: LiveOrder) -> tuple[Signed, int, str]:
        """Return the signed closing of the order's token account, its last valid height and its blockhash.

        Raises:
            CannotBuild: the account is gone or holds something. TryLater.
        """
        account = str((order.inputs or {}).get("tokenAccount", ""))
        try:
            found = {each.address: each for each in await self._accounts(order.wallet)}.get(account)
            now = await self._clock.now()
        except NodeError as error:
            raise TryLater(error.code, error.message) from error
        if found is None or not _closable(found, order.mint):
            raise CannotBuild(ACCOUNT_NOT_EMPTY, f"{account} is not an empty token account any more")
        most = min(order.fee_cap_lamports, found.lamports // 2)  # or it would not be worth it
        price = await self._budgets.price(order, _UNITS, most)
        reclaim = ReclaimToSign(
            order_id=str(order.id),
            wallet=order.wallet,
            mint=order.mint,
            token_account=account,
            transaction=closing(order.wallet, found, now.blockhash, price),
        )
        return await self._builder.sign_reclaim(reclaim), now.last_valid(), now.blockhash

    async def after_sale(self, sale: Sold) -> None:
        """Make a reclaim order for the token account of a finalized sale if it is empty; never raises."""
        try:
            empty = [each for each in await self._accounts(sale.wallet) if _closable(each, sale.mint)]
            for account in empty:
                await self._bookings.reclaim(sale.id, account.address, account.program)
        except Exception as error:  # noqa: BLE001 - costs no order its end; `after_left_sales` looks again
            log.warning("reclaim_not_made", order_id=str(sale.id), error=type(error).__name__)

    async def after_left_sales(self) -> None:
        """Do so for every sale after which nobody did; never raises."""
        try:
            left = await self._bookings.left_behind()
        except Exception as error:  # noqa: BLE001 - asked again in a while
            log.warning("rent_not_looked_for", error=type(error).__name__)
            return
        for sale in left:
            await self.after_sale(sale)

    async def _accounts(self, wallet: str) -> list[TokenAccount]:
        return await self._pool.token_accounts(wallet, commitment=FINALIZED, lane=Lane.REST)


def reserve(sale_id: UUID, token_account: str, program: str) -> UUID | None:
    """Write a reclaim order after a sale, unless the token is held or under way again; return its id."""
    sale = Order.objects.get(pk=sale_id)
    moving = sorted(order_machine.IN_FLIGHT | {order_machine.LANDED})
    ((used,),) = bulk.fetch_all(_IN_USE, [sale.wallet_id, sale.mint, moving, sale.wallet_id, sale.mint])
    if used:
        return None
    order_id = uuid4()
    try:
        with transaction.atomic():
            Order.objects.create(
                id=order_id,
                agent_id=sale.agent_id,
                wallet_id=sale.wallet_id,
                epoch=sale.epoch,
                side=OrderSide.SELL,
                purpose=OrderPurpose.RECLAIM,
                mint=sale.mint,
                symbol=sale.symbol,
                decimals=sale.decimals,
                in_base_units=0,
                slippage_bps=0,
                fee_cap_lamports=settings.LIVE_MAX_FEE_LAMPORTS,
                held_mint=sale.mint,
                inputs={"tokenAccount": token_account, "program": program, "afterSale": str(sale.id)},
            )
            bulk.execute("NOTIFY trade_orders")
    except IntegrityError:
        return None  # a sale of the token has begun meanwhile: there is one order in flight per token and side
    log.info("reclaim_reserved", order_id=str(order_id), after=str(sale.id))
    return order_id


def left_behind() -> list[Sold]:
    """Return the last day's sales of tokens no longer held whose rent is neither back nor on its way."""
    ended_without = sorted(order_machine.TERMINAL - {order_machine.FINALIZED})
    return [Sold(*row) for row in bulk.fetch_all(_LEFT_BEHIND, [ended_without, _MOST_TRIES])]


def closing(wallet: str, account: TokenAccount, blockhash: str, micro_lamports_per_unit: int) -> bytes:
    """Return the unsigned transaction that closes a token account and brings its lamports to the wallet."""
    owner = Pubkey.from_string(wallet)
    accounts = [
        AccountMeta(Pubkey.from_string(account.address), is_signer=False, is_writable=True),
        AccountMeta(owner, is_signer=False, is_writable=True),
        AccountMeta(owner, is_signer=True, is_writable=False),
    ]
    steps = [
        set_compute_unit_limit(_UNITS),
        set_compute_unit_price(micro_lamports_per_unit),
        Instruction(Pubkey.from_string(account.program), _CLOSE_ACCOUNT, accounts),
    ]
    message = MessageV0.try_compile(owner, steps, [], Hash.from_string(blockhash))
    return bytes(VersionedTransaction.populate(message, [Signature.default()]))


def _closable(account: TokenAccount, mint: str) -> bool:
    held: Any = account.amount
    return account.mint == mint and not held and not account.frozen and account.lamports >= _LEAST_RENT_LAMPORTS

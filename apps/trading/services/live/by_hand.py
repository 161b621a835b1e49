"""What an operator decides about an order nobody can prove anything of: with one node there is no second witness.

The desk's own node is asked first: what it knows of, or what its chain could still take, is not for a person to end.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction as database

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.chain import expiry, nodes
from apps.chain.domain.testimony import ruled_out_by
from apps.core.errors import Conflict
from apps.trading.domain import order_machine
from apps.trading.models import Order
from apps.trading.services.live import settling

DECLARED_EXPIRED = "DECLARED_EXPIRED"


class MayStillLand(Conflict):
    """The order is not one that a person may end. Codes: ORDER_NOT_UNRESOLVED, ORDER_LANDED, ORDER_MAY_LAND."""


def declare_expired(*, order_id: UUID, reason: str, actor: User | None) -> None:
    """End an unresolved order as expired by a person's word, its funds given back; an explorer was looked at.

    Raises:
        MayStillLand: it is not unresolved, a node knows it, or none that answers is past its last height.
    """
    order = Order.objects.select_related("wallet").get(pk=order_id)
    if order.status != order_machine.UNRESOLVED or order.signature is None or order.last_valid_block_height is None:
        raise MayStillLand("ORDER_NOT_UNRESOLVED", "Only an unresolved order may be ended by hand.")
    signature, height = order.signature, order.last_valid_block_height
    blockhash, address = order.blockhash or None, order.wallet.address
    told = nodes.ask(lambda pool: expiry.testimonies(pool, signature, blockhash=blockhash, address=address))
    if any(each.knows_something for each in told):
        raise MayStillLand("ORDER_LANDED", "A node knows this transaction: its end is booked from the chain.")
    if not ruled_out_by(told, last_valid_block_height=height):
        raise MayStillLand("ORDER_MAY_LAND", "No node's finalized chain is past this order's last height yet.")
    with database.atomic():
        if order.pk not in settling.settle_ended([(order.pk, order_machine.EXPIRED, DECLARED_EXPIRED, reason)]):
            raise MayStillLand("ORDER_NOT_UNRESOLVED", "The order has moved on meanwhile.")
        audit.record(
            actor=actor,
            action="order.declared_expired",
            object_type="order",
            object_id=str(order.pk),
            before={"status": order_machine.UNRESOLVED, "signature": signature},
            after={"status": order_machine.EXPIRED, "reason": reason},
        )

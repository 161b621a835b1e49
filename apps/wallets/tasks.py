"""Wake-ups of wallets: each task does what the next minute would do anyway. No task is the record of anything."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from apps.core import sweep
from apps.wallets.services import key_care, reconciling


@shared_task(name="wallets.reconcile")
def reconcile() -> None:
    """Compare every live wallet with the chain."""
    reconciling.look()


@shared_task(name=reconciling.TASK)
def reconcile_wallet(wallet_id: str) -> None:
    """Compare one live wallet with the chain, as after a trade."""
    reconciling.look([UUID(wallet_id)])


sweep.register("signer's keys", queue="default", every=5.0, run=key_care.follow)

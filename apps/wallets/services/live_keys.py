"""Which live keys there are and who may use them. Addresses only: a private key is never seen outside the signer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.core.errors import Conflict
from apps.wallets.models import KeySource, LiveKey, LiveKeyGrant, Network


@dataclass(frozen=True, slots=True)
class LoadedKey:
    """A key as the signer names it."""

    address: str
    source: KeySource
    network: Network
    name: str = ""


def report_loaded(keys: Sequence[LoadedKey]) -> None:
    """Take what the signer can sign with now; a key it does not name any more stays known, not loaded.

    Called by the signer whenever that changes. Locks every key row, by address.
    """
    named = {key.address: key for key in keys}
    with transaction.atomic():
        known = {row.address: row for row in LiveKey.objects.select_for_update(no_key=True).order_by("address")}
        for address in sorted(named):
            _load(known.get(address), named[address])
        for address, row in known.items():
            if row.loaded and address not in named:
                row.loaded = False
                row.save(update_fields=["loaded", "updated_at"])
                _record(None, "live_key.unloaded", address, before={"loaded": True}, after={"loaded": False})


def _load(row: LiveKey | None, key: LoadedKey) -> None:
    facts = {"name": key.name, "source": key.source, "network": key.network, "loaded": True}
    before = None if row is None else {field: getattr(row, field) for field in facts}
    LiveKey.objects.update_or_create(address=key.address, defaults={**facts, "loaded_at": timezone.now()})
    if before != facts:
        _record(None, "live_key.loaded", key.address, before=before, after=facts)


def allow(*, key: LiveKey, user: User, actor: User | None) -> LiveKeyGrant:
    """Let a user without staff rights see the key and assign it to their agents.

    Raises:
        Conflict: KEY_ALLOWED, they may already.
    """
    with transaction.atomic():
        grant, made = LiveKeyGrant.objects.get_or_create(key=key, user=user)
        if not made:
            raise Conflict("KEY_ALLOWED", "This user may use the key already.")
        _record(actor, "live_key.allowed", key.address, before=None, after={"user": user.email})
    return grant


def withdraw(*, grant: LiveKeyGrant, actor: User | None) -> None:
    """Take the right back. A wallet that was assigned stays assigned; unassigning it is a step of its own."""
    with transaction.atomic():
        removed, _ = LiveKeyGrant.objects.filter(pk=grant.pk).delete()
        if removed:
            _record(actor, "live_key.withdrawn", grant.key_id, before={"user": grant.user.email}, after=None)


def _record(actor: User | None, action: str, address: str, *, before: object, after: object) -> None:
    audit.record(actor=actor, action=action, object_type="live_key", object_id=address, before=before, after=after)

"""Looking after the signer's keys: made, taken in, unlocked, locked, handed out; each in the audit log.

The signer does it; here is who may ask, what is remembered, and that the desk knows at once what can be assigned. A
passphrase only passes through, a private key never comes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.services import audit, second_factor
from apps.core.errors import SoldeskError
from apps.wallets.adapters.signer import asking
from apps.wallets.models import KeySource, LiveKey, Network
from apps.wallets.services import live_keys
from apps.wallets.services.live_keys import LoadedKey
from apps.wallets.signer_client import HeldKey, SignerStatus


def status() -> SignerStatus:
    """Return what the signer holds.

    Raises:
        SoldeskError: SIGNER_UNAVAILABLE.
    """
    with asking() as signer:
        return signer.status()


def create_key(*, name: str, passphrase: str, actor: User) -> HeldKey:
    """Have a key made; it is unlocked. Raises SoldeskError as `asking` says."""
    with asking() as signer:
        made = signer.create(name=name, passphrase=passphrase)
    _record(actor, "live_key.created", made)
    follow()
    return made


def import_key(*, file: Mapping[str, Any], actor: User) -> HeldKey:
    """Hand the signer an encrypted key file; it stays locked. Raises SoldeskError as `asking` says."""
    with asking() as signer:
        taken = signer.take_in(file=file)
    _record(actor, "live_key.imported", taken)
    return taken


def unlock_key(*, address: str, passphrase: str, actor: User) -> HeldKey:
    """Have a key opened with its passphrase. Raises SoldeskError as `asking` says."""
    with asking() as signer:
        opened = signer.unlock(address=address, passphrase=passphrase)
    _record(actor, "live_key.unlocked", opened)
    follow()
    return opened


def lock_key(*, address: str, actor: User) -> HeldKey:
    """Have a key forgotten until it is unlocked again. Raises SoldeskError as `asking` says."""
    with asking() as signer:
        locked = signer.lock(address=address)
    _record(actor, "live_key.locked", locked)
    follow()
    return locked


def export_key(*, address: str, passphrase: str, code: str | None, actor: User) -> dict[str, Any]:
    """Return a key's file, encrypted under its passphrase, for whoever proves that and their second factor.

    The audit entry is committed before the file is given away. Call it outside any transaction.

    Raises:
        SoldeskError: as `second_factor.verify` and `asking` say.
    """
    second_factor.verify(actor, code)
    with asking() as signer:
        file = signer.export(address=address, passphrase=passphrase)
    with transaction.atomic(durable=True):
        audit.record(actor=actor, action="live_key.exported", object_type="live_key", object_id=address)
    return file


def follow() -> None:
    """Let the desk know what the signer can sign with now; nothing is written while nothing has changed.

    A signer that does not answer is started again in a moment: what it held stays known.
    """
    try:
        with asking() as signer:
            told = signer.status()
    except SoldeskError:
        return
    if told.network == "unknown":
        return
    network = Network.MAINNET if told.network == "mainnet" else Network.TESTNET
    now = {
        key.address: LoadedKey(key.address, KeySource(key.source), network, key.name)
        for key in told.keys
        if not key.locked
    }
    known = {
        row.address: LoadedKey(row.address, KeySource(row.source), Network(row.network), row.name)
        for row in LiveKey.objects.filter(loaded=True)
    }
    if known != now:
        live_keys.report_loaded(list(now.values()))


def _record(actor: User, action: str, key: HeldKey) -> None:
    after = {"name": key.name, "source": key.source, "locked": key.locked}
    audit.record(actor=actor, action=action, object_type="live_key", object_id=key.address, after=after)

"""Webhooks of signals as an operator sets them up: made, changed, given a new address, removed. All of it is audited.

The token of an address is returned once, by what made it; only its SHA-256 is kept. What comes in: `webhook_intake`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from apps.accounts.domain import networks
from apps.accounts.models import User
from apps.accounts.services import audit
from apps.core.errors import Invalid, NotFound
from apps.signals.domain import mapping_text
from apps.signals.domain.mapping import Comparison, Ignore, Mapping, Place
from apps.signals.models import SignalWebhook

TOKEN_PREFIX = "whk_"  # noqa: S105 - what every token begins with, so that logs can hide the rest
LONGEST_SECRET = 200
_RANDOM_BYTES = 24
_SHOWN_CHARACTERS = 8
_CHANGEABLE = ("name", "enabled", "mapping", "allowed_addresses", "secret_path", "secret_hash")

#: What a new webhook expects until the operator says otherwise; docs/webhooks.md has the message it fits.
USUAL = Mapping(
    places={
        "token_address": Place("ticker"),
        "symbol": Place("symbol"),
        "signal_type": Place("type", "TradingView"),
        "signal_strength": Place("action"),
        "activation_reason": Place("comment"),
        "source": Place("", "TradingView"),
    },
    strengths={"buy": 3, "strong buy": 5},
    ignore=(Ignore("action", Comparison.EQUALS, "sell"),),
)


def digest(text: str) -> str:
    """Return what is kept of a token or a shared secret."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def create_webhook(
    *,
    user: User,
    name: str,
    actor: User | None,
    mapping: Mapping = USUAL,
    allowed_addresses: Sequence[str] = (),
    secret_path: str = "",
    secret: str = "",
    enabled: bool = True,
) -> tuple[SignalWebhook, str]:
    """Make a webhook and return it with its token, which nobody can read again.

    Raises:
        Invalid: INVALID_ADDRESSES, INVALID_SECRET.
    """
    _check_secret(secret_path, is_set=bool(secret))
    token = _new_token()
    with transaction.atomic():
        webhook = SignalWebhook.objects.create(
            user=user,
            name=name,
            token_hash=digest(token),
            prefix=token[:_SHOWN_CHARACTERS],
            enabled=enabled,
            mapping=mapping_text.as_json(mapping),
            allowed_addresses=_networks(allowed_addresses),
            secret_path=secret_path,
            secret_hash=digest(secret) if secret else "",
        )
        _record(actor, "created", webhook, before=None, after=_facts(webhook))
    return webhook, token


def update_webhook(
    *,
    webhook: SignalWebhook,
    actor: User | None,
    name: str,
    enabled: bool,
    mapping: Mapping,
    allowed_addresses: Sequence[str],
    secret_path: str,
    secret: str = "",
) -> SignalWebhook:
    """Change a webhook; an empty `secret` keeps the present one, an empty `secret_path` asks for none any more.

    Raises:
        Invalid: INVALID_ADDRESSES, INVALID_SECRET. NotFound: WEBHOOK_NOT_FOUND.
    """
    with transaction.atomic():
        row = _locked(webhook)
        before = _facts(row)
        row.name, row.enabled = name, enabled
        row.mapping = mapping_text.as_json(mapping)
        row.allowed_addresses = _networks(allowed_addresses)
        row.secret_path = secret_path
        if secret or not secret_path:
            row.secret_hash = digest(secret) if secret and secret_path else ""
        _check_secret(secret_path, is_set=bool(row.secret_hash))
        after = _facts(row)
        if after != before or secret:
            row.save(update_fields=_CHANGEABLE)
            _record(actor, "updated", row, before=before, after={**after, **({"secret": "changed"} if secret else {})})
    return row


def rotate_token(*, webhook: SignalWebhook, actor: User | None) -> tuple[SignalWebhook, str]:
    """Give a webhook a new address and return it with the token; the former address is unknown at once."""
    token = _new_token()
    with transaction.atomic():
        row = _locked(webhook)
        before = {"prefix": row.prefix}
        row.token_hash, row.prefix = digest(token), token[:_SHOWN_CHARACTERS]
        row.save(update_fields=["token_hash", "prefix"])
        _record(actor, "rotated", row, before=before, after={"prefix": row.prefix})
    return row, token


def delete_webhook(*, webhook: SignalWebhook, actor: User | None) -> None:
    """Remove a webhook and its log; signals it made stay."""
    with transaction.atomic():
        row = _locked(webhook)
        _record(actor, "deleted", row, before=_facts(row), after=None)
        row.delete()


def _networks(lines: Sequence[str]) -> list[str]:
    try:
        return [networks.normalised(line) for line in lines]
    except ValueError as error:
        raise Invalid("INVALID_ADDRESSES", f"Addresses that may send: {error}.") from None


def _check_secret(path: str, *, is_set: bool) -> None:
    if path and not is_set:
        raise Invalid("INVALID_SECRET", "A place for the shared secret needs a secret.")


def _new_token() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def _locked(webhook: SignalWebhook) -> SignalWebhook:
    row = SignalWebhook.objects.select_for_update(no_key=True, of=("self",)).filter(pk=webhook.pk).first()
    if row is None:
        raise NotFound("WEBHOOK_NOT_FOUND", "There is no such webhook.")
    return row


def _facts(webhook: SignalWebhook) -> dict[str, Any]:
    """Return what the audit log keeps: everything an operator sets, of the secret only whether there is one."""
    return {
        "user": str(webhook.user_id),
        "name": webhook.name,
        "enabled": webhook.enabled,
        "mapping": webhook.mapping,
        "allowed_addresses": list(webhook.allowed_addresses),
        "secret_path": webhook.secret_path,
        "asks_for_secret": bool(webhook.secret_hash),
        "prefix": webhook.prefix,
    }


def _record(
    actor: User | None,
    what: str,
    webhook: SignalWebhook,
    *,
    before: AnyMapping[str, Any] | None,
    after: AnyMapping[str, Any] | None,
) -> None:
    audit.record(
        actor=actor,
        action=f"signal_webhook.{what}",
        object_type="signal_webhook",
        object_id=webhook.pk,
        before=before,
        after=after,
    )

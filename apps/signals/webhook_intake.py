"""What a request to a signal webhook becomes: a signal, nothing, or a refusal; each leaves a line in the webhook's log.

Who may not send (wrong token, address or secret, switched off) is answered as if the address did not exist; the log
tells the operator which it was. Repeating a message is safe: the signal's own duplicate check holds.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping as AnyMapping
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import structlog
from django.db import models, transaction
from django.db.models import F
from django.db.models.functions import Now

from apps.accounts.domain import networks
from apps.core import base58, bulk
from apps.core.errors import Invalid, NotFound, SoldeskError
from apps.signals import selectors, services
from apps.signals.domain import mapping as rules
from apps.signals.domain import mapping_text
from apps.signals.domain.mapping import MappedSignal
from apps.signals.models import Outcome, SignalWebhook, TradingSignal, WebhookRequest
from apps.signals.webhook_setup import LONGEST_SECRET, digest

#: How much is kept: requests of one webhook, characters of one payload.
KEPT_REQUESTS = 200
KEPT_CHARACTERS = 4096
_UNREAD = "(not kept: it may hold the secret and could not be read)"
_WIRE = {name: "".join((w.title() if i else w) for i, w in enumerate(name.split("_"))) for name in rules.FIELDS}
_LIMITED = ("symbol", "signal_type", "source")


class WebhookUnknown(NotFound):
    """Nothing tells a wrong token from a sender that may not use a right one."""

    def __init__(self, log_code: str = "", log_detail: str = "") -> None:
        super().__init__("WEBHOOK_NOT_FOUND", "There is no such webhook.")
        self.log_code = log_code
        self.log_detail = log_detail


class InvalidMessage(Invalid):
    """A message no signal can be made of; the code names the signal's field."""

    def __init__(self, field: str, message: str) -> None:
        wire_name = _WIRE.get(field, field)
        super().__init__(
            f"INVALID_{field.upper()}",
            f"{wire_name}: {message}",
            details={"errors": [{"field": wire_name, "message": message}]},
            extra={"field": wire_name},
        )


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came; `message` is None when the body could not be read."""

    address: str
    body: bytes
    message: AnyMapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a request that was not refused."""

    outcome: Outcome
    signal: TradingSignal | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a payload would come to, with nothing done."""

    outcome: Outcome
    signal: MappedSignal | None = None
    code: str = ""
    detail: str = ""


def find_webhook(token: str) -> SignalWebhook | None:
    """Return the webhook that answers at this token, with its user, in one query; None if there is none in use."""
    return (
        SignalWebhook.objects.select_related("user")
        .filter(token_hash=digest(token), enabled=True, user__is_active=True)
        .first()
    )


def check_address(webhook: SignalWebhook, address: str) -> None:
    """Refuse who may not send from where they are.

    Raises:
        WebhookUnknown: the webhook names addresses and this is none of them.
    """
    if webhook.allowed_addresses and not networks.contains(webhook.allowed_addresses, address):
        raise WebhookUnknown("ADDRESS_NOT_ALLOWED", f"{address} is not among the addresses that may send")


def check_secret(webhook: SignalWebhook, received: Received) -> Received:
    """Return the request without the shared secret, once that was found right, or where none is asked for.

    Raises:
        WebhookUnknown: wrong or missing secret.
    """
    if not webhook.secret_path:
        return received
    message = received.message or {}
    given = rules.value_at(message, webhook.secret_path)
    matches = isinstance(given, str) and len(given) <= LONGEST_SECRET
    if not (matches and hmac.compare_digest(digest(str(given)), webhook.secret_hash)):
        raise WebhookUnknown("SECRET_WRONG", f"the secret at `{webhook.secret_path}` is missing or wrong")
    return replace(received, message=_hidden(webhook, message))


def take(webhook: SignalWebhook, received: Received) -> Taken:
    """Make a signal of a message, or leave it alone by rule; the signal and the log's line are one transaction.

    Raises:
        InvalidMessage: INVALID_<FIELD>. SignalDuplicate: the same token, type and strength a moment ago.
    """
    message = received.message or {}
    rule = rules.ignored_by(mapping_text.from_json(webhook.mapping), message)
    with transaction.atomic():
        if rule is not None:
            taken = Taken(Outcome.IGNORED, reason=str(rule))
        else:
            mapped = _mapped(webhook, message)
            signal = services.create_signal(user=webhook.user, api_key=None, **asdict(mapped))
            taken = Taken(Outcome.CREATED, signal)
        _note(webhook, received, taken.outcome, detail=taken.reason, signal=taken.signal)
    return taken


def note_refusal(webhook: SignalWebhook, received: Received, refusal: SoldeskError) -> None:
    """Write a refused request to the webhook's log; what failed inside is not the sender's and is left out."""
    if refusal.status >= 500:
        return
    code, detail = refusal.code, refusal.message
    outcome = Outcome.DUPLICATE if code == "SIGNAL_DUPLICATE" else Outcome.INVALID
    if isinstance(refusal, WebhookUnknown):
        outcome, code, detail = Outcome.DENIED, refusal.log_code, refusal.log_detail
    with transaction.atomic():
        _note(webhook, received, outcome, code=code, detail=detail)


def preview(webhook: SignalWebhook, message: AnyMapping[str, Any]) -> Preview:
    """Tell what a payload would come to at this moment. The secret is not asked for: who tries it is signed in."""
    message = rules.masked(message, webhook.secret_path) if webhook.secret_path else message
    rule = rules.ignored_by(mapping_text.from_json(webhook.mapping), message)
    if rule is not None:
        return Preview(Outcome.IGNORED, detail=str(rule))
    try:
        mapped = _mapped(webhook, message)
    except InvalidMessage as refusal:
        return Preview(Outcome.INVALID, code=refusal.code, detail=refusal.message)
    if selectors.is_held(webhook.user_id, mapped.token_address, mapped.signal_type, mapped.signal_strength):
        return Preview(Outcome.DUPLICATE, mapped, "SIGNAL_DUPLICATE", "The same signal was sent a moment ago.")
    return Preview(Outcome.CREATED, mapped)


def _hidden(webhook: SignalWebhook, message: AnyMapping[str, Any]) -> AnyMapping[str, Any]:
    """Return the message without what stands where the secret does; in plain text it goes wherever it stands."""
    given = rules.value_at(message, webhook.secret_path)
    if set(message) == set(rules.text_message("")) and isinstance(given, str) and given:
        return rules.text_message(str(message["text"]).replace(given, rules.MASK))
    hidden: AnyMapping[str, Any] = rules.masked(message, webhook.secret_path)
    return hidden


def _mapped(webhook: SignalWebhook, message: AnyMapping[str, Any]) -> MappedSignal:
    try:
        mapped = rules.apply(mapping_text.from_json(webhook.mapping), message)
    except rules.MappingFault as fault:
        raise InvalidMessage(fault.field, fault.message) from None
    if not base58.is_address(mapped.token_address):
        shown = mapped.token_address[:60]
        raise InvalidMessage("token_address", f"`{shown}` is neither in the table of tickers nor a Solana mint")
    for name in _LIMITED:
        longest = cast("models.CharField[str, str]", TradingSignal._meta.get_field(name)).max_length
        if longest is not None and len(getattr(mapped, name) or "") > longest:
            raise InvalidMessage(name, f"must have at most {longest} characters")
    return mapped


def _note(
    webhook: SignalWebhook,
    received: Received,
    outcome: Outcome,
    *,
    code: str = "",
    detail: str = "",
    signal: TradingSignal | None = None,
) -> None:
    SignalWebhook.objects.filter(pk=webhook.pk).update(received_count=F("received_count") + 1, last_used_at=Now())
    WebhookRequest.objects.create(
        webhook=webhook,
        address=received.address[:64],
        outcome=outcome,
        code=code,
        detail=detail[:300],
        payload=_kept(webhook, received),
        payload_bytes=len(received.body),
        signal=signal,
        request_id=str(structlog.contextvars.get_contextvars().get("request_id", ""))[:64],
    )
    bulk.execute(
        "DELETE FROM signal_webhook_request WHERE webhook_id = %s AND id <= (SELECT id FROM signal_webhook_request"
        " WHERE webhook_id = %s ORDER BY id DESC OFFSET %s LIMIT 1)",
        [webhook.pk, webhook.pk, KEPT_REQUESTS],
    )


def _kept(webhook: SignalWebhook, received: Received) -> str:
    """Return what the log keeps of a body: cut, and without the secret."""
    text = received.body.decode("utf-8", "replace").replace("\0", "")
    if webhook.secret_path:
        if received.message is None:
            return _UNREAD
        hidden = _hidden(webhook, received.message)
        is_text = set(hidden) == set(rules.text_message(""))
        text = str(hidden["text"]) if is_text else json.dumps(hidden, default=str, ensure_ascii=True)
    return text.replace("\0", "")[:KEPT_CHARACTERS]

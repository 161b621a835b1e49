"""The door of signals from elsewhere: whoever knows an address may send there, within its limits.

A wrong token, a wrong secret, a sender that is not allowed and a webhook switched off get one and the same 404.
"""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.idempotency import idempotent
from apps.core.api import limits
from apps.core.api.fields import Choice, Flag, WholeNumber
from apps.core.api.openapi import IDEMPOTENCY, answers
from apps.core.api.shapes import Shape
from apps.core.errors import SoldeskError
from apps.signals import webhook_intake
from apps.signals.api.payloads import AnyBody, read_message
from apps.signals.models import Outcome, SignalWebhook


class MessageTaken(Shape):
    """What came of a message: a signal, or nothing because a rule of the webhook leaves such messages alone."""

    success = Flag()
    outcome = Choice([Outcome.CREATED.value, Outcome.IGNORED.value])
    signal_id = WholeNumber(allow_null=True)
    reason = serializers.CharField(allow_null=True)


_MESSAGE = OpenApiExample(
    "A chart's alert",
    value={"ticker": "BONKUSDT", "action": "buy", "comment": "Breakout"},
    request_only=True,
    media_type="application/json",
)
_TEXT = OpenApiExample("Plain text", value="BONKUSDT buy", request_only=True, media_type="text/plain")


@extend_schema(tags=["webhooks"])
class SignalWebhookIntake(APIView):
    authentication_classes = []
    permission_classes = []
    parser_classes = [AnyBody]

    @extend_schema(
        summary="Send a message that becomes a signal, as its webhook's mapping says",
        operation_id="receive_signal",
        auth=[],
        parameters=[IDEMPOTENCY],
        request={"application/json": OpenApiTypes.OBJECT, "text/plain": OpenApiTypes.STR},
        examples=[_MESSAGE, _TEXT],
        responses={
            202: MessageTaken,
            **answers(
                MessageTaken,
                "400 INVALID_TOKEN_ADDRESS",
                "400 INVALID_SYMBOL",
                "400 INVALID_SIGNAL_TYPE",
                "400 INVALID_SIGNAL_STRENGTH",
                "400 INVALID_ACTIVATION_REASON",
                "400 INVALID_SOURCE",
                "400 INVALID_BODY",
                "400 MALFORMED_JSON",
                "404 WEBHOOK_NOT_FOUND",
                "409 SIGNAL_DUPLICATE",
                "413 BODY_TOO_LARGE",
                "429 RATE_LIMITED",
                status=201,
            ),
        },
    )
    def post(self, request: Request, token: str) -> Response:
        address = limits.client_address(request)
        webhook = webhook_intake.find_webhook(token)
        limits.check(
            "webhook",
            f"from {address}" if webhook is None else str(webhook.pk),
            per_minute=settings.SIGNALS_PER_MINUTE,
        )
        if webhook is None:
            raise webhook_intake.WebhookUnknown
        request.user = webhook.user
        body = request.data if isinstance(request.data, bytes) else b""
        received = webhook_intake.Received(address, body)
        try:
            webhook_intake.check_address(webhook, address)
            message = read_message(body, request.content_type or "")
            received = webhook_intake.Received(address, body, message)
            received = webhook_intake.check_secret(webhook, received)
            return self._take(request, webhook, received)
        except SoldeskError as refusal:
            webhook_intake.note_refusal(webhook, received, refusal)
            raise

    @idempotent(books_at_once=True)
    def _take(self, _request: Request, webhook: SignalWebhook, received: webhook_intake.Received) -> Response:
        taken = webhook_intake.take(webhook, received)
        answer = {
            "success": True,
            "outcome": taken.outcome.value,
            "signalId": None if taken.signal is None else taken.signal.pk,
            "reason": taken.reason or None,
        }
        return Response(answer, status=202 if taken.signal is None else 201)

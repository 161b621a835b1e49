"""Doors of notify: webhook endpoints, what was sent to them, and sending it again."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.core.api import limits, paging
from apps.core.api.openapi import PAGING, Message, answers
from apps.core.api.shapes import path_uuid
from apps.notify import selectors
from apps.notify.api import shapes
from apps.notify.models import DeliveryStatus, EventType, WebhookEndpoint
from apps.notify.services import endpoints

_INVALID = (
    "400 INVALID_URL",
    "400 INVALID_EVENTS",
    "400 INVALID_DESCRIPTION",
    "400 INVALID_AGENT_IDS",
    "400 INVALID_ENABLED",
)
_ONE = ("400 INVALID_ID", "404 WEBHOOK_ENDPOINT_NOT_FOUND")


def _endpoint(request: Request, endpoint_id: str) -> WebhookEndpoint:
    return selectors.get_endpoint(user=caller(request), endpoint_id=path_uuid(endpoint_id, "id"))


def _limit(request: Request) -> None:
    """The desk posts to strangers' addresses only so often because somebody says so."""
    limits.check("webhook_sends", str(caller(request).pk), per_minute=settings.WEBHOOK_SENDS_PER_MINUTE)


@extend_schema(tags=["webhooks"])
class Endpoints(APIView):
    @extend_schema(
        summary="My webhook endpoints",
        operation_id="list_webhook_endpoints",
        responses=answers(shapes.EndpointShape(many=True)),
    )
    def get(self, request: Request) -> Response:
        return paging.whole(list(selectors.list_endpoints(user=caller(request))), shapes.EndpointShape)

    @extend_schema(
        summary="Make a webhook endpoint; its signing secret is shown this once",
        operation_id="create_webhook_endpoint",
        request=shapes.EndpointBody,
        responses=answers(shapes.NewEndpointShape, *_INVALID, "409 TOO_MANY_WEBHOOK_ENDPOINTS", status=201),
    )
    def post(self, request: Request) -> Response:
        wish = shapes.wish_of(shapes.EndpointBody.read(request))
        endpoint, secret = endpoints.create(user=caller(request), wish=wish, actor=caller(request))
        return Response({**shapes.EndpointShape.present(endpoint), "secret": secret}, status=201)


@extend_schema(tags=["webhooks"])
class Endpoint(APIView):
    @extend_schema(
        summary="One webhook endpoint",
        operation_id="get_webhook_endpoint",
        responses=answers(shapes.EndpointShape, *_ONE),
    )
    def get(self, request: Request, endpoint_id: str) -> Response:
        return Response(shapes.EndpointShape.present(_endpoint(request, endpoint_id)))

    @extend_schema(
        summary="Change a webhook endpoint; what is left out stays",
        operation_id="update_webhook_endpoint",
        request=shapes.EndpointChanges,
        responses=answers(shapes.EndpointShape, *_INVALID, *_ONE),
    )
    def put(self, request: Request, endpoint_id: str) -> Response:
        endpoint = _endpoint(request, endpoint_id)
        wish = shapes.wish_of(shapes.EndpointChanges.read(request), endpoint)
        changed = endpoints.update(endpoint_id=endpoint.pk, wish=wish, actor=caller(request))
        return Response(shapes.EndpointShape.present(changed))

    @extend_schema(
        summary="Change a webhook endpoint, as PUT does",
        operation_id="patch_webhook_endpoint",
        request=shapes.EndpointChanges,
        responses=answers(shapes.EndpointShape, *_INVALID, *_ONE),
    )
    def patch(self, request: Request, endpoint_id: str) -> Response:
        return self.put(request, endpoint_id)

    @extend_schema(
        summary="Delete a webhook endpoint with everything that was or should have been sent to it",
        operation_id="delete_webhook_endpoint",
        responses=answers(Message, *_ONE),
    )
    def delete(self, request: Request, endpoint_id: str) -> Response:
        endpoints.delete(endpoint_id=_endpoint(request, endpoint_id).pk, actor=caller(request))
        return Response({"success": True, "message": "The webhook endpoint was deleted."})


@extend_schema(tags=["webhooks"])
class RotateSecret(APIView):
    @extend_schema(
        summary="Give a webhook endpoint a new secret; for 24 hours the former one signs too",
        operation_id="rotate_webhook_secret",
        request=None,
        responses=answers(shapes.SecretShape, *_ONE),
    )
    def post(self, request: Request, endpoint_id: str) -> Response:
        endpoint_pk = _endpoint(request, endpoint_id).pk
        endpoint, secret = endpoints.rotate_secret(endpoint_id=endpoint_pk, actor=caller(request))
        endpoint.secret = secret  # type: ignore[attr-defined]  # for this answer alone, no column
        return Response(shapes.SecretShape.present(endpoint))


@extend_schema(tags=["webhooks"])
class TestEndpoint(APIView):
    @extend_schema(
        summary="Send a `ping` to a webhook endpoint",
        operation_id="test_webhook_endpoint",
        request=None,
        responses=answers(shapes.DeliveryShape, *_ONE, "409 WEBHOOK_ENDPOINT_DISABLED", "429 RATE_LIMITED", status=202),
    )
    def post(self, request: Request, endpoint_id: str) -> Response:
        endpoint = _endpoint(request, endpoint_id)
        _limit(request)
        delivery = endpoints.send_test(endpoint_id=endpoint.pk, actor=caller(request))
        return Response(shapes.DeliveryShape.present(delivery), status=202)


@extend_schema(tags=["webhooks"])
class Deliveries(APIView):
    @extend_schema(
        summary="What was, is and will be sent to a webhook endpoint, newest first",
        operation_id="list_webhook_deliveries",
        parameters=[
            OpenApiParameter("status", OpenApiTypes.STR, enum=DeliveryStatus.values),
            OpenApiParameter("type", OpenApiTypes.STR, enum=EventType.values),
            *PAGING,
        ],
        responses=answers(
            shapes.DeliveryShape(many=True),
            *_ONE,
            "400 INVALID_STATUS",
            "400 INVALID_TYPE",
            "400 INVALID_LIMIT",
            "400 INVALID_OFFSET",
            "400 INVALID_CURSOR",
        ),
    )
    def get(self, request: Request, endpoint_id: str) -> Response:
        endpoint = _endpoint(request, endpoint_id)
        wanted = shapes.DeliveriesQuery.read(request)
        rows = selectors.list_deliveries(endpoint=endpoint)
        if "status" in wanted:
            rows = rows.filter(status=wanted["status"])
        if "type" in wanted:
            rows = rows.filter(message__type=wanted["type"])
        return paging.page(request, rows, shapes.DeliveryShape, newest_by="created_at")


@extend_schema(tags=["webhooks"])
class Delivery(APIView):
    @extend_schema(
        summary="One delivery with every attempt and what is sent",
        operation_id="get_webhook_delivery",
        responses=answers(shapes.OneDeliveryShape, "400 INVALID_ID", "404 WEBHOOK_DELIVERY_NOT_FOUND"),
    )
    def get(self, request: Request, delivery_id: str) -> Response:
        delivery = selectors.get_delivery(user=caller(request), delivery_id=path_uuid(delivery_id, "id"))
        return Response(shapes.one_delivery(delivery))


@extend_schema(tags=["webhooks"])
class Resend(APIView):
    @extend_schema(
        summary="Send a delivery again, now, under its own event id",
        operation_id="resend_webhook_delivery",
        request=None,
        responses=answers(
            shapes.DeliveryShape,
            "400 INVALID_ID",
            "404 WEBHOOK_DELIVERY_NOT_FOUND",
            "409 WEBHOOK_ENDPOINT_DISABLED",
            "409 WEBHOOK_DELIVERY_PENDING",
            "429 RATE_LIMITED",
            status=202,
        ),
    )
    def post(self, request: Request, delivery_id: str) -> Response:
        delivery = selectors.get_delivery(user=caller(request), delivery_id=path_uuid(delivery_id, "id"))
        _limit(request)
        resent = endpoints.resend(delivery_id=delivery.pk, actor=caller(request))
        return Response(shapes.DeliveryShape.present(resent), status=202)

"""Doors of API keys: made, listed, deleted by their owner."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts import selectors
from apps.accounts.api import shapes
from apps.accounts.api.authentication import caller
from apps.accounts.services import api_keys
from apps.core.api.openapi import Message, answers
from apps.core.api.shapes import path_uuid


@extend_schema(tags=["api-keys"])
class ApiKeys(APIView):
    @extend_schema(summary="My API keys", operation_id="list_api_keys", responses=answers(shapes.ApiKeysShape))
    def get(self, request: Request) -> Response:
        rows = list(selectors.list_api_keys(user=caller(request)))
        return Response({"items": shapes.ApiKeyShape.present_many(rows)}, headers={"X-Total-Count": str(len(rows))})

    @extend_schema(
        summary="Make an API key; its text is shown this once",
        operation_id="create_api_key",
        request=shapes.ApiKeyBody,
        responses=answers(shapes.NewApiKeyShape, "400 VALIDATION_ERROR", status=201),
    )
    def post(self, request: Request) -> Response:
        body = shapes.ApiKeyBody.read(request)
        row, key = api_keys.create(user=caller(request), actor=caller(request), **body)
        return Response({**shapes.ApiKeyShape.present(row), "key": key}, status=201)


@extend_schema(tags=["api-keys"])
class ApiKey(APIView):
    @extend_schema(
        summary="One API key",
        operation_id="get_api_key",
        responses=answers(shapes.ApiKeyShape, "400 INVALID_ID", "404 API_KEY_NOT_FOUND"),
    )
    def get(self, request: Request, key_id: str) -> Response:
        row = selectors.get_api_key(user=caller(request), key_id=path_uuid(key_id, "id"))
        return Response(shapes.ApiKeyShape.present(row))

    @extend_schema(
        summary="Delete an API key; it stops working at once",
        operation_id="delete_api_key",
        responses=answers(Message, "400 INVALID_ID", "404 API_KEY_NOT_FOUND"),
    )
    def delete(self, request: Request, key_id: str) -> Response:
        row = selectors.get_api_key(user=caller(request), key_id=path_uuid(key_id, "id"))
        api_keys.delete(api_key=row, actor=caller(request))
        return Response({"success": True, "message": "The API key was deleted."})

"""Doors of accounts: signing in and out, who am I, API keys."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts import selectors
from apps.accounts.api import shapes
from apps.accounts.api.authentication import caller, credential
from apps.accounts.services import api_keys, sessions, sign_in
from apps.core.api import limits
from apps.core.api.openapi import Message, answers
from apps.core.api.shapes import path_uuid
from apps.core.errors import NotFound


@extend_schema(tags=["auth"])
class Login(APIView):
    authentication_classes = []
    permission_classes = []

    @extend_schema(
        summary="Sign in",
        operation_id="login",
        request=shapes.LoginBody,
        responses=answers(
            shapes.SignedInShape,
            "400 VALIDATION_ERROR",
            "401 INVALID_CREDENTIALS",
            "423 ACCOUNT_LOCKED",
            "429 RATE_LIMITED",
        ),
    )
    def post(self, request: Request) -> Response:
        limits.check("login", limits.client_address(request), per_minute=settings.LOGINS_PER_MINUTE)
        body = shapes.LoginBody.read(request)
        user, pair = sign_in.sign_in(email=body["email"], password=body["password"], remember=body["remember_me"])
        return Response({**_tokens(pair), "user": shapes.UserShape.present(user)})


@extend_schema(tags=["auth"])
class Refresh(APIView):
    authentication_classes = []
    permission_classes = []

    @extend_schema(
        summary="Exchange a refresh token for a new pair",
        operation_id="refresh",
        request=shapes.RefreshBody,
        responses=answers(
            shapes.TokensShape,
            "400 VALIDATION_ERROR",
            "401 SESSION_ENDED",
            "401 TOKEN_EXPIRED",
            "401 TOKEN_INVALID",
            "401 WRONG_TOKEN_TYPE",
            "429 RATE_LIMITED",
        ),
    )
    def post(self, request: Request) -> Response:
        limits.check("refresh", limits.client_address(request), per_minute=settings.REFRESHES_PER_MINUTE)
        body = shapes.RefreshBody.read(request)
        return Response(_tokens(sessions.refresh(token=body["refresh_token"])))


@extend_schema(tags=["auth"])
class Logout(APIView):
    @extend_schema(
        summary="Sign out: the session ends",
        operation_id="logout",
        request=shapes.LogoutBody,
        responses=answers(Message, "401 TOKEN_REVOKED"),
    )
    def post(self, request: Request) -> Response:
        body = shapes.LogoutBody.read(request)
        claims = credential(request).claims
        if claims is not None:
            sessions.sign_out(claims=claims, refresh_token=body.get("refresh_token"))
        return Response({"success": True, "message": "Signed out."})


@extend_schema(tags=["auth"])
class Me(APIView):
    @extend_schema(
        summary="Who am I",
        operation_id="me",
        responses=answers(shapes.UserShape, "401 TOKEN_EXPIRED", "404 USER_NOT_FOUND"),
    )
    def get(self, request: Request) -> Response:
        return Response(shapes.UserShape.present(caller(request)))

    def handle_exception(self, exc: Exception) -> Response:
        """A genuine token whose user was deleted is a 404 where somebody asks who they are."""
        if isinstance(exc, AuthenticationFailed) and exc.get_codes() == "USER_GONE":
            exc = NotFound("USER_NOT_FOUND", str(exc.detail))
        return super().handle_exception(exc)


@extend_schema(tags=["auth"])
class WebSocketTicket(APIView):
    @extend_schema(
        summary="A one-use ticket for the WebSocket, good for 30 seconds",
        operation_id="ws_ticket",
        request=None,
        responses=answers(shapes.TicketShape, status=201),
    )
    def post(self, request: Request) -> Response:
        ticket = sessions.issue_ticket(user=caller(request), claims=credential(request).claims)
        return Response({"ticket": ticket, "expiresIn": sessions.TICKET_SECONDS}, status=201)


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


def _tokens(pair: sessions.TokenPair) -> dict[str, str]:
    return {"accessToken": pair.access_token, "refreshToken": pair.refresh_token}

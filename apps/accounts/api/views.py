"""Doors of sign-in: in and out, refreshing, who am I, the WebSocket's ticket, one's own password.

Sessions, second factors and API keys have doors of their own beside this file.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import logout, update_session_auth_hash
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api import shapes
from apps.accounts.api.authentication import caller, credential, session_of
from apps.accounts.services import sessions, sign_in, users
from apps.core.api import limits
from apps.core.api.openapi import Message, answers
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
            "401 TOTP_REQUIRED",
            "401 TOTP_INVALID",
            "403 TOTP_SETUP_REQUIRED",
            "423 ACCOUNT_LOCKED",
            "429 RATE_LIMITED",
        ),
        description=(
            "Who has set up a second factor sends its code as `totpCode`; without it a right password answers 401"
            " `TOTP_REQUIRED`. Wrong passwords and wrong codes count alike: five close sign-in for 15 minutes (423)."
        ),
    )
    def post(self, request: Request) -> Response:
        limits.check("login", limits.client_address(request), per_minute=settings.LOGINS_PER_MINUTE)
        body = shapes.LoginBody.read(request)
        user, pair = sign_in.sign_in(
            email=body["email"],
            password=body["password"],
            remember=body["remember_me"],
            code=body.get("totp_code"),
            client=sessions.Client.of(
                address=limits.client_address(request), user_agent=request.META.get("HTTP_USER_AGENT", "")
            ),
        )
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
        else:
            logout(request._request)
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


@extend_schema(tags=["auth"])
class Password(APIView):
    @extend_schema(
        summary="Change my password; every other session ends",
        operation_id="change_password",
        request=shapes.PasswordBody,
        responses=answers(
            Message,
            "400 INVALID_CURRENT_PASSWORD",
            "400 INVALID_NEW_PASSWORD",
            "400 INVALID_PASSWORD",
            "400 WRONG_PASSWORD",
            "423 ACCOUNT_LOCKED",
        ),
    )
    def post(self, request: Request) -> Response:
        body, user = shapes.PasswordBody.read(request), caller(request)
        users.change_password(
            user=user, current=body["current_password"], password=body["new_password"], keep=session_of(request)
        )
        if credential(request).claims is None:
            user.refresh_from_db()
            update_session_auth_hash(request._request, user)
        return Response({"success": True, "message": "The password was changed; your other sessions have ended."})


def _tokens(pair: sessions.TokenPair) -> dict[str, str]:
    return {"accessToken": pair.access_token, "refreshToken": pair.refresh_token}

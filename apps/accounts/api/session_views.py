"""Doors of sessions: where am I signed in, end one, sign out everywhere."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts import selectors
from apps.accounts.api import shapes
from apps.accounts.api.authentication import caller, session_of
from apps.accounts.models import AdminSession, RefreshFamily
from apps.accounts.services import sessions
from apps.core.api.openapi import Message, answers
from apps.core.api.shapes import path_uuid


@extend_schema(tags=["auth"])
class Sessions(APIView):
    @extend_schema(
        summary="Where I am signed in, newest first",
        operation_id="list_sessions",
        responses=answers(shapes.ListedSessionShape(many=True)),
    )
    def get(self, request: Request) -> Response:
        user, current = caller(request), session_of(request)
        rows: list[RefreshFamily | AdminSession] = [*selectors.list_sessions(user=user)]
        rows += selectors.list_admin_sessions(user=user)
        rows.sort(key=lambda row: (row.created_at, row.pk), reverse=True)
        return Response([_listed(row, current) for row in rows], headers={"X-Total-Count": str(len(rows))})


@extend_schema(tags=["auth"])
class Session(APIView):
    @extend_schema(
        summary="End one of my sessions; its tokens stop working at once",
        operation_id="end_session",
        responses=answers(Message, "400 INVALID_ID", "404 SESSION_NOT_FOUND"),
    )
    def delete(self, request: Request, session_id: str) -> Response:
        sessions.end_own(user=caller(request), session_id=path_uuid(session_id, "id"))
        return Response({"success": True, "message": "The session has ended."})


@extend_schema(tags=["auth"])
class LogoutAll(APIView):
    @extend_schema(
        summary="Sign out everywhere: every session ends, this one too; API keys stay",
        operation_id="logout_all",
        request=None,
        responses=answers(Message),
    )
    def post(self, request: Request) -> Response:
        user = caller(request)
        ended = sessions.sign_out_everywhere(user=user, actor=user, reason="ended_by_user")
        return Response({"success": True, "message": f"Signed out everywhere: {ended} sessions have ended."})


def _listed(row: Any, current: UUID | None) -> dict[str, Any]:
    kind = "admin" if isinstance(row, AdminSession) else "api"
    return {**shapes.SessionShape.present(row), "kind": kind, "current": row.pk == current}

"""Who may open a feed socket, and whose right to it has ended since. The rules of tokens are accounts'.

A socket is opened by an access token, by a one-use ticket, or, on the desk's own page, by an operator's session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.db.models import Q
from django.utils import timezone

from apps.accounts import selectors as accounts
from apps.accounts import tokens
from apps.accounts.admin_sessions import SessionStore, session_id
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import RefreshFamily, RevokedToken, User
from apps.accounts.services import sessions
from apps.agents import selectors as agents
from apps.agents.errors import AgentNotFound
from apps.console.clients import Scope

ALL_AGENTS = "*"
DESK_PERMISSION = "trading.view_position"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a socket was opened with; times in seconds since 1970. Exactly one of token or session is meant."""

    user_id: UUID
    opened_at: float
    jti: UUID | None = None
    family_id: UUID | None = None
    issued_at: int | None = None
    expires_at: int | None = None
    session_key: str | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """A socket that may open; `scope` is None when its agent does not exist for the user."""

    credential: Credential
    scope: Scope | None


@dataclass(frozen=True, slots=True)
class Handshake:
    """What the upgrade request carries; header names lower-case."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    cookies: Mapping[str, str] = field(default_factory=dict)
    secure: bool = False


class Refused(Exception):
    """The upgrade is answered with this HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = "AUTHENTICATION_ERROR" if status == 401 else "AUTHORIZATION_ERROR"


def admit(handshake: Handshake) -> Admission:
    """Decide about an upgrade request.

    Raises:
        Refused: 401 without an agent or a good token, ticket or session; 403 for a page of another site.
    """
    agent_id = handshake.query.get("agentId", "")
    if not agent_id:
        raise Refused(401, "agentId is missing")
    token, ticket = handshake.query.get("token"), handshake.query.get("ticket")
    if not token and not ticket:
        return _admit_session(handshake, agent_id)
    _check_origin(handshake, allowed=settings.CORS_ORIGINS)
    try:
        claims = tokens.read(token, tokens.Kind.ACCESS) if token else sessions.redeem_ticket(ticket or "")
        user = accounts.user_of(claims)
    except Unauthenticated as error:
        raise Refused(401, str(error)) from None
    credential = Credential(
        user_id=user.pk,
        opened_at=timezone.now().timestamp(),
        jti=claims.jti if claims.kind is tokens.Kind.ACCESS else None,
        family_id=claims.family_id,
        issued_at=claims.issued_at,
        expires_at=claims.expires_at,
    )
    return Admission(credential, _scope(user, agent_id))


def ended(credentials: set[Credential]) -> set[Credential]:
    """Return those that are good no more: signed out, session over, user gone, new password, permission lost.

    Five queries at most, and two for each operator.
    """
    now = timezone.now()
    by_token = [credential for credential in credentials if credential.session_key is None]
    by_session = [credential for credential in credentials if credential.session_key is not None]
    revoked = set(RevokedToken.objects.filter(jti__in=[c.jti for c in by_token if c.jti]).values_list("jti", flat=True))
    over = set(
        RefreshFamily.objects.filter(pk__in={c.family_id for c in by_token if c.family_id})
        .filter(Q(ended_at__isnull=False) | Q(expires_at__lte=now))
        .values_list("pk", flat=True)
    )
    open_sessions = accounts.open_admin_sessions({session_id(c.session_key) for c in by_session if c.session_key})
    users = User.objects.filter(pk__in={c.user_id for c in credentials}, is_active=True).in_bulk()

    def is_over(credential: Credential) -> bool:
        user = users.get(credential.user_id)
        if user is None:
            return True
        since = credential.opened_at if credential.issued_at is None else credential.issued_at
        if user.tokens_valid_from is not None and since < int(user.tokens_valid_from.timestamp()):
            return True
        if credential.session_key is not None:
            is_open = session_id(credential.session_key) in open_sessions
            return not is_open or not user.is_staff or not user.has_perm(DESK_PERMISSION)
        if credential.family_id is None and (credential.expires_at or 0) <= now.timestamp():
            return True
        return credential.jti in revoked or credential.family_id in over

    return {credential for credential in credentials if is_over(credential)}


def _admit_session(handshake: Handshake, agent_id: str) -> Admission:
    """Let an operator's page in, from the desk's own origin only: a cookie comes along from anywhere."""
    key = handshake.cookies.get(settings.SESSION_COOKIE_NAME)
    if not key:
        raise Refused(401, "token is missing")
    if "origin" not in handshake.headers:
        raise Refused(403, "Origin is missing")
    _check_origin(handshake, allowed=settings.CSRF_TRUSTED_ORIGINS)
    request = cast(Any, SimpleNamespace(session=SessionStore(key)))
    user = get_user(request)
    if not isinstance(user, User) or not user.is_active or not user.is_staff:
        raise Refused(401, "The session has ended")
    if accounts.lacks_second_factor(user):
        raise Refused(403, "A second factor is missing")
    if not user.has_perm(DESK_PERMISSION):
        raise Refused(403, "Not allowed")
    credential = Credential(user_id=user.pk, opened_at=timezone.now().timestamp(), session_key=key)
    scope = Scope() if agent_id == ALL_AGENTS else _any_agent(agent_id)
    return Admission(credential, scope)


def _scope(user: User, agent_id: str) -> Scope | None:
    if agent_id == ALL_AGENTS:
        return Scope(user_id=user.pk)
    try:
        return Scope(user_id=user.pk, agent_id=agents.get_agent(user=user, agent_id=UUID(agent_id)).pk)
    except (ValueError, AgentNotFound):
        return None


def _any_agent(agent_id: str) -> Scope | None:
    try:
        return Scope(agent_id=UUID(agent_id))
    except ValueError:
        return None


def _check_origin(handshake: Handshake, *, allowed: list[str]) -> None:
    origin = handshake.headers.get("origin")
    if origin is None or origin in allowed:
        return
    parts = urlsplit(origin)
    own_scheme = "https" if handshake.secure else "http"
    if parts.netloc.lower() != handshake.headers.get("host", "").lower() or parts.scheme != own_scheme:
        raise Refused(403, "This origin is not allowed")

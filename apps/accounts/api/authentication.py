"""Who calls: a JWT, an API key where the route allows keys, or a staff session of the browsable pages.

A view says per method which scope a key needs (`key_scopes = {"GET": "agents"}`); a method without one takes JWTs only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.accounts import selectors, tokens
from apps.accounts.admin_sessions import session_id
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import ApiKey, User
from apps.accounts.services import api_keys
from apps.core.api import limits


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request was authenticated by (`request.auth`): exactly one of a token's claims and a key."""

    claims: tokens.Claims | None = None
    api_key: ApiKey | None = None


class Bearer(BaseAuthentication):
    """`Authorization: Bearer <token or key>`, or `X-API-Key`. A malformed X-API-Key is ignored."""

    def authenticate(self, request: Request) -> tuple[User, Credential] | None:
        wants_key = wanted_scope(request) is not None
        given_key = request.META.get("HTTP_X_API_KEY", "")
        try:
            if wants_key and api_keys.looks_like_key(given_key):
                return self._by_key(given_key, request)
            value = _bearer_value(request)
            if value is None:
                return None
            if wants_key and api_keys.looks_like_key(value):
                return self._by_key(value, request)
            return self._by_token(value)
        except Unauthenticated as error:
            raise AuthenticationFailed(error.message, code=error.code) from None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'

    def _by_key(self, key: str, request: Request) -> tuple[User, Credential]:
        row = api_keys.identify(key, address=limits.client_address(request))
        return row.user, Credential(api_key=row)

    def _by_token(self, token: str) -> tuple[User, Credential]:
        claims = tokens.read(token, tokens.Kind.ACCESS)
        return selectors.user_of(claims), Credential(claims=claims)


class StaffSession(SessionAuthentication):
    """The admin's session cookie, for operators only; changes need the CSRF token."""

    def authenticate(self, request: Request) -> tuple[Any, Credential] | None:
        found = super().authenticate(request)
        if found is None or not found[0].is_staff:
            return None
        return found[0], Credential()


def caller(request: Request) -> User:
    """Return who calls; for views that nobody reaches without being signed in."""
    return cast(User, request.user)


def credential(request: Request) -> Credential:
    """Return what the caller was known by."""
    return request.auth if isinstance(request.auth, Credential) else Credential()


def session_of(request: Request) -> UUID | None:
    """Return the session the caller's token or cookie belongs to."""
    claims = credential(request).claims
    if claims is not None:
        return claims.family_id
    key = request._request.session.session_key
    return None if key is None else session_id(key)


def wanted_scope(request: Request) -> str | None:
    """Return the scope an API key needs for this view and method, or None if keys are not taken."""
    view = request.parser_context.get("view") if request.parser_context else None
    scopes: dict[str, str] = getattr(view, "key_scopes", {})
    method = request.method or ""
    return scopes.get("GET" if method == "HEAD" else method)


def _bearer_value(request: Request) -> str | None:
    header = request.META.get("HTTP_AUTHORIZATION")
    if not header:
        return None
    word, _, value = header.partition(" ")
    if word != "Bearer" or not value or " " in value:
        raise Unauthenticated("AUTH_HEADER_MALFORMED", "The Authorization header must be `Bearer <token>`.")
    return value

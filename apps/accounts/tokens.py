"""Signed tokens: what is in them and whether one is genuine. Whether it still counts is `sessions`' matter.

HS256 with the dialect's claims (userId, email, type, jti, iat, exp), plus the session a token belongs to (`sid`) and,
in refresh tokens, its generation (`gen`). A refresh token is a function of family and generation: always the same text.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

import jwt
from django.conf import settings

from apps.accounts.errors import Unauthenticated
from apps.accounts.models import RefreshFamily, User

_ALGORITHM = "HS256"
_REMEMBERED = 1024
_NAMED = ("userId", "email", "type", "jti")


class Kind(StrEnum):
    """What a token is for."""

    ACCESS = "access"
    REFRESH = "refresh"
    TICKET = "ws_ticket"


@dataclass(frozen=True, slots=True)
class Claims:
    """A genuine token's content; times in seconds since 1970."""

    user_id: uuid.UUID
    email: str
    kind: Kind
    jti: uuid.UUID
    issued_at: int
    expires_at: int
    family_id: uuid.UUID | None
    generation: int | None


def access_token(user: User, *, family_id: uuid.UUID | None, now: datetime) -> str:
    """Return an access token that lives ACCESS_TOKEN_SECONDS from `now`."""
    issued = int(now.timestamp())
    return _sign(user, Kind.ACCESS, uuid.uuid4(), issued, issued + settings.ACCESS_TOKEN_SECONDS, family_id)


def refresh_token(user: User, *, family: RefreshFamily, generation: int) -> str:
    """Return the one refresh token of this generation of the family; its end is the family's."""
    jti = uuid.uuid5(family.id, str(generation))
    issued, ends = int(family.created_at.timestamp()), int(family.expires_at.timestamp())
    return _sign(user, Kind.REFRESH, jti, issued, ends, family.id, generation)


def ticket(user: User, *, family_id: uuid.UUID | None, now: datetime, lives_seconds: int) -> str:
    """Return a one-use ticket that opens a WebSocket."""
    issued = int(now.timestamp())
    return _sign(user, Kind.TICKET, uuid.uuid4(), issued, issued + lives_seconds, family_id)


def read(token: str, kind: Kind) -> Claims:
    """Return the claims of a genuine, unexpired token of `kind`.

    Raises:
        Unauthenticated: TOKEN_EXPIRED, TOKEN_INVALID or WRONG_TOKEN_TYPE.
    """
    try:
        claims = _genuine(token, settings.JWT_SECRET)
    except (jwt.InvalidTokenError, ValueError, TypeError):
        raise Unauthenticated("TOKEN_INVALID", "The token is not valid.") from None
    if claims.expires_at <= time.time():
        raise Unauthenticated("TOKEN_EXPIRED", "The token has expired.")
    if claims.kind is not kind:
        raise Unauthenticated("WRONG_TOKEN_TYPE", f"This is no {kind} token.")
    return claims


@lru_cache(maxsize=_REMEMBERED)
def _genuine(token: str, secret: str) -> Claims:
    """Return the claims of a token signed with `secret`; what a text says does not change, only its time runs out."""
    payload = jwt.decode(
        token, secret, algorithms=[_ALGORITHM], options={"require": ["exp", "iat", *_NAMED], "verify_exp": False}
    )
    return _claims(payload)


def _claims(payload: dict[str, Any]) -> Claims:
    if not all(isinstance(payload[name], str) and payload[name] for name in _NAMED):
        raise ValueError("a named claim is empty")
    family, generation = payload.get("sid"), payload.get("gen")
    return Claims(
        user_id=uuid.UUID(payload["userId"]),
        email=payload["email"],
        kind=Kind(payload["type"]),
        jti=uuid.UUID(payload["jti"]),
        issued_at=int(payload["iat"]),
        expires_at=int(payload["exp"]),
        family_id=None if family is None else uuid.UUID(family),
        generation=None if generation is None else int(generation),
    )


def _sign(
    user: User,
    kind: Kind,
    jti: uuid.UUID,
    issued: int,
    expires: int,
    family_id: uuid.UUID | None,
    generation: int | None = None,
) -> str:
    payload: dict[str, Any] = {
        "userId": str(user.pk),
        "email": user.email,
        "type": str(kind),
        "jti": str(jti),
        "iat": issued,
        "exp": expires,
    }
    if family_id is not None:
        payload["sid"] = str(family_id)
    if generation is not None:
        payload["gen"] = generation
    return jwt.encode(payload, settings.JWT_SECRET, algorithm=_ALGORITHM)

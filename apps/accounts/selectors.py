"""Reads of accounts: who an access token is, whose key this is."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Exists, QuerySet

from apps.accounts import tokens
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import ApiKey, RefreshFamily, RevokedToken, User
from apps.core.errors import NotFound

_NO_FAMILY = UUID(int=0)


def user_of(claims: tokens.Claims) -> User:
    """Return the user an access token or a ticket acts for, in one query.

    Raises:
        Unauthenticated: USER_GONE, or TOKEN_REVOKED when the token or its session was ended.
    """
    user = (
        User.objects.filter(pk=claims.user_id, is_active=True)
        .annotate(
            token_revoked=Exists(RevokedToken.objects.filter(jti=claims.jti)),
            session_ended=Exists(
                RefreshFamily.objects.filter(pk=claims.family_id or _NO_FAMILY, ended_at__isnull=False)
            ),
        )
        .first()
    )
    if user is None:
        raise Unauthenticated("USER_GONE", "The user of this token does not exist any more.")
    valid_from = user.tokens_valid_from
    too_old = valid_from is not None and claims.issued_at < int(valid_from.timestamp())
    if too_old or user.session_ended or (user.token_revoked and claims.kind is tokens.Kind.ACCESS):
        raise Unauthenticated("TOKEN_REVOKED", "The token was signed out.")
    return user


def list_api_keys(*, user: User) -> QuerySet[ApiKey]:
    """Return a user's keys, newest first."""
    return ApiKey.objects.filter(user=user).order_by("-created_at", "-id")


def get_api_key(*, user: User, key_id: UUID) -> ApiKey:
    """Return one key of the user.

    Raises:
        NotFound: API_KEY_NOT_FOUND.
    """
    row = ApiKey.objects.filter(user=user, pk=key_id).first()
    if row is None:
        raise NotFound("API_KEY_NOT_FOUND", "There is no such API key.")
    return row

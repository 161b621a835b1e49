"""Reads of accounts: who an access token is, whose key this is, which sessions and second factors a user has."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.utils import timezone

from apps.accounts import tokens
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import AdminSession, ApiKey, RefreshFamily, SecondFactor, User
from apps.core import fixed_sql
from apps.core.errors import NotFound

_USER = (
    f"SELECT {fixed_sql.columns_of(User, 'u')},"
    " EXISTS (SELECT FROM revoked_token WHERE jti = %(jti)s),"
    " EXISTS (SELECT FROM refresh_family WHERE id = %(family)s AND ended_at IS NOT NULL)"
    " FROM account u WHERE u.id = %(user)s"
)


def user_of(claims: tokens.Claims) -> User:
    """Return the user an access token or a ticket acts for, in one query.

    Raises:
        Unauthenticated: USER_GONE, USER_DEACTIVATED, or TOKEN_REVOKED when the token or its session was ended.
    """
    found = fixed_sql.fetch_all(_USER, {"jti": claims.jti, "family": claims.family_id, "user": claims.user_id})
    if not found:
        raise Unauthenticated("USER_GONE", "The user of this token does not exist any more.")
    *columns, token_revoked, session_ended = found[0]
    user = fixed_sql.model_from(User, columns)
    if not user.is_active:
        raise Unauthenticated("USER_DEACTIVATED", "The user of this token was deactivated by an operator.")
    # A token of a session ends with it; one without (a page's ticket) is measured by its age.
    valid_from = user.tokens_valid_from if claims.family_id is None else None
    too_old = valid_from is not None and claims.issued_at < int(valid_from.timestamp())
    if too_old or session_ended or (token_revoked and claims.kind is tokens.Kind.ACCESS):
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


def find_user_by_email(email: str) -> User | None:
    """Return who signs in with this e-mail, whatever its case; by the unique index."""
    return User.objects.alias(lowered=Lower("email")).filter(lowered=email.strip().lower()).first()


def find_second_factor(user: User) -> SecondFactor | None:
    """Return the user's confirmed second factor."""
    return SecondFactor.objects.filter(user=user, confirmed=True).first()


def has_second_factor(user: User) -> bool:
    return SecondFactor.objects.filter(user=user, confirmed=True).exists()


def lacks_second_factor(user: User) -> bool:
    """Tell whether the desk demands a second factor of this user that is not set up."""
    return settings.REQUIRE_STAFF_TOTP and user.is_staff and not has_second_factor(user)


def list_sessions(*, user: User) -> list[RefreshFamily]:
    """Return the user's live sessions of the API, newest first."""
    rows = RefreshFamily.objects.filter(user=user, ended_at=None, expires_at__gt=timezone.now())
    return list(rows.order_by("-created_at", "-id"))


def list_admin_sessions(*, user: User) -> list[AdminSession]:
    """Return the user's live sessions of the admin, newest first."""
    return list(AdminSession.objects.filter(user=user, expires_at__gt=timezone.now()).order_by("-created_at", "-id"))


def open_admin_sessions(ids: set[UUID]) -> set[UUID]:
    """Return those of the admin sessions that are still open."""
    return set(AdminSession.objects.filter(pk__in=ids, expires_at__gt=timezone.now()).values_list("pk", flat=True))

"""Sessions: refresh-token families, revoked access tokens, one-use tickets (rules: CONCURRENCY 22).

A family is what one sign-in gave. Ending it ends every token of it, access tokens included. All of it is in PostgreSQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apps.accounts import tokens
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import RefreshFamily, RevokedToken, User
from apps.accounts.services import audit

REPEAT_SECONDS = 60
TICKET_SECONDS = 30


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client holds."""

    access_token: str
    refresh_token: str


def open_session(*, user: User, remember: bool) -> TokenPair:
    """Start a family and return its first tokens; `remember` makes it live 30 days instead of one."""
    now = timezone.now()
    seconds = settings.REMEMBERED_REFRESH_TOKEN_SECONDS if remember else settings.REFRESH_TOKEN_SECONDS
    family = RefreshFamily.objects.create(user=user, expires_at=now + timedelta(seconds=seconds))
    return TokenPair(
        tokens.access_token(user, family_id=family.id, now=now),
        tokens.refresh_token(user, family=family, generation=0),
    )


def refresh(*, token: str) -> TokenPair:
    """Exchange a refresh token for a new pair; two tabs that present the same one get the same successor.

    Locks the family. Raises:
        Unauthenticated: the token or its session has ended; a token used again too late ends its session.
    """
    claims = tokens.read(token, tokens.Kind.REFRESH)
    if claims.family_id is None or claims.generation is None:
        raise Unauthenticated("TOKEN_INVALID", "The token is not valid.")
    with transaction.atomic():
        family = (
            RefreshFamily.objects.select_for_update(no_key=True, of=("self",))
            .select_related("user")
            .filter(pk=claims.family_id, user_id=claims.user_id)
            .first()
        )
        accepted = family is not None and _present(family, claims.generation, timezone.now())
    if family is None or not accepted:
        raise Unauthenticated("SESSION_ENDED", "The session has ended: sign in again.")
    return TokenPair(
        tokens.access_token(family.user, family_id=family.id, now=timezone.now()),
        tokens.refresh_token(family.user, family=family, generation=claims.generation + 1),
    )


def _present(family: RefreshFamily, generation: int, now: datetime) -> bool:
    """Record that `generation` was presented; return whether it still counts. The family is locked."""
    if family.ended_at is not None or family.expires_at <= now or not family.user.is_active:
        return False
    if generation > family.highest_generation:
        family.highest_generation = generation
        family.highest_first_used_at = now
        family.save(update_fields=["highest_generation", "highest_first_used_at"])
        return True
    first_used = family.highest_first_used_at
    repeats = (
        generation == family.highest_generation
        and first_used is not None
        and now - first_used <= timedelta(seconds=REPEAT_SECONDS)
    )
    if repeats or generation == family.highest_generation == 0:
        return True
    family.ended_at, family.end_reason = now, "reused"
    family.save(update_fields=["ended_at", "end_reason"])
    return False


def sign_out(*, claims: tokens.Claims, refresh_token: str | None = None) -> None:
    """End the session of an access token, and that of a refresh token of the same user, if one is given and genuine."""
    now = timezone.now()
    families = {claims.family_id}
    if refresh_token:
        try:
            given = tokens.read(refresh_token, tokens.Kind.REFRESH)
        except Unauthenticated:
            given = None
        if given is not None and given.user_id == claims.user_id:
            families.add(given.family_id)
    with transaction.atomic():
        _spend(claims)
        RefreshFamily.objects.filter(
            pk__in=[family for family in families if family is not None], user_id=claims.user_id, ended_at=None
        ).update(ended_at=now, end_reason="signed_out")


def end(*, family: RefreshFamily, actor: User | None) -> bool:
    """End one session on an operator's word; False if it had ended before."""
    with transaction.atomic():
        ended = RefreshFamily.objects.filter(pk=family.pk, ended_at=None).update(
            ended_at=timezone.now(), end_reason="ended_by_operator"
        )
        if ended:
            audit.record(
                actor=actor,
                action="session.ended",
                object_type="session",
                object_id=family.pk,
                before={"user": str(family.user_id), "created_at": family.created_at},
            )
    return bool(ended)


def end_all(*, user: User, reason: str) -> None:
    """End every session of a user: a new password, a person leaving."""
    now = timezone.now()
    with transaction.atomic():
        RefreshFamily.objects.filter(user=user, ended_at=None).update(ended_at=now, end_reason=reason)
        User.objects.filter(pk=user.pk).update(tokens_valid_from=now)


def issue_ticket(*, user: User, claims: tokens.Claims | None) -> str:
    """Return a ticket that opens one WebSocket within 30 s."""
    family_id = None if claims is None else claims.family_id
    return tokens.ticket(user, family_id=family_id, now=timezone.now(), lives_seconds=TICKET_SECONDS)


def redeem_ticket(ticket: str) -> tokens.Claims:
    """Return the claims of a ticket and spend it.

    Raises:
        Unauthenticated: not genuine, too old, or spent.
    """
    claims = tokens.read(ticket, tokens.Kind.TICKET)
    if not _spend(claims):
        raise Unauthenticated("TOKEN_REVOKED", "The ticket was used before.")
    return claims


def _spend(claims: tokens.Claims) -> bool:
    """Revoke a token; return False if it was revoked already."""
    expires_at = datetime.fromtimestamp(claims.expires_at, tz=UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO revoked_token (jti, expires_at) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [claims.jti, expires_at],
        )
        return cursor.rowcount == 1


def prune(*, now: datetime) -> int:
    """Delete what no token can refer to any more; return how many rows. For the clean-up task."""
    revoked, _ = RevokedToken.objects.filter(expires_at__lt=now).delete()
    families, _ = RefreshFamily.objects.filter(expires_at__lt=now - timedelta(days=7)).delete()
    return revoked + families

"""Sessions: refresh-token families, revoked access tokens, one-use tickets (rules: CONCURRENCY 22), admin sessions.

A family is what one sign-in to the API gave. Ending it ends every token of it, access tokens included. An admin session
is a browser's; ending it removes its row. All of it is in PostgreSQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apps.accounts import selectors, tokens
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import (
    LONGEST_ADDRESS,
    LONGEST_USER_AGENT,
    AdminSession,
    RefreshFamily,
    RevokedToken,
    User,
)
from apps.accounts.services import audit
from apps.core.errors import NotFound

REPEAT_SECONDS = 60
TICKET_SECONDS = 30


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client holds."""

    access_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Client:
    """Where a sign-in comes from, for its owner to recognise; nothing is decided by it."""

    address: str
    user_agent: str

    @classmethod
    def of(cls, *, address: str, user_agent: str) -> Client:
        """Return a client whose texts fit their columns and can be shown."""
        shown = "".join(letter for letter in user_agent if letter.isprintable())
        return cls(address[:LONGEST_ADDRESS], shown[:LONGEST_USER_AGENT])


UNKNOWN = Client("", "")


def open_session(*, user: User, remember: bool, client: Client = UNKNOWN) -> TokenPair:
    """Start a family and return its first tokens; `remember` makes it live 30 days instead of one."""
    now = timezone.now()
    seconds = settings.REMEMBERED_REFRESH_TOKEN_SECONDS if remember else settings.REFRESH_TOKEN_SECONDS
    family = RefreshFamily.objects.create(
        user=user,
        expires_at=now + timedelta(seconds=seconds),
        last_used_at=now,
        address=client.address,
        user_agent=client.user_agent,
    )
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
    user = family.user
    if family.ended_at is not None or family.expires_at <= now or not user.is_active:
        return False
    if selectors.lacks_second_factor(user):
        return False
    if generation > family.highest_generation:
        family.highest_generation = generation
        family.highest_first_used_at = now
    elif not _may_repeat(family, generation, now):
        family.ended_at, family.end_reason = now, "reused"
        family.save(update_fields=["ended_at", "end_reason"])
        return False
    family.last_used_at = now
    family.save(update_fields=["highest_generation", "highest_first_used_at", "last_used_at"])
    return True


def _may_repeat(family: RefreshFamily, generation: int, now: datetime) -> bool:
    """Tell whether a generation that is not new may be presented: the highest for a minute, the first one alone always.

    Shipped clients keep sending their first token and never see another.
    """
    if generation != family.highest_generation:
        return False
    first_used = family.highest_first_used_at
    return generation == 0 or (first_used is not None and now - first_used <= timedelta(seconds=REPEAT_SECONDS))


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


def end(*, session: RefreshFamily | AdminSession, actor: User | None, reason: str) -> bool:
    """End one session; False if it had ended before."""
    with transaction.atomic():
        if isinstance(session, RefreshFamily):
            rows = RefreshFamily.objects.filter(pk=session.pk, ended_at=None)
            ended = rows.update(ended_at=timezone.now(), end_reason=reason)
        else:
            ended, _ = AdminSession.objects.filter(pk=session.pk).delete()
        if ended:
            audit.record(
                actor=actor,
                action="session.ended",
                object_type="session" if isinstance(session, RefreshFamily) else "admin_session",
                object_id=session.pk,
                before={
                    "user": str(session.user_id),
                    "created_at": session.created_at,
                    "address": session.address,
                    "user_agent": session.user_agent,
                },
            )
    return bool(ended)


def end_own(*, user: User, session_id: UUID) -> None:
    """End one session of a user on their own word, whichever kind it is.

    Raises:
        NotFound: SESSION_NOT_FOUND, also when it has ended already.
    """
    live: list[RefreshFamily | AdminSession] = [
        *selectors.list_sessions(user=user),
        *selectors.list_admin_sessions(user=user),
    ]
    session = next((session for session in live if session.pk == session_id), None)
    if session is None or not end(session=session, actor=user, reason="ended_by_user"):
        raise NotFound("SESSION_NOT_FOUND", "There is no such session.")


def sign_out_everywhere(*, user: User, actor: User | None, reason: str) -> int:
    """End every session of a user, of the API and of the admin; return how many. API keys stay."""
    with transaction.atomic():
        ended = end_all(user=user, reason=reason)
        audit.record(
            actor=actor,
            action="user.sessions_ended",
            object_type="user",
            object_id=user.pk,
            before={"sessions": ended},
            after={"sessions": 0},
        )
    return ended


def end_all(*, user: User, reason: str, keep: UUID | None = None) -> int:
    """End every session of a user but `keep`, as part of a change that audits itself; return how many.

    Locks the account's row first: a sign-in under way either has its session ended here or begins after this. Tokens
    of no session (tickets) issued before now are refused from now on.
    """
    now = timezone.now()
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(tokens_valid_from=now)
        kept = [] if keep is None else [keep]
        families = RefreshFamily.objects.filter(user=user, ended_at=None).exclude(pk__in=kept)
        live = families.filter(expires_at__gt=now).count()
        families.update(ended_at=now, end_reason=reason)
        _, removed = AdminSession.objects.filter(user=user).exclude(pk__in=kept).delete()
    return live + removed.get(AdminSession._meta.label, 0)


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
    of_admin, _ = AdminSession.objects.filter(expires_at__lt=now).delete()
    return revoked + families + of_admin

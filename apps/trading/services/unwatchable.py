"""Tokens (and SOL in dollars) without a trusted price for a minute: positions are not watched, people must know.

Kept in the watch's memory, shown through Redis; an alert goes to the owners when it begins and when it ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import orjson
import structlog
from django.db import DatabaseError
from django.db import transaction as database

from apps.core import outbox, redis
from apps.trading.selectors.watched import HeldToken
from apps.trading.services import alerts
from apps.trading.services.alerts import Alert

log = structlog.get_logger(__name__)

AFTER_SECONDS = 60.0
BEGAN = "POSITION_UNWATCHABLE"
ENDED = "POSITION_WATCHED_AGAIN"
_KEPT_SECONDS = 15.0
SOL_USD_UNKNOWN = "SOL_USD_UNKNOWN"
SOL_USD_KNOWN = "SOL_USD_KNOWN"
_MESSAGES = {
    SOL_USD_UNKNOWN: "No fresh price of SOL in dollars for a minute: figures in dollars are left empty.",
    SOL_USD_KNOWN: "The price of SOL in dollars is known again.",
    BEGAN: "No trusted price for a minute: positions in this token are not watched.",
    ENDED: "Positions in this token are watched again.",
}


class Unwatchable:
    """Since when the tokens of one shard have had no trusted price, in seconds of the monotonic clock."""

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._trusted_at: dict[str, float] = {}
        self._marked: set[str] = set()

    def note(self, held: Mapping[str, HeldToken], trusted: Collection[str], *, now: float) -> frozenset[str]:
        """Take one tick's outcome and return the tokens that are unwatchable now."""
        self._trusted_at = {mint: now if mint in trusted else self._trusted_at.get(mint, now) for mint in held}
        without = {mint for mint, since in self._trusted_at.items() if now - since >= AFTER_SECONDS}
        began = without - self._marked
        ended = {mint for mint in self._marked if mint in held and mint not in without}
        self._marked = without
        self._alert(BEGAN, began, held)
        self._alert(ENDED, ended, held)
        if without or began or ended:
            redis.put(_key(self._shard), orjson.dumps(sorted(without)), seconds=_KEPT_SECONDS)
        return frozenset(without)

    def _alert(self, code: str, mints: Collection[str], held: Mapping[str, HeldToken]) -> None:
        if not mints:
            return
        log.warning("positions_unwatchable" if code == BEGAN else "positions_watched_again", mints=sorted(mints))
        try:
            with database.atomic():
                alerts.tell_holders(Alert(code, _MESSAGES[code], {mint: held[mint].symbol for mint in mints}))
        except DatabaseError as error:
            log.warning("alert_not_stored", code=code, error=type(error).__name__)


class SolUsdAlarm:
    """The same for SOL in dollars, told to everyone."""

    def __init__(self) -> None:
        self._known_at: float | None = None
        self._raised = False

    def note(self, known: bool, *, now: float) -> None:
        """Take one tick's outcome; tell when the minute is over, and when it is known again."""
        if known or self._known_at is None:
            self._known_at = now
        unknown = now - self._known_at >= AFTER_SECONDS
        if unknown == self._raised:
            return
        code = SOL_USD_UNKNOWN if unknown else SOL_USD_KNOWN
        log.warning("sol_usd_alarm", code=code)
        try:
            with database.atomic():
                outbox.append(
                    [outbox.Message(outbox.GLOBAL_STREAM, "alert", {"code": code, "message": _MESSAGES[code]})]
                )
        except DatabaseError as error:
            log.warning("alert_not_stored", code=code, error=type(error).__name__)
        self._raised = unknown


def listed(shard: int) -> list[str]:
    """Return the tokens a shard's watch finds unwatchable, as far as Redis knows."""
    known = redis.get(_key(shard))
    return [] if known is None else [str(mint) for mint in orjson.loads(known)]


def _key(shard: int) -> str:
    return redis.name("unwatchable", str(shard))

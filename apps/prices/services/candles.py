"""Making candles of ticks: a minute once it is over, an hour of its minutes, in a few statements for all tokens.

Nothing keeps a mark of how far it came: the newest candle says it, so that a restart goes on where the last run
stopped, and after a long one catches up as far as there are ticks. Making a candle again changes nothing, unless it
has found more ticks: the last minutes are always made again, and so is any older one that a late tick belongs into.
The path that records ticks does not know of it.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from django.db import transaction

from apps.core import bulk
from apps.prices.domain.candles import Interval, begin_of

#: A minute is made this long after its end: by then what was received in it is recorded.
GRACE = timedelta(seconds=10)
#: Made again each time, for ticks whose transaction took longer.
_REMADE = timedelta(minutes=2)
#: The newest of these candles hold the newest tick that was seen when they were made.
_REMEMBERED = timedelta(minutes=10)
_AT_ONCE = timedelta(minutes=30)

_COLUMNS = """mint, interval, opened_at, open_sol, high_sol, low_sol, close_sol,
    open_usd, high_usd, low_usd, close_usd, ticks, last_tick"""
#: Only ever from more ticks than before: some of a candle's may be pruned by now.
_OR_MORE = """
ON CONFLICT (mint, interval, opened_at) DO UPDATE SET
    open_sol = EXCLUDED.open_sol, high_sol = EXCLUDED.high_sol, low_sol = EXCLUDED.low_sol,
    close_sol = EXCLUDED.close_sol, open_usd = EXCLUDED.open_usd, high_usd = EXCLUDED.high_usd,
    low_usd = EXCLUDED.low_usd, close_usd = EXCLUDED.close_usd,
    ticks = EXCLUDED.ticks, last_tick = EXCLUDED.last_tick
WHERE candle.ticks < EXCLUDED.ticks
"""
_MAKE_MINUTES = f"""
INSERT INTO candle ({_COLUMNS})
SELECT mint, '1m', date_trunc('minute', received_at, 'UTC') AS minute,
       (array_agg(price_sol ORDER BY id))[1], max(price_sol), min(price_sol),
       (array_agg(price_sol ORDER BY id))[count(*)],
       (array_agg(price_usd ORDER BY id) FILTER (WHERE price_usd IS NOT NULL))[1], max(price_usd), min(price_usd),
       (array_agg(price_usd ORDER BY id) FILTER (WHERE price_usd IS NOT NULL))[count(price_usd)],
       count(*), max(id)
FROM tick WHERE received_at >= %s AND received_at < %s
GROUP BY mint, minute ORDER BY mint, minute
{_OR_MORE}
"""
_MAKE_HOURS = f"""
INSERT INTO candle ({_COLUMNS})
SELECT mint, '1h', date_trunc('hour', opened_at, 'UTC') AS hour,
       (array_agg(open_sol ORDER BY opened_at))[1], max(high_sol), min(low_sol),
       (array_agg(close_sol ORDER BY opened_at))[count(*)],
       (array_agg(open_usd ORDER BY opened_at) FILTER (WHERE open_usd IS NOT NULL))[1], max(high_usd), min(low_usd),
       (array_agg(close_usd ORDER BY opened_at) FILTER (WHERE close_usd IS NOT NULL))[count(close_usd)],
       sum(ticks), max(last_tick)
FROM candle WHERE interval = '1m' AND opened_at >= %s AND opened_at < %s
GROUP BY mint, hour ORDER BY mint, hour
{_OR_MORE}
"""
_NEWEST_MINUTE = "SELECT max(opened_at) FROM candle WHERE interval = '1m' AND opened_at < %s"
_FIRST_TICK = "SELECT min(received_at) FROM tick WHERE received_at >= %s"
_LATE_MINUTES = """
SELECT DISTINCT date_trunc('minute', received_at, 'UTC') FROM tick
WHERE id > (SELECT max(last_tick) FROM candle WHERE interval = '1m' AND opened_at >= %s) AND received_at < %s
ORDER BY 1
"""
#: One process makes candles at a time; the next run of another finds the rest.
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('prices.candles'))"
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)

_made_until = _ALWAYS
_running = threading.Lock()


def make_candles(*, now: datetime | None = None) -> int:
    """Make what is missing up to the last minute that is over; return how many candles were made or filled up.

    Quick when there is nothing to do. After a long stop it works half an hour of ticks at a time, each in a transaction
    of its own.
    """
    global _made_until
    end = begin_of((now or datetime.now(UTC)) - GRACE, Interval.MINUTE)
    if end == _made_until or not _running.acquire(blocking=False):
        return 0
    try:
        made, position = 0, _begin(end)
        while position < end:
            changed, position = _make_some(position, end)
            made += changed
        _made_until = end
        return made
    finally:
        _running.release()


def forget() -> None:
    """Forget that this process has made anything."""
    global _made_until
    _made_until = _ALWAYS


def _begin(end: datetime) -> datetime:
    """Return where to go on: a little before the end of the newest candle, or where the ticks begin."""
    ((newest,),) = bulk.fetch_all(_NEWEST_MINUTE, [end])
    if newest is not None:
        return newest + Interval.MINUTE.length - _REMADE
    ((first,),) = bulk.fetch_all(_FIRST_TICK, [_ALWAYS])
    return end if first is None else begin_of(first, Interval.MINUTE)


@transaction.atomic
def _make_some(position: datetime, end: datetime) -> tuple[int, datetime]:
    """Make the candles of the next half hour that has ticks; return how many, and up to when all is made."""
    ((ours,),) = bulk.fetch_all(_LOCK)
    if not ours:
        return 0, end
    ((first,),) = bulk.fetch_all(_FIRST_TICK, [position])
    begin = end if first is None else max(position, begin_of(first, Interval.MINUTE))
    stop = min(end, begin + _AT_ONCE)
    late = bulk.fetch_all(_LATE_MINUTES, [position - _REMEMBERED, position]) if stop == end else []
    made = sum(_remake(minute) for (minute,) in late)
    if begin < stop:
        made += bulk.execute(_MAKE_MINUTES, [begin, stop])
    # From `position`, not from `begin`: the hour it stands in may have ended without another tick.
    return made + _make_hours(position, begin_of(stop, Interval.HOUR)), stop


def _remake(minute: datetime) -> int:
    """Make one minute again and, if it is over, its hour."""
    made = bulk.execute(_MAKE_MINUTES, [minute, minute + Interval.MINUTE.length])
    hour = begin_of(minute, Interval.HOUR)
    stored = bulk.fetch_all("SELECT 1 FROM candle WHERE interval = '1h' AND opened_at >= %s LIMIT 1", [hour])
    return made + (_make_hours(hour, hour + Interval.HOUR.length) if made and stored else 0)


def _make_hours(begin: datetime, end: datetime) -> int:
    begin = begin_of(begin, Interval.HOUR)
    return bulk.execute(_MAKE_HOURS, [begin, end]) if begin < end else 0

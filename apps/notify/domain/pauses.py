"""When a delivery that failed is tried again, when it is given up, and when an endpoint is.

Pure. The pauses are those the Standard Webhooks specification suggests: ten attempts within about three days.
"""

from __future__ import annotations

from datetime import timedelta

#: Pause after the first failure, the second, and so on.
PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
MOST_TRIES = len(PAUSES) + 1
#: A delivery bars later ones about the same position until it has failed this often: about half an hour.
BARRING_TRIES = 4
#: What is still pending after this long is given up: its endpoint was off, or others barred it.
GIVEN_UP_AFTER = timedelta(days=4)
#: An endpoint that has taken nothing for this long is switched off.
FAILING_FOR = timedelta(days=3)
#: An endpoint for which more than this waits is switched off: it will not catch up, and rows must not grow without end.
MOST_PENDING = 10_000
_MOST_JITTER = 0.2
_LONGEST_WISH = timedelta(hours=24)


def pause_after(tries: int, *, chance: float, wished_seconds: float | None = None) -> timedelta | None:
    """Return how long to wait after `tries` failures in a row, None to give up.

    `chance` (0 to 1) spreads by up to a fifth; `wished_seconds` is what the endpoint asked for (Retry-After), up to a
    day.

    >>> [str(pause_after(tries, chance=0)) for tries in (1, 2, 9, 10)]
    ['0:00:05', '0:05:00', '1 day, 0:00:00', 'None']
    >>> str(pause_after(1, chance=1)), str(pause_after(1, chance=0, wished_seconds=60))
    ('0:00:06', '0:01:00')
    """
    if tries >= MOST_TRIES:
        return None
    pause = PAUSES[tries - 1] * (1 + _MOST_JITTER * chance)
    if wished_seconds is None:
        return pause
    return max(pause, min(timedelta(seconds=wished_seconds), _LONGEST_WISH))

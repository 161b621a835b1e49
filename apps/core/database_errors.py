"""Which database errors belong to the rows that were written, and which to the moment (CONCURRENCY 3).

A data error repeats itself: it is looked for by bisection and fails one row. Anything else (connection, deadlock, lock,
resources, shutdown) passes: the work is left to its lease.
"""

from __future__ import annotations

_DATA_CLASSES = ("22", "23", "P0")
_LOCK_NOT_AVAILABLE = "55P03"
#: A lock not had in time, a statement that ran into its limit, a deadlock, a serialisation: others are at work there.
_BUSY = (_LOCK_NOT_AVAILABLE, "57014", "40")
DATABASE_BUSY = "DATABASE_BUSY"
DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"


def is_data_error(error: BaseException) -> bool:
    """Tell whether the error is of SQLSTATE class 22, 23 or P0."""
    return sqlstate(error)[:2] in _DATA_CLASSES


def is_lock_timeout(error: BaseException) -> bool:
    """Tell whether a lock was not had in time: somebody else holds a row of ours, which need not be everybody's."""
    return sqlstate(error) == _LOCK_NOT_AVAILABLE


def is_busy(error: BaseException) -> bool:
    """Tell whether the database answers, and other work stands in the way for now."""
    return sqlstate(error).startswith(_BUSY)


def passing_code(error: BaseException) -> str:
    """Return the code of an error that passes: busy, or away."""
    return DATABASE_BUSY if is_busy(error) else DATABASE_UNAVAILABLE


def sqlstate(error: BaseException) -> str:
    """Return the five-letter state of a database error (Django's or psycopg's), "" when it has none."""
    for link in (error, error.__cause__):
        state = getattr(link, "sqlstate", None)
        if isinstance(state, str):
            return state
    return ""

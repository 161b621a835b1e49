"""CSV as spreadsheets read it: RFC 4180 quoting, figures and times for people, and no cell that is taken for a formula.

Pure. Texts from elsewhere pass `text` on their way into a cell; what the desk writes itself (figures, times) does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from apps.core.money import MONEY

#: What stands where there is nothing to say.
MISSING = "N/A"

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NEEDS_QUOTES = re.compile(r'[",\r\n]')
# What a spreadsheet takes for the beginning of a formula, full-width forms and what may stand before it included.
_FORMULA = re.compile(r"[\s\x00-\x1f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def row(cells: Iterable[str]) -> str:
    r"""Return one line of the file.

    >>> row(["a", 'say "hi", now', "two\nlines"])
    'a,"say ""hi"", now","two\nlines"\n'
    """
    return (
        ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' if _NEEDS_QUOTES.search(cell) else cell for cell in cells)
        + "\n"
    )


def text(value: str | None) -> str:
    """Return a text from elsewhere as a cell that no spreadsheet executes: an apostrophe makes it text.

    >>> text("WIF"), text("=HYPERLINK(A1)"), text(" @SUM(1)"), text(None), text("")
    ('WIF', "'=HYPERLINK(A1)", "' @SUM(1)", 'N/A', 'N/A')
    """
    if not value:
        return MISSING
    return f"'{value}" if _FORMULA.match(value) else value


def fixed(value: Decimal | None, places: int, *, signed: bool = False) -> str:
    """Return a figure with a fixed number of places, halves rounded away from zero.

    >>> fixed(Decimal("1.005"), 2), fixed(Decimal(0), 2, signed=True), fixed(Decimal("-0.00001"), 4), fixed(None, 2)
    ('1.01', '+0.00', '-0.0000', 'N/A')
    """
    if value is None:
        return MISSING
    rounded = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP, context=MONEY)
    return f"{rounded:+f}" if signed else f"{rounded:f}"


def exact(value: Decimal | None) -> str:
    """Return every digit that means something, without exponent.

    >>> exact(Decimal("6.6320E-11")), exact(Decimal("1E+3")), exact(None)
    ('0.00000000006632', '1000', 'N/A')
    """
    return MISSING if value is None else f"{value.normalize(MONEY):f}"


def moment(value: datetime, zone: tzinfo) -> str:
    """Return a time as people write it, in `zone`.

    >>> moment(datetime(2026, 1, 2, 15, 4, 5, tzinfo=UTC), ZoneInfo("America/New_York"))
    'Jan 02, 2026 10:04:05 AM'
    """
    try:
        local = value.astimezone(zone)
    except OverflowError:  # the first or last day there is, beyond which the zone would carry it
        local = value.astimezone(UTC)
    half = "AM" if local.hour < 12 else "PM"
    hour = (local.hour - 1) % 12 + 1
    day = f"{_MONTHS[local.month - 1]} {local.day:02d}, {local.year:04d}"
    return f"{day} {hour:02d}:{local.minute:02d}:{local.second:02d} {half}"


def zone(name: str | None) -> tzinfo:
    """Return the IANA zone of that name; UTC without one, or for one nobody knows.

    >>> zone("Europe/Berlin").key, zone("Mars/Base"), zone("../etc/passwd"), zone("America"), zone(None)
    ('Europe/Berlin', datetime.timezone.utc, datetime.timezone.utc, datetime.timezone.utc, datetime.timezone.utc)
    """
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return UTC

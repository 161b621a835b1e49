"""How numbers are written for people: one room for the admin, the desk and everything else that shows a figure.

Pure: text in, text out; colours and markup are `apps.core.adminkit.cells`' business. What is unknown is a dash, never
zero.
Rounding is for the eye only; the exact value belongs beside it, on hover.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from apps.core.money import MONEY

UNKNOWN = "–"
MINUS = "−"
#: A space that neither breaks nor is wide; stands between a number and its unit.
THIN_SPACE = "\u202f"

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_MIN_COUNTED_ZEROS = 4
_SCALES = ((Decimal("1e12"), "T"), (Decimal("1e9"), "B"), (Decimal("1e6"), "M"))


def sol(value: Decimal | None, *, signed: bool = False) -> str:
    """Return an amount of SOL with four places, more where four would hide it.

    >>> sol(Decimal("1234.5")), sol(Decimal("0.000005")), sol(Decimal("-0.25"), signed=True), sol(None)
    ('1,234.5000', '0.000005', '−0.2500', '–')
    """
    return _fixed(value, 4, signed)


def usd(value: Decimal | None, *, signed: bool = False) -> str:
    """Return US dollars to the cent, more where the cent would hide it.

    >>> usd(Decimal("1234.5")), usd(Decimal("-3.14159"), signed=True), usd(Decimal("0.00004321"))
    ('$1,234.50', '−$3.14', '$0.000043')
    """
    text = _fixed(value, 2, signed)
    if text == UNKNOWN:
        return text
    return f"{text[0]}${text[1:]}" if text[0] in (MINUS, "+") else f"${text}"


def percent(value: Decimal | None, *, signed: bool = True) -> str:
    """Return a percentage of the 0-100 scale with two places and its sign.

    >>> percent(Decimal("12.3456")), percent(Decimal("-32"), signed=False), percent(Decimal(0))
    ('+12.35\\u202f%', '−32.00\\u202f%', '0.00\\u202f%')
    """
    if value is None:
        return UNKNOWN
    return f"{_grouped(_rounded(value, 2), signed)}{THIN_SPACE}%"


def amount(value: Decimal | None, *, signed: bool = False) -> str:
    """Return whole tokens with about six digits; millions and more are shortened.

    >>> amount(Decimal("12345678.9")), amount(Decimal("1500.25")), amount(Decimal("0.00012345"))
    ('12.346M', '1,500.25', '0.0001234')
    >>> amount(Decimal("1000000000000"))
    '1.000T'
    """
    if value is None:
        return UNKNOWN
    for scale, letter in _SCALES:
        if abs(value) >= scale:
            return f"{_grouped(_rounded(MONEY.divide(value, scale), 3), signed)}{letter}"
    if abs(value) >= 1 or value == 0:
        return _grouped(_trimmed(_rounded(value, 4 if abs(value) < 1000 else 2)), signed)
    return _grouped(_trimmed(_significant(value, 4)), signed)


def price(value: Decimal | None) -> str:
    """Return a price with five significant digits; long runs of zeros are counted in a subscript.

    >>> price(Decimal("6.632e-11")), price(Decimal("0.0012345678")), price(Decimal("153.2"))
    ('0.0₁₀6632', '0.0012346', '153.2')
    """
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    rounded = _trimmed(_rounded(value, 2) if abs(value) >= 1000 else _significant(value, 5))
    zeros = -rounded.adjusted() - 1
    if zeros < _MIN_COUNTED_ZEROS:
        return _grouped(rounded, signed=False)
    digits = "".join(map(str, rounded.as_tuple().digits))
    return f"{MINUS if rounded < 0 else ''}0.0{str(zeros).translate(_SUBSCRIPTS)}{digits}"


def exact(value: Decimal | int | None) -> str:
    """Return every digit that means something, without exponent.

    >>> exact(Decimal("6.6320e-11")), exact(Decimal("100"))
    ('0.00000000006632', '100')
    """
    return UNKNOWN if value is None else f"{_trimmed(Decimal(value)):f}"


def count(value: int | None) -> str:
    """Return a number of things.

    >>> count(12345)
    '12,345'
    """
    return UNKNOWN if value is None else f"{value:,}"


def duration(seconds: float | None) -> str:
    """Return a length of time with its two largest units.

    >>> [duration(s) for s in (0.4, 59, 185, 7260, 200000)]
    ['0 s', '59 s', '3 min 5 s', '2 h 1 min', '2 d 7 h']
    """
    if seconds is None:
        return UNKNOWN
    whole = max(0, int(seconds))
    for size, unit, smaller, smaller_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    return f"{whole} s"


def address(text: str | None) -> str:
    """Return the two ends of an address or mint.

    >>> address("So11111111111111111111111111111111111111112"), address("short")
    ('So11…1112', 'short')
    """
    if not text:
        return UNKNOWN
    return text if len(text) <= 12 else f"{text[:4]}…{text[-4:]}"


def _fixed(value: Decimal | None, places: int, signed: bool) -> str:
    """Return `value` with `places`, or two significant digits where that would leave nothing."""
    if value is None:
        return UNKNOWN
    rounded = _rounded(value, places)
    return _grouped(_trimmed(_significant(value, 2)) if rounded == 0 and value != 0 else rounded, signed)


def _rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN, context=MONEY)


def _significant(value: Decimal, digits: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(value.adjusted() - digits + 1), rounding=ROUND_HALF_EVEN, context=MONEY)


def _trimmed(value: Decimal) -> Decimal:
    trimmed = value.normalize(MONEY)
    exponent = trimmed.as_tuple().exponent
    return trimmed.quantize(Decimal(1), context=MONEY) if isinstance(exponent, int) and exponent > 0 else trimmed


def _grouped(value: Decimal, signed: bool) -> str:
    text = f"{abs(value):,f}"
    if value < 0:
        return MINUS + text
    return f"+{text}" if signed and value > 0 else text

"""Single values as markup: numbers with units, badges, times, mints, links.

The looks are in `static/admin_soldesk/soldesk.css`; `soldesk.js` turns the times into the reader's own time zone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.core import formatting
from apps.core.enums import Badge

DASH = format_html('<span class="sd-dash">{}</span>', formatting.UNKNOWN)
Writer = Callable[[Decimal], str]


def number(
    value: Decimal | int | None, text: str, *, unit: str = "", toned: bool = False, exact: str | None = None
) -> SafeString:
    """Return a right-aligned figure: `text` for the eye, every digit on hover; `toned` colours gain and loss."""
    if value is None:
        return DASH
    tone = "" if not toned or value == 0 else " sd-gain" if value > 0 else " sd-loss"
    title = exact or f"{formatting.exact(value)}{' ' + unit if unit else ''}"
    suffix = format_html('<span class="sd-unit">{}</span>', unit) if unit else ""
    return format_html('<span class="sd-num{}" title="{}">{}{}</span>', tone, title, text, suffix)


def sol(value: Decimal | None, *, signed: bool = False, unit: str = "SOL") -> SafeString:
    return number(value, formatting.sol(value, signed=signed), unit=unit, toned=signed)


def usd(value: Decimal | None, *, signed: bool = False) -> SafeString:
    return number(value, formatting.usd(value, signed=signed), toned=signed)


def amount(value: Decimal | None, *, signed: bool = False, unit: str = "") -> SafeString:
    return number(value, formatting.amount(value, signed=signed), unit=unit, toned=signed)


def price(value: Decimal | None, *, unit: str = "SOL") -> SafeString:
    return number(value, formatting.price(value), unit=unit)


def percent(value: Decimal | None, *, toned: bool = False) -> SafeString:
    return number(value, formatting.percent(value, signed=toned), toned=toned)


def count(value: int | None) -> SafeString:
    return number(value, formatting.count(value))


def badge(choice: Badge | None, text: str | None = None) -> SafeString:
    """Return a status word in its declared colour."""
    if choice is None:
        return DASH
    return label(text or str(choice.label).partition(":")[0], choice.colour, title=str(choice.label))


def label(text: str, colour: str = "muted", *, title: str = "") -> SafeString:
    """Return a small word in one of the badge colours: success, info, warning, danger, muted."""
    return format_html('<span class="sd-badge sd-{}" title="{}">{}</span>', colour, title or text, text)


def when(moment: datetime | None) -> SafeString:
    """Return a time: the reader's own on the page, UTC on hover."""
    if moment is None:
        return DASH
    in_utc = moment.astimezone(UTC)
    return format_html(
        '<time class="sd-time" datetime="{}" title="{} UTC">{}</time>',
        in_utc.isoformat(timespec="milliseconds"),
        f"{in_utc:%Y-%m-%d %H:%M:%S}.{in_utc.microsecond // 1000:03d}",
        f"{in_utc:%d %b %H:%M:%S}",
    )


def age(moment: datetime | None, *, warn_after_seconds: float | None = None) -> SafeString:
    """Return how long ago `moment` was, marked when that is longer than it should be."""
    if moment is None:
        return DASH
    seconds = (timezone.now() - moment).total_seconds()
    late = warn_after_seconds is not None and seconds > warn_after_seconds
    return format_html(
        '<span class="sd-num{}" title="{} UTC">{}</span>',
        " sd-late" if late else "",
        f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        formatting.duration(seconds),
    )


def token(mint: str | None, symbol: str | None) -> SafeString:
    """Return a token as its symbol over its shortened mint; the whole mint is copied with a click."""
    if not mint:
        return DASH
    return format_html(
        '<span class="sd-token"><strong>{}</strong>{}</span>', symbol or formatting.address(mint), address(mint)
    )


def address(text: str | None) -> SafeString:
    """Return a shortened address; the whole one is on hover and copied with a click."""
    if not text:
        return DASH
    return format_html(
        '<span class="sd-mint" data-copy="{}" title="{}, click to copy">{}</span>',
        text,
        text,
        formatting.address(text),
    )


def link(target: Model | None, text: str | None = None) -> SafeString:
    """Return a link to an object's admin page."""
    if target is None or target.pk is None:
        return DASH
    return format_html('<a class="sd-link" href="{}">{}</a>', change_url(target), text or str(target))


def change_url(target: Model) -> str:
    """Return the address of an object's admin page."""
    return reverse(f"admin:{target._meta.app_label}_{target._meta.model_name}_change", args=[quote(target.pk)])


def document(value: Any) -> SafeString:
    """Return a JSON document, readable."""
    if value is None:
        return DASH
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre class="sd-json">{}</pre>', text)


def words(values: Iterable[str] | None, *, explained: Mapping[str, str] | None = None) -> SafeString:
    """Return codes as small words; `explained` has a sentence for the hover."""
    known = explained or {}
    labels = [label(value.replace("_", " ").lower(), title=known.get(value, value)) for value in values or ()]
    return format_html('<span class="sd-words">{}</span>', _joined(labels)) if labels else DASH


def stacked(*parts: SafeString) -> SafeString:
    """Return values one under the other in one cell."""
    return format_html('<span class="sd-stack">{}</span>', _joined(parts))


def _joined(parts: Iterable[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((part,) for part in parts))

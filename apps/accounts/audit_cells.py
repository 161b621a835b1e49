"""What an audit entry changed, for people: the names in the list, before and after line by line on its page."""

from __future__ import annotations

from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.accounts.models import AuditEntry
from apps.core.adminkit import cells

NAMES_SHOWN = 3


def changed_words(entry: AuditEntry) -> SafeString:
    """The names of what changed, a few of them."""
    names = [path for path, _, _ in changes(entry.before, entry.after)]
    shown = names[:NAMES_SHOWN] + ([f"and {len(names) - NAMES_SHOWN} more"] if len(names) > NAMES_SHOWN else [])
    return format_html('<span class="sd-quiet">{}</span>', ", ".join(shown)) if shown else cells.DASH


def change_table(entry: AuditEntry) -> SafeString:
    """What changed, line by line: before and after."""
    rows = changes(entry.before, entry.after)
    if not rows:
        return cells.DASH
    lines = format_html_join(
        "",
        "<tr><th>{}</th><td>{}</td><td>{}</td></tr>",
        ((path, _value(before), _value(after)) for path, before, after in rows),
    )
    head = "<tr><th></th><th>Before</th><th>After</th></tr>"
    return format_html(f'<table class="sd-diff"><thead>{head}</thead><tbody>{{}}</tbody></table>', lines)


def changes(before: Any, after: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return (path, before, after) of every leaf that differs between two documents.

    >>> changes({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4})
    [('a.c', 2, 3), ('d', None, 4)]
    """
    if isinstance(before, dict) or isinstance(after, dict):
        old = before if isinstance(before, dict) else {}
        new = after if isinstance(after, dict) else {}
        found: list[tuple[str, Any, Any]] = []
        for key in [*old, *(key for key in new if key not in old)]:
            found += changes(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        return found
    return [] if before == after else [(path or "value", before, after)]


def _value(value: Any) -> Any:
    return cells.DASH if value is None else str(value)

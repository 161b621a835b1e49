"""What an audit entry says, for people: who, what and which as links, before and after line by line."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from apps.accounts.models import AuditEntry
from apps.core import formatting
from apps.core.adminkit import cells

NAMES_SHOWN = 3
#: Object types that are not called after their model.
_OTHER_NAMES = {"signal": "tradingsignal"}


def actor_link(entry: AuditEntry) -> SafeString:
    """Who did it, as they were called then; linked to their page."""
    if entry.actor_id is None:
        return cells.label(entry.actor_label)
    url = reverse("admin:accounts_user_change", args=[quote(entry.actor_id)])
    return format_html('<a class="sd-link" href="{}">{}</a>', url, entry.actor_label)


def action_words(entry: AuditEntry) -> SafeString:
    """The action, coloured where something went."""
    last = entry.action.rpartition(".")[2]
    ended = last in ("deleted", "ended", "archived", "reset", "sessions_ended", "off", "released")
    begun = last in ("created", "on", "assigned")
    return cells.label(entry.action, "danger" if ended else "success" if begun else "muted")


def object_link(entry: AuditEntry) -> SafeString:
    """What was changed: its kind, and its id, linked to its page if it has one."""
    shown = cells.address(entry.object_id)
    model = _models_by_type().get(entry.object_type)
    if model is not None:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[quote(entry.object_id)])
        text = formatting.address(entry.object_id)
        shown = format_html('<a class="sd-link" href="{}" title="{}">{}</a>', url, entry.object_id, text)
    return cells.stacked(format_html("<span>{}</span>", entry.object_type.replace("_", " ")), shown)


def history_link(entry: AuditEntry) -> SafeString:
    """Everything that happened to the same object."""
    return _entries({"object": f"{entry.object_type}:{entry.object_id}"}, "Everything about this object")


def request_link(entry: AuditEntry) -> SafeString:
    """Everything the same request changed."""
    return _entries({"q": entry.request_id}, entry.request_id) if entry.request_id else cells.DASH


def types_of(kind: str) -> set[str]:
    """Return the object types that mean the same as `kind`: a model's own name and what the log calls it."""
    model = _models_by_type().get(kind)
    return {kind} if model is None else {name for name, found in _models_by_type().items() if found is model}


@cache
def _models_by_type() -> dict[str, type[Model]]:
    """The models with a page, by what entries may call them: `apikey` and `api_key`."""
    found: dict[str, type[Model]] = {}
    for model in admin.site._registry:
        name = str(model._meta.model_name)
        found[name] = found[str(model._meta.verbose_name).lower().replace(" ", "_")] = model
    return found | {other: found[name] for other, name in _OTHER_NAMES.items() if name in found}


def _entries(query: dict[str, str], text: str) -> SafeString:
    url = f"{reverse('admin:accounts_auditentry_changelist')}?{urlencode(query)}"
    return format_html('<a class="sd-link" href="{}">{}</a>', url, text)


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
    if value is None:
        return cells.DASH
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""What a request changed, and what the audit log says of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from apps.accounts.models import AuditEntry
from tests.api.permissions.world import whole_database

#: Written beside every change, or by being signed in; no change of anything a person owns.
_BESIDE = ("audit_log", "django_admin_log", "feed_stream", "idempotency_key", "outbox")


@dataclass
class Change:
    """What happened within `watched`."""

    tables: set[str] = field(default_factory=set)
    entries: list[AuditEntry] = field(default_factory=list)


@contextmanager
def watched() -> Iterator[Change]:
    """Tell which tables changed within, and which entries were written."""
    newest = AuditEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0
    before, change = _digests(), Change()
    yield change
    after = _digests()
    change.tables = {table for table in before if before[table] != after[table]}
    change.entries = list(AuditEntry.objects.filter(id__gt=newest).order_by("id"))


def _digests() -> dict[str, str]:
    lines = (line.partition(":") for line in whole_database().splitlines())
    return {table: digest for table, _, digest in lines if not table.startswith(_BESIDE)}

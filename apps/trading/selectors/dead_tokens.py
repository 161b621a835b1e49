"""Evidence against tokens as it stands: what a write-off is decided on, before it fires and under its locks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.core import bulk
from apps.trading.domain.dead_tokens import Evidence


@dataclass(frozen=True, slots=True)
class Case:
    """A token evidence stands against; `last_code` is what its last check brought, `requested_at` a person's wish."""

    mint: str
    evidence: Evidence
    last_code: str
    requested_at: datetime | None
    requested_by_id: UUID | None


# A tick after the last check refutes it, also before somebody has noted that.
_STANDING = """
FROM dead_token d
WHERE d.cleared_at IS NULL AND d.checks > 0 AND (%(mints)s::text[] IS NULL OR d.mint = ANY(%(mints)s::text[]))
  AND NOT COALESCE((SELECT t.received_at > d.last_seen_at FROM tick t WHERE t.mint = d.mint
                    ORDER BY t.id DESC LIMIT 1), false)
ORDER BY d.mint
"""
_CASES = f"""
SELECT d.mint, d.checks, d.first_seen_at, d.last_seen_at, d.last_code, d.write_off_requested_at,
       d.write_off_requested_by_id {_STANDING}
"""
_EVIDENCE = f"SELECT d.mint, d.checks, d.first_seen_at, d.last_seen_at {_STANDING} FOR NO KEY UPDATE OF d"


def list_cases() -> list[Case]:
    """Return every token evidence stands against."""
    return [_case(row) for row in bulk.fetch_all(_CASES, {"mints": None})]


def lock_case(mint: str) -> Case | None:
    """Return what stands against one token, its row locked until commit; None when nothing does."""
    rows = bulk.fetch_all(_CASES + "FOR NO KEY UPDATE OF d", {"mints": [mint]})
    return _case(rows[0]) if rows else None


def lock_evidence(mints: Iterable[str]) -> dict[str, Evidence]:
    """Return the evidence against those of `mints` it stands against, locked in order until commit, after intents."""
    rows = bulk.fetch_all(_EVIDENCE, {"mints": sorted(set(mints))})
    return {row[0]: Evidence(*row[1:]) for row in rows}


def _case(row: tuple[object, ...]) -> Case:
    mint, checks, first, last, code, requested_at, requested_by = row
    return Case(mint, Evidence(checks, first, last), code, requested_at, requested_by)  # type: ignore[arg-type]

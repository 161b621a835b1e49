"""Why a backup is not made or not brought back."""

from __future__ import annotations

from apps.core.errors import SoldeskError


class BackupRefused(SoldeskError):
    """Nothing was written and nothing changed; `code` says why."""

    status = 409


class BackupFailed(SoldeskError):
    """A program ended badly; the sentence has its last words."""

    status = 500

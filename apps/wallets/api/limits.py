"""How often wallets may be changed from one address: counted per path, so per wallet and kind of change."""

from __future__ import annotations

from django.conf import settings
from rest_framework.request import Request

from apps.core.api import limits


def check(request: Request) -> None:
    """Count a change of a wallet.

    Raises:
        RateLimited: this path had too many from this address within the minute.
    """
    who = f"{limits.client_address(request)}:{request.path}"
    limits.check("wallet-change", who, per_minute=settings.WALLET_CHANGES_PER_MINUTE)

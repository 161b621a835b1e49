"""The audit of live wallets against the chain: the comparison that reconciliation makes each minute, and no other.

Reads only, and asks the nodes. A wallet with orders under way cannot be compared and is left out.
"""

from __future__ import annotations

from apps.core.api import wire
from apps.trading.services.audit_books import CheckResult, Difference
from apps.wallets.models import Wallet
from apps.wallets.services import reconciling

NAME, TITLE = "chain", "Live wallets hold what the chain says"


def audit_chain() -> CheckResult:
    """Return what two nodes say alike that the books of live wallets do not; the title tells what nobody could say."""
    wallets = Wallet.objects.filter(wallet_type="live", released_at=None).count()
    compared = [each for each in reconciling.compare() if each.answered]
    differences = tuple(
        Difference(
            f"wallet {each.stand.address} {judgement.mint}",
            "amount",
            wire.decimal_text(judgement.chain),
            wire.decimal_text(judgement.books),
        )
        for each in compared
        for judgement in each.differing
    )
    missing = wallets - len(compared)
    title = f"{TITLE} ({missing} not compared)" if missing else TITLE
    return CheckResult(NAME, title, len(compared), differences)

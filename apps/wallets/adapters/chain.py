"""Who is asked for what an address holds on chain. A desk without nodes has nobody, and says so."""

from __future__ import annotations

from apps.wallets import errors
from apps.wallets.ports import ChainBalances

_connected: ChainBalances | None = None


def connect(balances: ChainBalances | None) -> None:
    """Ask `balances` from now on, in this process; None: nobody."""
    global _connected
    _connected = balances


def is_connected() -> bool:
    return _connected is not None


def balances() -> ChainBalances:
    """Return who answers.

    Raises:
        ChainNotConfigured: nobody.
    """
    if _connected is None:
        raise errors.ChainNotConfigured
    return _connected

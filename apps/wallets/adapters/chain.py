"""Who is asked for what an address holds on chain. A desk without nodes has nobody, and says so."""

from __future__ import annotations

from django.conf import settings

from apps.wallets import errors
from apps.wallets.adapters.node_chain import NodeChain
from apps.wallets.ports import ChainBalances, ChainHoldings

_connected: ChainBalances | None = None


def connect(balances: ChainBalances | None) -> None:
    """Ask `balances` for SOL from now on, in this process; None: the desk's nodes, if it has any."""
    global _connected
    _connected = balances


def is_connected() -> bool:
    return _connected is not None or bool(settings.SOLANA_RPC_URLS)


def balances() -> ChainBalances:
    """Return who answers.

    Raises:
        ChainNotConfigured: nobody.
    """
    if _connected is not None:
        return _connected
    if not settings.SOLANA_RPC_URLS:
        raise errors.ChainNotConfigured
    return NodeChain()


def holdings() -> ChainHoldings | None:
    """Return who tells everything addresses hold, None on a desk without nodes."""
    return NodeChain() if settings.SOLANA_RPC_URLS else None

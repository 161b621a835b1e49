"""The signer and what may be spent: its keys, its own caps and programs, agents' live wallets, loss limits."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from apps.agents.models import Agent, TradingMode
from apps.console.doctor.findings import Finding, fail, needed, ok, warn
from apps.core import formatting
from apps.core.money import lamports_to_sol
from apps.trading.models import LossLimit
from apps.wallets.models import LiveKey, Wallet
from apps.wallets.signer_client import Signer, SignerRefused, SignerStatus, SignerUnavailable


def live_agents() -> list[Agent]:
    """Return the agents whose mode is live."""
    return list(Agent.objects.filter(archived_at=None, trading_mode=TradingMode.LIVE).order_by("name"))


def signer(*, live: bool) -> Iterator[Finding]:
    """Ask the signer what it holds and what it allows."""
    if settings.SIGNER_SOCKET is None:
        yield needed("signer", "This desk has no signer.", "Set SIGNER_SOCKET and start manage.py signer.", now=live)
        return
    try:
        status = Signer(settings.SIGNER_SOCKET).status()
    except (SignerUnavailable, SignerRefused) as error:
        yield needed("signer", f"It does not answer ({error}).", "Start manage.py signer.", now=live)
        return
    yield from _keys(status, live=live)
    yield from _policy(status)


def _keys(status: SignerStatus, *, live: bool) -> Iterator[Finding]:
    locked = [key.name or key.address for key in status.keys if key.locked]
    if not status.keys:
        yield needed("signer", "It holds no key.", "Create or import one, or set WALLET_1.", now=live)
    elif locked:
        yield warn("signer", f"Locked: {', '.join(locked)}.", "Unlock them with their passphrases.")
    else:
        yield ok("signer", f"{len(status.keys)} keys, all of them unlocked.")


def _policy(status: SignerStatus) -> Iterator[Finding]:
    trade, day, spent = (
        formatting.sol(lamports_to_sol(value))
        for value in (status.max_trade_lamports, status.max_day_lamports, status.spent_day_lamports)
    )
    sentence = f"At most {trade} SOL a trade and {day} SOL a day, {spent} of it spent."
    if status.spent_day_lamports >= status.max_day_lamports:
        yield warn("caps", sentence, "The day's cap is used up: wait, or raise SIGNER_MAX_DAY_SOL.")
    else:
        yield ok("caps", sentence)
    if status.max_fee_lamports < settings.LIVE_MAX_FEE_LAMPORTS:
        yield warn(
            "caps",
            f"Fees: {status.max_fee_lamports:,} lamports at the signer, {settings.LIVE_MAX_FEE_LAMPORTS:,} here.",
            "Make SIGNER_MAX_FEE_LAMPORTS and LIVE_MAX_FEE_LAMPORTS the same.",
        )
    if status.programs or settings.DEMO_DESK:  # the sandbox's venues are all of them Jupiter's one program
        yield ok("programs", f"Swaps may go over {status.programs} venues besides Jupiter's own program.")
    else:
        yield fail(
            "programs", "The signer knows no venue a swap may go over.", "Look at SIGNER_PROGRAMS and its price source."
        )
    for note in status.notes:
        yield warn("programs", note, "Check the id against the provider's list.")
    if status.nodes < 1:
        yield fail("signer", "The signer has no node of its own to check swaps with.", "Set SIGNER_RPC_URLS.")


def wallets(agents: list[Agent]) -> Iterator[Finding]:
    """Look whether each live agent has a wallet the signer can sign for."""
    assigned = {
        wallet.agent_id: wallet.address
        for wallet in Wallet.objects.filter(wallet_type=TradingMode.LIVE, released_at=None, agent__in=agents)
    }
    loaded = set(LiveKey.objects.filter(loaded=True).values_list("address", flat=True))
    for agent in agents:
        address = assigned.get(agent.pk)
        if address is None:
            yield fail("wallets", f"{agent} is live without a live wallet.", "Assign one, or switch it back.")
        elif address not in loaded:
            yield fail("wallets", f"The key of {agent}'s live wallet is not loaded.", "Unlock it in the signer.")
        else:
            yield ok("wallets", f"{agent} trades live with {formatting.address(address)}.")


def limits(agents: list[Agent]) -> Iterator[Finding]:
    """Look whether anything bounds what live agents may lose."""
    rows = LossLimit.objects.filter(trading_mode=TradingMode.LIVE)
    bounded = {row.agent_id for row in rows if row.max_daily_loss_sol is not None or row.max_exposure_sol is not None}
    if None in bounded:
        yield ok("limits", "The desk's live losses or stakes are bounded.")
        return
    for agent in agents:
        if agent.pk not in bounded:
            yield warn("limits", f"Nothing bounds what {agent} may lose live.", "Set loss limits (admin, Loss limits).")

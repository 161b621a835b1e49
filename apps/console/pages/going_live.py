"""What an operator sees and types before an agent trades live: wallet, balance, caps, limits, and whose money it is."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import Any

from django import forms
from django.utils.html import format_html_join
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.agents.models import Agent
from apps.console import place as places
from apps.core import formatting
from apps.core.adminkit import buttons
from apps.core.money import lamports_to_sol
from apps.trading.domain.loss_limits import Bounds
from apps.trading.services import going_live
from apps.trading.services.going_live import Prospect


class GoLiveForm(buttons.ConfirmForm):
    """Typing where the agent will trade is the answer: nobody goes to mainnet by a click."""

    place = forms.CharField(label="Type where it will trade", widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["place"].help_text = f"{self.here.word}, in capital letters." if self.here.is_known else ""

    @cached_property
    def here(self) -> places.Place:
        return places.here()

    @cached_property
    def prospect(self) -> Prospect:
        agent: Any = self.target
        return going_live.look_ahead(agent)

    @property
    def question(self) -> str:
        rows = [*self.facts().items()]
        refusal = self.prospect.refusal
        if refusal is not None:
            rows.append(("In the way", f"{refusal.message} ({refusal.code})"))
        return format_html_join("", '<span class="sd-fact"><b>{}</b> <span>{}</span></span>', rows)

    def facts(self) -> dict[str, str]:
        """Return what is shown, and kept in the audit log when the answer is yes."""
        seen, agent = self.prospect, self.target
        assert isinstance(agent, Agent)  # noqa: S101 - the button belongs to agents
        signer = seen.signer
        return {
            "Cluster": f"{self.here.word}: {self.here.sentence}",
            "Wallet": "none assigned" if seen.wallet is None else seen.wallet.address,
            "Balance in the books": f"{formatting.sol(seen.booked_sol)} SOL",
            "Balance on the chain": _on_chain(seen),
            "Cap of one trade": _signer(signer, "max_trade_lamports"),
            "Cap of a day": _signer(signer, "max_day_lamports"),
            "Spent of it": _signer(signer, "spent_day_lamports"),
            "The agent's limits": _limits(seen.own_limits),
            "The desk's limits": _limits(seen.desk_limits),
            "Signals": "traded at once" if agent.automated_trading_live else "not traded: live automation is paused",
        }

    def clean_place(self) -> str:
        """The word must be the cluster's own, and some node must have told it."""
        if not self.here.is_known:
            raise forms.ValidationError(self.here.sentence)
        typed = str(self.cleaned_data["place"]).strip()
        if typed != self.here.word:
            raise forms.ValidationError(f"This is not where it will trade: the nodes say {self.here.word}.")
        return typed


def _on_chain(seen: Prospect) -> str:
    if seen.wallet is None:
        return "none: no wallet"
    return "no node told" if seen.chain_sol is None else f"{formatting.sol(seen.chain_sol)} SOL"


def _signer(status: Any, name: str) -> str:
    return (
        "the signer does not answer"
        if status is None
        else f"{formatting.sol(lamports_to_sol(getattr(status, name)))} SOL"
    )


def _limits(bounds: Bounds) -> str:
    parts = [
        _bound("at most {} SOL lost a day", bounds.max_daily_loss_sol),
        _bound("at most {} SOL at stake", bounds.max_exposure_sol),
        _bound(
            "{} s of rest after a stop loss",
            None if bounds.cooldown_seconds is None else Decimal(bounds.cooldown_seconds),
        ),
    ]
    return ", ".join(part for part in parts if part) or "none"


def _bound(sentence: str, value: Decimal | None) -> str:
    return "" if value is None else sentence.format(f"{value.normalize():f}")

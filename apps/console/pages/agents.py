"""The agent's whole page: configuration (from `apps.agents`), figures, wallets, positions, verdicts, closed trades."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.datasets import BaseDataset
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget

from apps.accounts.operators import operator_of
from apps.agents import services as agents
from apps.agents.admin import AgentAdmin, automation_badge
from apps.agents.models import Agent, TradingMode
from apps.console import figures
from apps.console.pages import tables
from apps.console.pages.going_live import GoLiveForm
from apps.console.pages.signals import SendSignalForm, send
from apps.core import formatting
from apps.core.adminkit import buttons, cells, columns
from apps.trading import admin as trading
from apps.trading.models import ClosedTrade, Position, SignalExecution, State
from apps.trading.services import going_live
from apps.wallets import admin as wallets
from apps.wallets.models import Balance, LiveKey, Network, Transaction, Wallet
from apps.wallets.services import assignments
from apps.wallets.services.wallets import wallet_for


class LiveWalletForm(buttons.ConfirmForm):
    """Which of the keys the signer has loaded."""

    key = forms.ModelChoiceField(LiveKey.objects.filter(loaded=True), label="Live key", widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["key"]
        choice.label_from_instance = lambda key: (
            f"{key} · {key.address} ({'real' if key.network == Network.MAINNET else 'no real'} money)"
        )


class AgentWallets(tables.OwnedTable, wallets.WalletAdmin):
    owner_path = "agent"
    hidden_columns = ("agent",)


class AgentBalances(tables.OwnedTable, wallets.BalanceAdmin):
    owner_path = "wallet__agent"
    hidden_columns = ("wallet__agent",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Balance]:
        return super().get_queryset(request).filter(wallet__released_at=None, amount__gt=0)


class AgentPositions(tables.OwnedTable, trading.PositionAdmin):
    owner_path = "agent"
    hidden_columns = ("agent", "state")
    actions = ("close_selected",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Position]:
        return super().get_queryset(request).filter(closed_at=None)


class AgentExecutions(tables.OwnedTable, trading.SignalExecutionAdmin):
    owner_path = "agent"
    ordering = ("-created_at", "id")
    hidden_columns = ("agent",)


class AgentTrades(tables.OwnedTable, trading.ClosedTradeAdmin):
    owner_path = "agent"
    hidden_columns = ("agent",)


class AgentTransactions(tables.OwnedTable, wallets.TransactionAdmin):
    owner_path = "agent"
    hidden_columns = ("agent",)


TABS = (
    tables.tab("Open positions", Position, AgentPositions),
    tables.tab("Closed trades", ClosedTrade, AgentTrades),
    tables.tab("Executions", SignalExecution, AgentExecutions),
    tables.tab("Wallets", Wallet, AgentWallets),
    tables.tab("Balances", Balance, AgentBalances),
    tables.tab("Transactions", Transaction, AgentTransactions),
)

admin.site.unregister(Agent)


@admin.register(Agent)
class AgentPage(AgentAdmin):
    list_display = (
        "name",
        columns.link("user", "Owner", order="user__email"),
        columns.badge("trading_mode", "Mode", TradingMode),
        columns.column("Automation", lambda agent: automation_badge(agent), name="automation"),
        columns.column("Trading", lambda agent: trading_badge(agent), name="trading"),
        columns.count("state__open_positions", "Open positions"),
        columns.sol("sim_sol", "Simulated SOL", order="sim_sol"),
        columns.when("created_at", "Created"),
    )
    list_select_related = ("user", "state", "trading_state")
    actions_row = ("pause", "resume", "deposit", "switch_trading")
    actions_detail = (
        "deposit",
        "send_test_signal",
        "switch_trading",
        {
            "title": "More",
            "icon": "more_vert",
            "method_name": "more",
            "items": ["pause", "resume", "assign_wallet", "go_live", "go_back", "reset_config", "archive"],
        },
    )
    change_form_outer_before_template = "admin/soldesk/agent_summary.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        rows = super().get_queryset(request)
        return rows.annotate(sim_sol=wallets.simulated_sol_of("pk"))

    def get_changeform_datasets(self, request: HttpRequest) -> list[type[BaseDataset]]:
        return tables.visible(request, TABS)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        agent = self.get_object(request, object_id)
        summary: dict[str, Any] = {"show_save_and_add_another": False}
        if agent is not None:
            summary |= {
                "summary": figures.money(agent.pk),
                "agent": agent,
                "unready": going_live.find_unready(agent),
            }
        response: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **summary})
        return response

    def has_deposit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("wallets.change_wallet")

    def has_signal_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("signals.add_tradingsignal")

    def has_switch_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("trading.change_tradingstate")

    @buttons.button(
        title="Deposit SOL",
        description="Credits simulated SOL to this agent's simulation wallet.",
        submit="Deposit",
        form=wallets.DepositForm,
        icon="add_card",
        variant=ActionVariant.PRIMARY,
        permission="deposit",
    )
    def deposit(self, request: HttpRequest, agent: Agent, values: dict[str, Any]) -> str:
        wallet = Wallet.objects.filter(agent=agent, wallet_type=TradingMode.SIMULATION, released_at=None).first()
        return wallets.deposit_sol(request, wallet or wallet_for(agent=agent), values["amount"])

    @buttons.button(
        title="Assign a live wallet",
        description="A live wallet it has makes room and leaves its books behind, unless it has positions open.",
        submit="Assign",
        form=LiveWalletForm,
        icon="account_balance_wallet",
        permission="deposit",
    )
    def assign_wallet(self, request: HttpRequest, agent: Agent, values: dict[str, Any]) -> str:
        key = values["key"]
        assignments.assign_wallet(
            agent=agent, address=key.address, wallet_type=TradingMode.LIVE, actor=operator_of(request)
        )
        return f"{agent} trades live with {formatting.address(key.address)} from now on, once its mode is live."

    @buttons.button(
        title="Go live",
        description="From now on this agent buys with the money of its live wallet.",
        submit="Trade live",
        form=GoLiveForm,
        icon="bolt",
        variant=ActionVariant.DANGER,
    )
    def go_live(self, request: HttpRequest, agent: Agent, values: dict[str, Any]) -> str:
        seen = GoLiveForm(request=request, target=agent).facts()
        going_live.go_live(agent=agent, actor=operator_of(request), seen=seen)
        return f"{agent} trades live on {values['place']} now."

    @buttons.button(
        title="Back to simulation",
        description="Nothing is bought live any more. Open live positions stay watched in their wallet, exits on.",
        submit="Back to simulation",
        icon="science",
    )
    def go_back(self, request: HttpRequest, agent: Agent, _: dict[str, Any]) -> str:
        agents.update_agent(agent=agent, actor=operator_of(request), trading_mode=TradingMode.SIMULATION)
        return f"{agent} trades with simulated money now."

    @buttons.button(
        title="Send test signal",
        description="Every agent of the owner decides on it, not this one alone.",
        submit="Send",
        form=SendSignalForm,
        icon="sensors",
        permission="signal",
    )
    def send_test_signal(self, request: HttpRequest, agent: Agent, values: dict[str, Any]) -> str:
        return send(request, values)

    @buttons.button(
        title="Trading state",
        description="Counts beside the desk's: the stricter of the two holds.",
        submit="Switch",
        form=trading.StateForm,
        icon="emergency_home",
        dangerous=True,
        permission="switch",
    )
    def switch_trading(self, request: HttpRequest, agent: Agent, values: dict[str, Any]) -> str:
        return trading.switch(request, values, agent=agent)


def trading_badge(agent: Agent) -> Any:
    """The agent's own switch; no row means active."""
    state = columns.value_at(agent, "trading_state")
    return cells.badge(State(state.state) if state is not None else State.ACTIVE)

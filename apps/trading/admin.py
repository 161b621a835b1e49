"""What the engine decided and holds: verdicts, positions, closed trades, snapshots, and the off switch.

What the watch wrote is in `admin_exits`. Rows are read-only. Closing a position and switching trading are buttons that
call the services the API calls.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Case, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesCheckboxFilter,
    RangeDateTimeFilter,
    RangeNumericFilter,
)
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.accounts.operators import operator_of
from apps.core import formatting
from apps.core.adminkit import base, buttons, cells, columns
from apps.prices.models import Tick
from apps.trading import admin_dead_tokens as dead_token_pages  # noqa: F401 - registers its pages
from apps.trading import admin_exits as exits_pages  # noqa: F401 - registers its pages
from apps.trading import admin_figures as figures
from apps.trading import admin_limits as limits_pages  # noqa: F401 - registers its pages
from apps.trading import admin_order_cells as order_cells
from apps.trading import admin_orders as orders_pages  # noqa: F401 - registers its pages
from apps.trading import admin_story as stories
from apps.trading import errors
from apps.trading.admin_hand_trades import HandTradeButtons
from apps.trading.models import (
    BalanceSnapshot,
    ClosedTrade,
    CloseReason,
    Position,
    SignalExecution,
    State,
    TradingState,
    Verdict,
)
from apps.trading.services import exits, trading_state
from apps.wallets.models import Transaction

#: A page waits this long for a sale to tell its result; after that the worker is left to it.
CLOSE_WAIT_SECONDS = 1.5

#: Tabs of a position's page.
TAB: dict[str, Any] = {"classes": ["tab"]}
BOOKS = (
    "purchase_price",
    "purchase_amount",
    "remaining_amount",
    "total_invested_sol",
    "remaining_cost_sol",
    "proceeds_sol",
    "realized_profit_sol",
    "generation",
)
RULES = (
    "stop_percent",
    "stop_price_sol",
    "stop_updated_at",
    "peak_price_sol",
    "peak_from_tick",
    "peak_generation",
    "lowest_price_sol",
    "take_profit_levels_hit",
    "take_profit_start_level",
    "take_profit_total_levels",
    "last_take_profit_at",
    "moon_bag_activated",
    "moon_bag_amount",
    "dca_count",
    "last_dca_at",
)
RECORD = (
    "id",
    "agent",
    "wallet",
    "epoch",
    "mint",
    "symbol",
    "decimals",
    "signal",
    "purchase_transaction",
    "opened_at",
    "closed_at",
    "close_reason",
    "created_at",
    "updated_at",
)


class StateForm(buttons.ConfirmForm):
    """What trading may do from now on, and why."""

    state = forms.ChoiceField(choices=State.choices, widget=UnfoldAdminRadioSelectWidget)
    exits_enabled = forms.BooleanField(
        label="Positions may still be sold",
        required=False,
        initial=True,
        help_text="Counts while halted. Off also holds back stop losses: nothing is sold at all.",
        widget=UnfoldBooleanSwitchWidget,
    )
    reason = forms.CharField(
        max_length=200,
        required=False,
        help_text="Kept in the audit log and shown on the home page.",
        widget=UnfoldAdminTextInputWidget,
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("state") in (State.HALTED, State.REDUCING) and not values.get("reason"):
            self.add_error("reason", "Say why: whoever comes next must know when to switch it back.")
        return values


class CloseForm(buttons.ConfirmForm):
    """Tells what is about to be sold."""

    @property
    def question(self) -> str:
        position: Any = self.target
        held = f"{formatting.amount(position.remaining_amount)} {position.symbol} of {position.agent}"
        if figures.mark_of(position).is_fill:
            return f"{held}; no price is known since its last fill."
        profit = formatting.sol(figures.profit_of(position), signed=True)
        return f"{held}; at the newest price the profit would be {profit} SOL."


def switch(request: HttpRequest, values: dict[str, Any], agent: Any = None) -> str:
    """Set the trading state of one agent, or of the desk, and tell so."""
    trading_state.set_state(
        agent=agent,
        state=values["state"],
        exits_enabled=values["exits_enabled"],
        reason=values["reason"],
        actor=operator_of(request),
    )
    what = "The desk" if agent is None else str(agent)
    exits_are = "" if values["state"] != State.HALTED else f", exits {'on' if values['exits_enabled'] else 'off'}"
    return f"{what} is {State(values['state']).label.partition(':')[0].lower()} now{exits_are}."


def with_mark(rows: QuerySet[Position]) -> QuerySet[Position]:
    """Add what each position is valued at: its token's newest price and its own last fill, by indexed look-ups."""
    newest = Tick.objects.filter(mint=OuterRef("mint")).order_by("-id")
    later_fills = Transaction.objects.filter(Q(is_dca=True) | Q(is_take_profit=True), position=OuterRef("pk"))
    last_fill = later_fills.order_by("-transaction_time", "-id")
    return rows.annotate(
        last_price_sol=Subquery(newest.values("price_sol")[:1]),
        last_price_at=Subquery(newest.values(at=Coalesce("provider_at", "received_at"))[:1]),
        last_fill_price_sol=Subquery(
            last_fill.values(price=Case(When(is_dca=True, then="output_price"), default="input_price"))[:1]
        ),
        last_fill_at=Subquery(last_fill.values("transaction_time")[:1]),
    )


def shows_open_only(request: HttpRequest) -> bool:
    """Whether a list of positions is the open ones': it is unless a state or a close reason was asked for."""
    return not any(name == StateFilter.parameter_name or name.startswith("close_reason") for name in request.GET)


class StateFilter(admin.SimpleListFilter):
    """Closed positions are out of sight unless asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("closed", "Closed"), ("all", "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Position]) -> QuerySet[Position]:
        if self.value() == "closed":
            return queryset.exclude(closed_at=None)
        return queryset.filter(closed_at=None) if shows_open_only(request) else queryset

    def choices(self, changelist: Any) -> Any:
        choices = list(super().choices(changelist))
        choices[0]["display"] = "Open"
        return iter(choices)


@admin.register(Position)
class PositionAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.token(),
        columns.link("agent", "Agent", order="agent__name"),
        columns.column("State", lambda row: figures.state_badge(row), name="state", order="closed_at"),
        columns.amount("remaining_amount", "Held"),
        columns.price("purchase_price", "Bought at"),
        columns.column("Price now", lambda row: figures.price_now(row), name="num_price_now"),
        columns.column("Value", lambda row: cells.sol(figures.value_of(row)), name="num_value"),
        columns.column("P/L", lambda row: figures.profit_cell(row), name="num_profit"),
        columns.column("Stop", lambda row: figures.stop_of(row), name="num_stop", order="stop_price_sol"),
        columns.when("opened_at", "Opened"),
    )
    list_filter = (
        StateFilter,
        ("close_reason", ChoicesCheckboxFilter),
        ("wallet__wallet_type", ChoicesCheckboxFilter),
        ("agent", AutocompleteSelectFilter),
        ("opened_at", RangeDateTimeFilter),
    )
    list_select_related = ("agent",)
    search_fields = ("symbol", "=mint", "agent__name", "=id")
    search_help_text = "Symbol, whole mint, agent or id"
    date_hierarchy = "opened_at"
    actions = ("close_selected",)
    actions_row = ("close_position",)
    actions_detail = ("close_position",)
    fieldsets = (
        ("Story", {"fields": (columns.column("Story", lambda row: stories.story_of(row), name="story"),), **TAB}),
        ("Books", {"fields": BOOKS, **TAB}),
        ("Rules", {"fields": RULES, **TAB}),
        ("Record", {"fields": RECORD, **TAB}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Position]:
        return with_mark(super().get_queryset(request))

    def get_list_display(self, request: HttpRequest) -> Any:
        """A list of open positions need not say of each that it is open."""
        shown = super().get_list_display(request)
        return [item for item in shown if item.__name__ != "state"] if shows_open_only(request) else shown

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("trading.change_position")

    @buttons.button(
        title="Close position",
        description="Sells everything that is left at the market's price. This cannot be taken back.",
        submit="Sell everything",
        form=CloseForm,
        icon="sell",
        variant=ActionVariant.DANGER,
        path="close",
    )
    def close_position(self, request: HttpRequest, position: Position, _: dict[str, Any]) -> str:
        what = f"{position.symbol} of {position.agent}"
        intent = exits.request_close(position=position, reason=CloseReason.MANUAL, actor=operator_of(request))
        try:
            sold = exits.wait_for_close(intent=intent, timeout_seconds=CLOSE_WAIT_SECONDS)
        except errors.ClosePending:
            return f"{what} is being sold; the close stays due until it is (intent #{intent.pk})."
        profit = formatting.sol(sold.profit_loss_sol, signed=True)
        return f"{what} was sold for {formatting.sol(sold.output_amount)} SOL: {profit} SOL."

    @admin.action(description="Close selected positions", permissions=["operate"])
    def close_selected(self, request: HttpRequest, rows: QuerySet[Position]) -> HttpResponse | None:
        open_rows = rows.filter(closed_at=None).select_related("agent")
        page = buttons.confirm_selected(
            self,
            request,
            open_rows,
            action="close_selected",
            title="Close positions",
            question="Everything left of these positions is sold at the market's price. This cannot be taken back.",
            submit="Sell everything",
        )
        if page is None:
            buttons.run_each(
                self,
                request,
                open_rows,
                lambda row: exits.request_close(position=row, reason=CloseReason.MANUAL, actor=operator_of(request)),
                "{count} positions are being sold.",
            )
        return page


@admin.register(SignalExecution)
class SignalExecutionAdmin(base.LongTableAdmin):
    list_display = (
        columns.column(
            "Signal", lambda row: cells.link(row.signal, f"#{row.signal_id}"), name="signal", order="signal_id"
        ),
        columns.token(mint="signal__token_address", symbol="signal__symbol", order=""),
        columns.link("agent", "Agent", order=""),
        columns.badge("verdict", "Verdict", Verdict),
        columns.column("Reasons", lambda row: figures.reasons(row), name="reasons"),
        columns.column("Position", lambda row: cells.link(row.position, "open"), name="position"),
        columns.when("created_at", "Decided"),
        columns.column("After", lambda row: figures.decision_delay(row), name="num_delay"),
    )
    list_filter = (
        ("verdict", ChoicesCheckboxFilter),
        "code",
        ("agent", AutocompleteSelectFilter),
        ("created_at", RangeDateTimeFilter),
    )
    list_select_related = ("agent", "signal", "position")
    search_fields = ("=signal__id", "signal__symbol", "=signal__token_address", "agent__name", "code")
    search_help_text = "Signal number, symbol, whole mint, agent or code"
    # Newest first along the unique index: this is the longest table of the desk.
    ordering = ("-signal_id", "-agent_id")
    fields = (
        columns.column("In words", lambda row: order_cells.reasons(row), name="in_words"),
        columns.column("Live order", lambda row: order_cells.order_link(row), name="live_order"),
        columns.column(
            "Token safety", lambda row: order_cells.evidence(order_cells.order_of(row)), name="token_safety"
        ),
        *(field.name for field in SignalExecution._meta.concrete_fields),
    )


@admin.register(ClosedTrade)
class ClosedTradeAdmin(HandTradeButtons, base.ReadOnlyAdmin):
    list_display = (
        columns.token(),
        columns.link("agent", "Agent", order="agent__name"),
        columns.badge("close_reason", "Why", CloseReason),
        columns.amount("amount", "Amount"),
        columns.price("purchase_price", "Bought at"),
        columns.price("sale_price", "Sold at"),
        columns.column("Profit", lambda row: figures.trade_profit(row), name="num_profit", order="profit_sol"),
        columns.usd("profit_usd", "In USD", signed=True),
        columns.column("Held for", lambda row: figures.held_for(row), name="num_held"),
        columns.when("sale_time", "Closed"),
        columns.column("Origin", lambda row: figures.origin_badge(row), name="origin", order="origin"),
    )
    list_filter = (
        ("close_reason", ChoicesCheckboxFilter),
        ("origin", ChoicesCheckboxFilter),
        ("deleted_at", admin.EmptyFieldListFilter),
        ("profit_sol", RangeNumericFilter),
        ("wallet__wallet_type", ChoicesCheckboxFilter),
        ("agent", AutocompleteSelectFilter),
        ("sale_time", RangeDateTimeFilter),
    )
    list_select_related = ("agent",)
    search_fields = ("symbol", "=mint", "agent__name", "=id")
    search_help_text = "Symbol, whole mint, agent or id"
    date_hierarchy = "sale_time"


@admin.register(BalanceSnapshot)
class BalanceSnapshotAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.when("hour", "Hour"),
        columns.link("agent", "Agent", order="agent__name"),
        columns.sol("portfolio_sol", "Portfolio"),
        columns.sol("sol_balance", "SOL"),
        columns.sol("positions_value_sol", "Positions"),
        columns.sol("unrealized_profit_sol", "Unrealised", signed=True),
        columns.flag("estimated", "Estimated"),
    )
    list_filter = ("estimated", ("agent", AutocompleteSelectFilter), ("hour", RangeDateTimeFilter))
    list_select_related = ("agent",)
    search_fields = ("agent__name", "wallet__address")
    date_hierarchy = "hour"
    ordering = ("-hour", "id")


@admin.register(TradingState)
class TradingStateAdmin(base.ReadOnlyAdmin):
    """The switches. An agent without a row is active."""

    list_display = (
        columns.column("What", lambda row: "The whole desk" if row.agent_id is None else str(row.agent), name="what"),
        columns.badge("state", "State", State),
        columns.column("Exits", lambda row: figures.exits_badge(row), name="exits"),
        "reason",
        columns.when("updated_at", "Since"),
    )
    list_filter = (("state", ChoicesCheckboxFilter),)
    list_select_related = ("agent",)
    search_fields = ("agent__name", "reason")
    ordering = ("-agent_id",)
    actions_list = ("switch_desk",)
    actions_row = ("switch_this",)

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("trading.change_tradingstate")

    @buttons.button(
        title="Switch the desk",
        description="Holds for every agent from the moment this returns.",
        submit="Switch",
        form=StateForm,
        icon="emergency_home",
        variant=ActionVariant.DANGER,
    )
    def switch_desk(self, request: HttpRequest, _: None, values: dict[str, Any]) -> str:
        return switch(request, values)

    @buttons.button(
        title="Switch", submit="Switch", form=StateForm, icon="emergency_home", variant=ActionVariant.DANGER
    )
    def switch_this(self, request: HttpRequest, row: TradingState, values: dict[str, Any]) -> str:
        return switch(request, values, agent=row.agent)

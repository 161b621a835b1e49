"""Loss limits with what is used of them, and what agents' live buys let pass of what makes a token dangerous.

`apps.trading.admin` imports this, so that Django finds it. Both are changed by buttons that call the services.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesCheckboxFilter
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget
from unfold.widgets import UnfoldBooleanSwitchWidget as Switch

from apps.accounts.operators import operator_of
from apps.agents.models import Agent, TradingMode
from apps.core import formatting
from apps.core.adminkit import base, buttons, cells, columns
from apps.core.money import ZERO
from apps.trading.domain.loss_limits import Bounds
from apps.trading.domain.token_safety import Policy
from apps.trading.models import LossLimit, RealisedToday, TokenSafetyPolicy
from apps.trading.services import loss_limits, token_policies

_FIGURES = tuple(item.name for item in fields(Bounds))
_ALLOWANCES = tuple(item.name for item in fields(Policy))


def _help(model: type[Model], name: str) -> str:
    return str(getattr(model._meta.get_field(name), "help_text", ""))


class BoundsForm(buttons.ConfirmForm):
    """What the limits are; an empty figure is no limit. A row there is says itself whose they are."""

    max_daily_loss_sol = forms.DecimalField(
        label="Daily loss (SOL)",
        required=False,
        max_digits=29,
        decimal_places=9,
        help_text=_help(LossLimit, "max_daily_loss_sol"),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    max_exposure_sol = forms.DecimalField(
        label="At stake (SOL)",
        required=False,
        max_digits=29,
        decimal_places=9,
        help_text=_help(LossLimit, "max_exposure_sol"),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    cooldown_seconds = forms.IntegerField(
        label="Cooldown (seconds)",
        required=False,
        help_text=_help(LossLimit, "cooldown_seconds"),
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in _FIGURES:
            self.fields[name].initial = getattr(self.target, name, None)


class LimitForm(BoundsForm):
    """Whose limits, in which mode, and what they are."""

    agent = forms.ModelChoiceField(
        Agent.objects.filter(archived_at=None).order_by("name"),
        required=False,
        empty_label="The whole desk",
        widget=UnfoldAdminSelectWidget,
    )
    trading_mode = forms.ChoiceField(
        choices=TradingMode.choices, initial=TradingMode.LIVE, label="Mode", widget=UnfoldAdminSelectWidget
    )
    field_order = ("agent", "trading_mode", *_FIGURES)


class PolicyForm(buttons.ConfirmForm):
    """Whose live buys, and what they let pass; everything off is the strictest."""

    agent = forms.ModelChoiceField(
        Agent.objects.filter(archived_at=None).order_by("name"), widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, value in asdict(Policy() if self.target is None else self._present(self.target)).items():
            self.fields[name] = _field_of(name, value)
        if self.target is not None:
            del self.fields["agent"]

    @staticmethod
    def _present(row: Any) -> Policy:
        return token_policies.policy_of(row)


def _field_of(name: str, value: Any) -> forms.Field:
    help_text, label = _help(TokenSafetyPolicy, name), name.replace("_", " ").capitalize()
    if isinstance(value, bool):
        return forms.BooleanField(label=label, required=False, initial=value, help_text=help_text, widget=Switch)
    if isinstance(value, int):
        return forms.IntegerField(label=label, initial=value, help_text=help_text, widget=UnfoldAdminIntegerFieldWidget)
    return forms.DecimalField(
        label=label, initial=value.normalize(), help_text=help_text, widget=UnfoldAdminDecimalFieldWidget
    )


def _against(used: Any, limit: Any, *, reached: bool) -> Any:
    """Return what is used beside its limit, marked once the limit bars buying."""
    figure = cells.sol(used)
    if limit is None:
        return cells.stacked(figure, cells.label("no limit"))
    return cells.stacked(figure, cells.label(f"of {formatting.sol(limit)}", "danger" if reached else "muted"))


def _loss(row: Any) -> Any:
    lost = max(ZERO, row.realised_today_sol.copy_negate())
    limit = row.max_daily_loss_sol
    return _against(lost, limit, reached=limit is not None and lost >= limit)


def _exposure(row: Any) -> Any:
    limit = row.max_exposure_sol
    return _against(row.exposure_sol, limit, reached=limit is not None and row.exposure_sol >= limit)


def _cooldown(row: Any) -> Any:
    if row.cooldown_seconds is None:
        return cells.label("none")
    left = 0 if row.seconds_since_stop is None else row.cooldown_seconds - row.seconds_since_stop
    if left > 0:
        return cells.label(f"{formatting.duration(left)} left", "danger")
    return cells.label(formatting.duration(row.cooldown_seconds))


@admin.register(LossLimit)
class LossLimitAdmin(base.ReadOnlyAdmin):
    """What bars buying when too much was lost or is at stake. Sales never ask."""

    list_display = (
        columns.column("Whose", lambda row: "The whole desk" if row.agent_id is None else str(row.agent), name="whose"),
        columns.badge("trading_mode", "Mode", TradingMode),
        columns.column("Lost today (UTC)", _loss, name="num_loss"),
        columns.column("At stake", _exposure, name="num_exposure"),
        columns.column("Cooldown after a stop", _cooldown, name="cooldown"),
        columns.words("told_code", "Last told"),
        columns.when("updated_at", "Set"),
    )
    list_filter = (("trading_mode", ChoicesCheckboxFilter), ("agent", AutocompleteSelectFilter))
    list_select_related = ("agent",)
    search_fields = ("agent__name",)
    actions_list = ("set_limits",)
    actions_row = ("change_limits", "lift_limits")
    actions_detail = ("change_limits", "lift_limits")

    def get_queryset(self, request: HttpRequest) -> QuerySet[LossLimit]:
        return loss_limits.with_use(super().get_queryset(request))

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("trading.change_losslimit")

    @buttons.button(
        title="Set limits",
        description="Holds from the moment this returns, for buys alone: every exit goes on.",
        submit="Set",
        form=LimitForm,
        icon="shield",
        variant=ActionVariant.PRIMARY,
    )
    def set_limits(self, request: HttpRequest, _: None, values: dict[str, Any]) -> str:
        return _limit(request, values["agent"], values["trading_mode"], values)

    @buttons.button(title="Change", submit="Set", form=BoundsForm, icon="edit")
    def change_limits(self, request: HttpRequest, row: LossLimit, values: dict[str, Any]) -> str:
        return _limit(request, row.agent, row.trading_mode, values)

    @buttons.button(
        title="Lift",
        description="Nothing bounds losses and exposure here any more.",
        submit="Lift",
        icon="remove_moderator",
        variant=ActionVariant.DANGER,
        path="lift",
    )
    def lift_limits(self, request: HttpRequest, row: LossLimit, _: dict[str, Any]) -> Any:
        _limit(request, row.agent, row.trading_mode, {})
        self.message_user(request, f"{row} has no limits any more.")
        return buttons.go_to_list(self, request)


def _limit(request: HttpRequest, agent: Agent | None, trading_mode: str, values: dict[str, Any]) -> str:
    bounds = Bounds(**{name: values.get(name) for name in _FIGURES})
    loss_limits.set_limit(agent=agent, trading_mode=trading_mode, bounds=bounds, actor=operator_of(request))
    return f"{'The desk' if agent is None else agent} has new limits in {trading_mode} mode."


@admin.register(RealisedToday)
class RealisedTodayAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.link("agent", "Agent", order="agent__name"),
        columns.badge("trading_mode", "Mode", TradingMode),
        "day",
        columns.sol("profit_sol", "Realised", signed=True),
    )
    list_filter = (("trading_mode", ChoicesCheckboxFilter), "day")
    list_select_related = ("agent",)
    search_fields = ("agent__name",)
    ordering = ("-day", "profit_sol", "id")


@admin.register(TokenSafetyPolicy)
class TokenSafetyPolicyAdmin(base.ReadOnlyAdmin):
    """Agents that let something pass; the others are as strict as can be."""

    list_display = (
        columns.link("agent", "Agent", order="agent__name"),
        columns.column("Lets pass", lambda row: cells.words(_allowed(row)) or cells.DASH, name="allowed"),
        columns.count("max_transfer_fee_bps", "Transfer fee (bps)"),
        columns.percent("max_price_gap_percent", "Price gap"),
        columns.percent("max_round_trip_loss_percent", "Round trip"),
        columns.when("updated_at", "Set"),
    )
    list_select_related = ("agent",)
    search_fields = ("agent__name",)
    ordering = ("agent__name", "id")
    actions_list = ("set_policy",)
    actions_row = ("change_policy",)
    actions_detail = ("change_policy",)

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("trading.change_tokensafetypolicy")

    @buttons.button(
        title="Set an agent's token safety",
        description="What is switched on is no longer a reason to refuse a live buy.",
        submit="Set",
        form=PolicyForm,
        icon="gpp_maybe",
        variant=ActionVariant.WARNING,
    )
    def set_policy(self, request: HttpRequest, _: None, values: dict[str, Any]) -> str:
        return _set_policy(request, values["agent"], values)

    @buttons.button(
        title="Change",
        description="What is switched on is no longer a reason to refuse a live buy.",
        submit="Set",
        form=PolicyForm,
        icon="edit",
        variant=ActionVariant.WARNING,
    )
    def change_policy(self, request: HttpRequest, row: TokenSafetyPolicy, values: dict[str, Any]) -> str:
        return _set_policy(request, row.agent, values)


def _allowed(row: TokenSafetyPolicy) -> list[str]:
    names = (name for name in _ALLOWANCES if name.startswith("allow_") and getattr(row, name))
    return [name.removeprefix("allow_").replace("_", " ") for name in names]


def _set_policy(request: HttpRequest, agent: Agent, values: dict[str, Any]) -> str:
    changes = {name: values[name] for name in _ALLOWANCES}
    token_policies.set_policy(agent=agent, changes=changes, actor=operator_of(request))
    return f"Live buys of {agent} are judged by this from now on."

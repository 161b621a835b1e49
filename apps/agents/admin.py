"""The agent's own page: its facts and its trading configuration as a form; automation on and off; archiving.

What other apps know of an agent (wallets, positions, verdicts, trades) is added by `apps.console.pages.agents`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesCheckboxFilter
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.accounts.operators import operator_of
from apps.agents import services as agents
from apps.agents.domain import trading_config
from apps.agents.domain.field_spec import FieldSpec, Kind
from apps.agents.forms import AgentForm, field_name
from apps.agents.models import Agent, AgentState, TradingMode
from apps.core.adminkit import base, buttons, cells, columns

#: What the form changes; the mode has a button that asks (`console.pages.going_live`).
SWITCHES = ("name", "automated_trading_simulation", "automated_trading_live")


class ArchivedFilter(admin.SimpleListFilter):
    """Archived agents are out of sight unless asked for."""

    title = "archived"
    parameter_name = "archived"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("yes", "Archived"), ("all", "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Agent]) -> QuerySet[Agent]:
        wanted = self.value()
        return queryset if wanted == "all" else queryset.filter(archived_at__isnull=wanted != "yes")

    def choices(self, changelist: Any) -> Any:
        choices = list(super().choices(changelist))
        choices[0]["display"] = "In use"
        return iter(choices)


class NewAgentForm(forms.ModelForm):
    """Whose agent, its name and mode; the configuration starts from the defaults."""

    class Meta:
        model = Agent
        fields = ("user", "name", "trading_mode")
        widgets = {
            "name": UnfoldAdminTextInputWidget({"minlength": 3}),
            "trading_mode": UnfoldAdminSelectWidget(choices=TradingMode.choices),
        }


@admin.register(Agent)
class AgentAdmin(base.DeskAdmin):
    form = AgentForm
    list_display: Sequence[Any] = (
        "name",
        columns.link("user", "Owner", order="user__email"),
        columns.badge("trading_mode", "Mode", TradingMode),
        columns.column("Automation", lambda agent: automation_badge(agent), name="automation"),
        columns.column(
            "Positions", lambda agent: open_positions(agent), name="num_open", order="state__open_positions"
        ),
        columns.when("created_at", "Created"),
    )
    list_filter = (
        ArchivedFilter,
        ("trading_mode", ChoicesCheckboxFilter),
        "automated_trading_simulation",
        "automated_trading_live",
        ("user", AutocompleteSelectFilter),
    )
    list_select_related: Sequence[str] = ("user", "state")
    search_fields = ("name", "user__email", "=id")
    search_help_text = "Name, owner or id"
    lines = ("trading_mode", "user", "created_at", "updated_at", "archived_at")
    actions = ("pause_selected", "resume_selected")
    actions_row: Sequence[str] = ("pause", "resume")
    actions_detail: Sequence[Any] = ("pause", "resume", "reset_config", "archive")
    add_fieldsets = ((None, {"fields": ("user", "name", "trading_mode")}),)
    conditional_fields = {
        field_name(
            f"{section}.{levels}"
        ): f"{field_name(section)}__mode == 'custom' || $el.classList.contains('errors')"
        for section, levels in (("stopLoss", "trailingLevels"), ("dca", "levels"), ("takeProfit", "levels"))
    }

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = NewAgentForm
            kwargs["fields"] = NewAgentForm.Meta.fields
        elif self.has_change_permission(request, obj):
            kwargs["fields"] = SWITCHES
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        general = [
            "name",
            "automated_trading_simulation",
            "automated_trading_live",
            *(self.written(name) for name in self.lines),
        ]
        if not self.has_change_permission(request, obj):
            return [(None, {"fields": [*general, CONFIGURATION]})]
        return [
            ("Agent", {"fields": general, "classes": ["tab"]}),
            *(
                (
                    section.label,
                    {
                        "fields": _rows(trading_config.fields_of(section.path)),
                        "classes": ["tab"],
                        "description": section.help_text,
                    },
                )
                for section in trading_config.SECTIONS
            ),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        return [*super().get_readonly_fields(request, obj), CONFIGURATION]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An archived agent is only read."""
        return super().has_change_permission(request, obj) and getattr(obj, "archived_at", None) is None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Agents are archived: their books stay."""
        return False

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("agents.change_agent")

    def save_model(self, request: HttpRequest, obj: Agent, form: Any, change: bool) -> None:
        """Make or change the agent through its services, which write the audit log."""
        actor = operator_of(request)
        if not change:
            made = agents.create_agent(user=obj.user, name=obj.name, trading_mode=obj.trading_mode, actor=actor)
            obj.__dict__.update(made.__dict__)
            return
        changed = {name: form.cleaned_data[name] for name in SWITCHES if name in form.changed_data}
        if changed:
            agents.update_agent(agent=obj, actor=actor, **changed)
        patch = form.patch()
        if patch:
            agents.update_config(agent=obj, patch=patch, actor=actor)

    @buttons.button(
        title="Pause automation",
        description="No signal is traded, no position added to. Open ones keep stops, take profit and stale close.",
        submit="Pause",
        icon="pause",
    )
    def pause(self, request: HttpRequest, agent: Agent, _: dict[str, Any]) -> str:
        return automate(request, agent, on=False)

    @buttons.button(
        title="Resume automation",
        description="Signals are traded again from now on; those that came meanwhile are not caught up.",
        submit="Resume",
        icon="play_arrow",
    )
    def resume(self, request: HttpRequest, agent: Agent, _: dict[str, Any]) -> str:
        return automate(request, agent, on=True)

    @buttons.button(
        title="Reset configuration",
        description="Every rule goes back to its default. It applies to open positions from the next price on.",
        submit="Reset to defaults",
        icon="restart_alt",
        variant=ActionVariant.WARNING,
    )
    def reset_config(self, request: HttpRequest, agent: Agent, _: dict[str, Any]) -> str:
        agents.update_config(agent=agent, patch=None, actor=operator_of(request))
        return f"{agent} trades by the default configuration now."

    @buttons.button(
        title="Archive",
        description="Takes the agent out of use for good. Its simulated positions are closed; its books stay.",
        submit="Archive",
        icon="archive",
        variant=ActionVariant.DANGER,
    )
    def archive(self, request: HttpRequest, agent: Agent, _: dict[str, Any]) -> str:
        agents.archive_agent(agent=agent, actor=operator_of(request))
        return f"{agent} is archived."

    @admin.action(description="Pause automation", permissions=["operate"])
    def pause_selected(self, request: HttpRequest, rows: QuerySet[Agent]) -> HttpResponse | None:
        buttons.run_each(
            self,
            request,
            rows,
            lambda agent: automate(request, agent, on=False),
            "{count} agents paused; their stops and other exits go on.",
        )
        return None

    @admin.action(description="Resume automation", permissions=["operate"])
    def resume_selected(self, request: HttpRequest, rows: QuerySet[Agent]) -> HttpResponse | None:
        buttons.run_each(
            self, request, rows, lambda agent: automate(request, agent, on=True), "{count} agents resumed."
        )
        return None


@admin.register(AgentState)
class AgentStateAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.link("agent", "Agent", order="agent__name"),
        columns.count("open_positions", "Open positions"),
        columns.count("max_open_positions", "Limit"),
        columns.count("feed_sequence", "Feed sequence"),
    )
    list_display_links = None
    list_select_related = ("agent",)
    search_fields = ("agent__name",)
    ordering = ("-open_positions", "agent_id")


def automate(request: HttpRequest, agent: Agent, *, on: bool) -> str:
    """Switch automation of the agent's present mode, and tell so."""
    live = agent.trading_mode == TradingMode.LIVE
    agents.update_agent(
        agent=agent,
        actor=operator_of(request),
        automated_trading_live=on if live else None,
        automated_trading_simulation=None if live else on,
    )
    what = "trades signals again" if on else "is paused: no new trades, no DCA; its stops and other exits go on"
    return f"{agent} {what} ({agent.trading_mode})."


def automation_badge(agent: Agent) -> Any:
    if agent.archived_at is not None:
        return cells.label("archived")
    if agent.automated:
        return cells.label("on", "success")
    return cells.label("paused", "warning", title="No entries and no DCA; stops and other exits go on")


def open_positions(agent: Agent) -> Any:
    state = columns.value_at(agent, "state")
    if state is None:
        return cells.DASH
    return cells.number(state.open_positions, f"{state.open_positions} / {state.max_open_positions}")


CONFIGURATION = columns.column(
    "Trading configuration",
    lambda agent: cells.document(trading_config.shown(trading_config.effective(agent.trading_config))),
    name="configuration",
)


def _rows(specs: tuple[FieldSpec, ...]) -> list[Any]:
    """Return the form's lines: a lower and an upper bound share one."""
    rows: list[Any] = []
    for spec in specs:
        name = field_name(spec.path)
        if rows and isinstance(rows[-1], str) and _is_upper_of(rows[-1], name) and spec.kind is not Kind.LEVEL_LIST:
            rows[-1] = (rows[-1], name)
        else:
            rows.append(name)
    return rows


def _is_upper_of(lower: str, name: str) -> bool:
    """Whether two fields are the two ends of a range.

    >>> _is_upper_of("config__signals__marketCapMin", "config__signals__marketCapMax")
    True
    """
    return any(name == lower.replace(low, high) != lower for low, high in (("Min", "Max"), ("__min", "__max")))

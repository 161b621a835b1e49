"""The agent's page as a form: name, mode, switches, and the whole trading configuration.

Fields are made from the declared table (`domain.trading_config.FIELDS`); what is wrong is found by the domain's own
rules and shown at the field, the level or the line it belongs to. `patch()` holds only what was changed.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.agents.domain import presets, trading_config
from apps.agents.domain.field_spec import FieldSpec, Kind
from apps.agents.domain.model import PresetMode
from apps.agents.domain.numbers import as_number, json_number
from apps.agents.models import Agent
from apps.agents.services import NAME_LENGTH

PREFIX = "config"
_MIN_CAMEL_KEY = 5


def field_name(path: str) -> str:
    """Return the form's name of a configuration path.

    >>> field_name("stopLoss.trailingLevels")
    'config__stopLoss__trailingLevels'
    """
    return "__".join([PREFIX, *path.split(".")])


class LevelsWidget(forms.Widget):
    """Rows of numbers, one level each, with buttons to add and remove; empty rows are left out."""

    template_name = "admin/soldesk/levels.html"

    class Media:
        js = ("admin_soldesk/levels.js",)

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__()
        self.spec = spec
        self.row_errors: dict[int, list[str]] = defaultdict(list)

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[dict[str, str]]:
        columns = {item.path: data.getlist(f"{name}__{item.path}") for item in self.spec.items}
        rows = zip(*columns.values(), strict=False)
        given = [dict(zip(columns, (text.strip() for text in row), strict=True)) for row in rows]
        return [row for row in given if any(row.values())]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Render from the project's own templates; form renderers only know those of apps."""
        rows = [
            {"cells": self._cells(name, row), "errors": self.row_errors.get(index, [])}
            for index, row in enumerate(value or [])
        ]
        identifier = (attrs or {}).get("id", name)
        context = {"items": self.spec.items, "rows": rows, "empty": self._cells(name, {}), "id": identifier}
        return render_to_string(self.template_name, context)

    def _cells(self, name: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"name": f"{name}__{item.path}", "value": _written(row.get(item.path)), "item": item}
            for item in self.spec.items
        ]


class LevelsField(forms.Field):
    """A list of levels; each row's numbers are read here, their limits are the domain's business."""

    widget: LevelsWidget

    def __init__(self, spec: FieldSpec, **options: Any) -> None:
        super().__init__(widget=LevelsWidget(spec), required=False, **options)
        self.spec = spec

    def to_python(self, value: list[dict[str, str]] | None) -> list[dict[str, Decimal]]:
        levels: list[dict[str, Decimal]] = []
        problems: list[str] = []
        for index, row in enumerate(value or []):
            level = {}
            for item in self.spec.items:
                number = _number(row[item.path])
                if number is None:
                    text = f"{item.label}: {'must be a number' if row[item.path] else 'is missing'}"
                    self.widget.row_errors[index].append(text)
                    problems.append(f"Level {index + 1}, {text}")
                else:
                    level[item.path] = number
            levels.append(level)
        if problems:
            raise forms.ValidationError(problems)
        return levels

    def has_changed(self, initial: Any, data: Any) -> bool:
        return [{key: as_number(value) for key, value in row.items()} for row in initial or []] != [
            {key: _number(text) for key, text in row.items()} for row in data or []
        ]


class LinesField(forms.CharField):
    """A list of texts, one a line; blank lines are left out."""

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, (list, tuple)) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return list(initial or []) != self.to_python(data)


class AgentForm(forms.ModelForm):
    """What an operator may change of an agent; nothing is saved here (see `AgentAdmin.save_model`)."""

    class Meta:
        model = Agent
        fields = ("name", "trading_mode", "automated_trading_simulation", "automated_trading_live")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stored = self.instance.trading_config
        self.document = trading_config.effective(self.stored)
        for spec in trading_config.FIELDS:
            self.fields[field_name(spec.path)] = _form_field(spec, _at(self.document, spec.path))

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        shortest, longest = NAME_LENGTH
        if len(name) < shortest:
            raise forms.ValidationError(f"An agent's name has {shortest} to {longest} characters.")
        return name

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        unread = set(self.errors)
        for issue in trading_config.validate(trading_config.apply_patch(self.stored, self.patch())):
            self._show_issue(issue, unread)
        return values

    def patch(self) -> dict[str, Any]:
        """Return what the form changes in the configuration, as a nested partial document; empty if nothing."""
        changes: dict[str, Any] = {}
        for spec in trading_config.FIELDS:
            name = field_name(spec.path)
            if name not in self.cleaned_data:
                continue
            value = _json_value(spec, self.cleaned_data[name])
            if value != _json_value(spec, _at(self.document, spec.path)):
                *parents, key = spec.path.split(".")
                holder = changes
                for parent in parents:
                    holder = holder.setdefault(parent, {})
                holder[key] = value
        return changes

    def _show_issue(self, issue: trading_config.ConfigIssue, unread: set[str]) -> None:
        """Attach an issue to the field it is about: the field itself, or the first one of the object it names.

        Fields in `unread` held no number to begin with and say so already.
        """
        spec = _spec_of(issue.path)
        if spec is None:
            self.add_error(None, str(issue))
            return
        name = field_name(spec.path)
        if name in unread:
            return
        text = _in_labels(issue.message, spec.section)
        place = issue.path.removeprefix(spec.path).removeprefix(".").split(".")
        if spec.kind is Kind.LEVEL_LIST and place[0].isdigit():
            index = int(place[0])
            item = next((item for item in spec.items if place[1:] == [item.path]), None)
            text = f"{item.label}: {text}" if item else text
            widget = self.fields[name].widget
            if isinstance(widget, LevelsWidget):
                widget.row_errors[index].append(text)
            text = f"Level {index + 1}{', ' if item else ': '}{text}"
        elif spec.kind is Kind.TEXT_LIST and place[0].isdigit():
            text = f"Line {int(place[0]) + 1}: {text}"
        self.add_error(name, text[0].upper() + text[1:])


def _form_field(spec: FieldSpec, value: Any) -> forms.Field:
    """Return the form field for a declared one, filled with `value`."""
    common: dict[str, Any] = {"label": spec.label, "help_text": _help(spec), "initial": value}
    if spec.kind is Kind.BOOLEAN:
        return forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget, **common)
    if spec.kind is Kind.CHOICE:
        choices = [(choice.value, choice.label) for choice in spec.choices]
        return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget, **common)
    if spec.kind is Kind.TEXT_LIST:
        return LinesField(
            required=False, widget=UnfoldAdminTextareaWidget({"rows": 4, "spellcheck": "false"}), **common
        )
    if spec.kind is Kind.LEVEL_LIST:
        return LevelsField(spec, **common)
    common["initial"] = _written(value)
    attrs = {"inputmode": "decimal", "suffix": spec.unit, "autocomplete": "off", "class": "sd-number-input"}
    number = forms.IntegerField if spec.kind is Kind.INTEGER else forms.DecimalField
    return number(required=not spec.optional, widget=UnfoldAdminTextInputWidget(attrs), **common)


def _help(spec: FieldSpec) -> SafeString:
    """Return the help of a field with its limits, its default, and what a preset means."""
    facts = [text for text in (_limits(spec), _default(spec)) if text]
    text = format_html("{}", spec.help_text)
    if facts:
        text = format_html('{} <span class="sd-facts">{}</span>', text, ". ".join(facts) + ".")
    if spec.path in _PRESETS:
        lines = format_html_join(
            "",
            "<li><b>{}</b> {}</li>",
            ((mode.label, _PRESETS[spec.path](mode.value)) for mode in spec.choices if mode.value != PresetMode.CUSTOM),
        )
        text = format_html('{}<ul class="sd-presets">{}</ul>', text, lines)
    return text


def _limits(spec: FieldSpec) -> str:
    if spec.kind not in (Kind.NUMBER, Kind.INTEGER):
        return f"At most {spec.max_items} levels" if spec.max_items else ""
    low = f"from {spec.minimum}" if spec.minimum is not None else ""
    low = f"above {spec.exclusive_minimum}" if spec.exclusive_minimum is not None else low
    high = f"to {spec.maximum}" if spec.maximum is not None else ""
    text = " ".join(part for part in (low, high) if part)
    return text[:1].upper() + text[1:]


def _default(spec: FieldSpec) -> str:
    if spec.kind is Kind.BOOLEAN:
        return f"Default: {'on' if spec.default else 'off'}"
    if spec.kind is Kind.CHOICE:
        return f"Default: {next(c.label for c in spec.choices if c.value == spec.default)}"
    if spec.kind in (Kind.NUMBER, Kind.INTEGER) and spec.default is not None:
        return f"Default: {_written(spec.default)}"
    return ""


def _dca_preset(mode: str) -> str:
    levels = presets.dca_levels(mode)
    return ", ".join(f"{_written(level.drop_percent)} % → buy {_written(level.buy_percent)} %" for level in levels)


def _take_profit_preset(mode: str) -> str:
    levels, bag = presets.take_profit_template(mode)
    sales = ", ".join(f"{_written(level.target_percent)} % → sell {_written(level.sell_percent)} %" for level in levels)
    return f"{sales}; keep {_written(bag.retain_percent)} % from {_written(bag.trigger_percent)} %"


_PRESETS = {"dca.mode": _dca_preset, "takeProfit.mode": _take_profit_preset}


def _spec_of(path: str) -> FieldSpec | None:
    """Return the field an issue's path is about; for an object's path its first field; None for the document."""
    within = [spec for spec in trading_config.FIELDS if path == spec.path or path.startswith(f"{spec.path}.")]
    beneath = [spec for spec in trading_config.FIELDS if spec.path.startswith(f"{path}.")]
    return next(iter(within or beneath), None)


def _in_labels(message: str, section: str) -> str:
    """Name fields by their labels where a rule names them by their keys."""
    for spec in trading_config.fields_of(section):
        if len(spec.key) >= _MIN_CAMEL_KEY and spec.key != spec.key.lower():
            message = message.replace(spec.key, f"“{spec.label}”")
    return message


def _at(document: Any, path: str) -> Any:
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _json_value(spec: FieldSpec, value: Any) -> Any:
    """Return a value of the form or of a document in the document's own form, for comparing and storing."""
    if spec.kind is Kind.LEVEL_LIST:
        return [{key: _plain(number) for key, number in level.items()} for level in value or []]
    if spec.kind is Kind.TEXT_LIST:
        return list(value or [])
    return _plain(value) if spec.kind in (Kind.NUMBER, Kind.INTEGER) else value


def _plain(value: Any) -> Any:
    number = as_number(value)
    return value if number is None else json_number(number)


def _number(text: str) -> Decimal | None:
    try:
        return as_number(Decimal(text))
    except InvalidOperation:
        return None


def _written(value: Any) -> Any:
    """Return a number as a person writes it, without exponent or needless zeros; other values as they are."""
    number = as_number(value)
    if number is None:
        return "" if value is None else value
    return f"{number.normalize():f}"

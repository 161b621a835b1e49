"""The form of a signal webhook: where a signal's fields stand in a message, and the tables, a rule a line.

It reads and shows; `webhook_setup` changes. What is wrong is said at the field it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.accounts.domain import networks
from apps.agents.forms import LinesField
from apps.core.adminkit import buttons
from apps.core.base58 import is_address
from apps.signals import webhook_setup
from apps.signals.domain import mapping_text
from apps.signals.domain.mapping import FIELDS, STRONGEST, WEAKEST, Mapping, Place
from apps.signals.models import SignalWebhook, WebhookRequest

#: What an operator reads of each field of a signal: label, help.
PLACES = {
    "token_address": ("Token", "A ticker of the table below, or a mint."),
    "symbol": ("Symbol", "What people call the token; may stay empty."),
    "signal_type": ("Type", "Agents choose signals by it."),
    "signal_strength": ("Strength", f"{WEAKEST} to {STRONGEST}, or a word of the table below."),
    "activation_reason": ("Reason", "Text for people; may stay empty."),
    "source": ("Source", "Who says so; may stay empty."),
}
_LONGEST_CONSTANT = 255


def path_name(field: str) -> str:
    return f"{field}_path"


def constant_name(field: str) -> str:
    return f"{field}_constant"


def _input(**attributes: str) -> UnfoldAdminTextInputWidget:
    return UnfoldAdminTextInputWidget({"autocomplete": "off", "spellcheck": "false", **attributes})


def _lines(rows: int, example: str) -> UnfoldAdminTextareaWidget:
    return UnfoldAdminTextareaWidget({"rows": rows, "spellcheck": "false", "placeholder": example})


class WebhookForm(forms.ModelForm):
    """What an operator sets of a webhook; nothing is saved here (see `SignalWebhookAdmin.save_model`)."""

    tickers = forms.CharField(
        required=False,
        widget=_lines(6, "BONKUSDT = DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB8JKoBn7RNxx"),
        help_text="ticker = mint, one a line. Case does not count, nor does an exchange before a colon.",
    )
    strengths = forms.CharField(
        label="Words of strength",
        required=False,
        widget=_lines(4, "strong buy = 5"),
        help_text=f"word = strength, one a line; {WEAKEST} to {STRONGEST} need no words.",
    )
    ignore = forms.CharField(
        label="Ignored messages",
        required=False,
        widget=_lines(4, "action = sell"),
        help_text="path = value, path != value or path contains value, one a line. They are answered with 202.",
    )
    allowed_addresses = LinesField(
        label="May send from",
        required=False,
        widget=_lines(4, "52.89.214.238"),
        help_text="IP addresses or networks, one a line. Empty: from anywhere. TradingView publishes its addresses.",
    )
    secret = forms.CharField(
        label="New shared secret",
        required=False,
        max_length=webhook_setup.LONGEST_SECRET,
        widget=_input(type="password"),
        help_text="Kept as a digest only. Empty keeps the present one.",
    )

    class Meta:
        model = SignalWebhook
        fields = ("user", "name", "enabled", "secret_path")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_new = self.instance._state.adding
        mapping = webhook_setup.USUAL if is_new else mapping_text.from_json(self.instance.mapping)
        for name, (label, help_text) in PLACES.items():
            place = mapping.places.get(name, Place())
            self.fields[path_name(name)] = forms.CharField(
                label=f"{label}: path",
                required=False,
                max_length=mapping_text.LONGEST_PATH,
                initial=place.path,
                widget=_input(placeholder="order.ticker"),
                help_text=help_text,
            )
            self.fields[constant_name(name)] = forms.CharField(
                label=f"{label}: otherwise",
                required=False,
                max_length=_LONGEST_CONSTANT,
                initial=place.otherwise,
                widget=_input(),
                help_text="Where the message has nothing there.",
            )
        self.fields["tickers"].initial = mapping_text.write_table(mapping.tickers)
        self.fields["strengths"].initial = mapping_text.write_table(mapping.strengths)
        self.fields["ignore"].initial = mapping_text.write_ignores(mapping.ignore)
        self.fields["allowed_addresses"].initial = self.instance.allowed_addresses
        self.fields["secret_path"].widget = _input(placeholder="secret")
        if "name" in self.fields:
            self.fields["name"].widget.attrs["autocomplete"] = "off"

    def clean_tickers(self) -> dict[str, str]:
        return self._read("tickers", mapping_text.read_tickers)

    def clean_strengths(self) -> dict[str, int]:
        return self._read("strengths", mapping_text.read_strengths)

    def clean_ignore(self) -> Any:
        return self._read("ignore", mapping_text.read_ignores)

    def clean_allowed_addresses(self) -> list[str]:
        return self._read("allowed_addresses", lambda lines: [networks.normalised(line) for line in lines])

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        for name in ("token_address", "signal_type", "signal_strength"):
            if not (values.get(path_name(name)) or values.get(constant_name(name))):
                self.add_error(path_name(name), "A signal needs this: give a path, or a constant beside it.")
        if values.get("secret_path") and not (values.get("secret") or self.instance.secret_hash):
            self.add_error("secret", "A place for the secret needs a secret.")
        self._check_constants(values)
        return values

    def mapping(self) -> Mapping:
        """Return what the form says about messages."""
        values = self.cleaned_data
        return Mapping(
            places={name: Place(values[path_name(name)], values[constant_name(name)]) for name in FIELDS},
            tickers=values["tickers"],
            strengths=values["strengths"],
            ignore=values["ignore"],
        )

    def _check_constants(self, values: dict[str, Any]) -> None:
        """A constant that could never do is refused now, not with every message."""
        token = values.get(constant_name("token_address"))
        if token and token.upper() not in values.get("tickers", {}) and not is_address(token):
            self.add_error(constant_name("token_address"), "This is neither a ticker of the table nor a mint.")
        strength = values.get(constant_name("signal_strength"))
        known = {str(number) for number in range(WEAKEST, STRONGEST + 1)} | set(values.get("strengths", {}))
        if strength and strength.lower() not in known:
            self.add_error(constant_name("signal_strength"), f"Give {WEAKEST} to {STRONGEST} or a word of the table.")

    def _read(self, name: str, read: Callable[[Any], Any]) -> Any:
        try:
            return read(self.cleaned_data[name])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None


class TryForm(buttons.ConfirmForm):
    """A payload to look at; nothing is sent."""

    payload = forms.CharField(
        widget=_lines(8, '{"ticker": "BONKUSDT", "action": "buy"}'),
        help_text="A JSON object or plain text, as the sender posts it.",
        strip=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.target, WebhookRequest):
            self.initial.setdefault("payload", self.target.payload)

"""Buttons of live keys that ask the signer: make one, unlock, lock, hand out its file. Deciding is the signer's.

`apps.wallets.admin_keys` puts them on the page.
"""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.accounts.operators import operator_of
from apps.core import formatting
from apps.core.adminkit import buttons, cells
from apps.core.errors import SoldeskError
from apps.wallets.models import LiveKey
from apps.wallets.services import key_care


class _Passphrase(forms.CharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            strip=False, max_length=1024, widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}), **options
        )


class NewKeyForm(buttons.ConfirmForm):
    """A name, and the passphrase twice: nobody can bring a forgotten one back."""

    name = forms.CharField(max_length=60, widget=UnfoldAdminTextInputWidget, help_text="What the signer calls the key.")
    passphrase = _Passphrase(help_text="Twelve characters or more. Who forgets it has lost the wallet.")
    again = _Passphrase(label="The same again")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("passphrase") != values.get("again"):
            raise forms.ValidationError("The two passphrases differ.")
        return values


class UnlockForm(buttons.ConfirmForm):
    """Which of the signer's locked keys, and its passphrase."""

    address = forms.ChoiceField(label="Key", widget=UnfoldAdminSelectWidget)
    passphrase = _Passphrase()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            held = key_care.status().keys
        except SoldeskError:
            held = ()
        locked = [(key.address, f"{key.name or 'No name'}, {key.address}") for key in held if key.locked]
        self.fields["address"].choices = locked or [("", "No key is locked, or the signer does not answer")]  # type: ignore[attr-defined]  # a ChoiceField


class ExportForm(buttons.ConfirmForm):
    """Two proofs that it is the right person."""

    passphrase = _Passphrase()
    code = forms.CharField(
        max_length=32,
        label="Second factor",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code"}),
        help_text="Six digits of your authenticator app, or a recovery code.",
    )


class SignerButtons:
    """What an admin page of live keys inherits."""

    @buttons.button(
        title="New key",
        description="The signer makes a key and keeps it in a file, encrypted under the passphrase.",
        submit="Make key",
        form=NewKeyForm,
        icon="add",
        variant=ActionVariant.PRIMARY,
    )
    def make_key(self, request: HttpRequest, _: None, values: dict[str, Any]) -> str:
        made = key_care.create_key(name=values["name"], passphrase=values["passphrase"], actor=operator_of(request))
        return f"{made.address} is made and loaded."

    @buttons.button(
        title="Unlock",
        description="Opens a key's file: the signer can sign with it until it is locked or started again.",
        submit="Unlock",
        form=UnlockForm,
        icon="lock_open",
    )
    def unlock(self, request: HttpRequest, _: None, values: dict[str, Any]) -> str:
        opened = key_care.unlock_key(
            address=values["address"], passphrase=values["passphrase"], actor=operator_of(request)
        )
        return f"{formatting.address(opened.address)} is loaded."

    @buttons.button(
        title="Lock",
        description="The signer forgets the key: nothing is bought or sold with it until it is unlocked.",
        submit="Lock",
        icon="lock",
        variant=ActionVariant.DANGER,
    )
    def lock(self, request: HttpRequest, key: LiveKey, _: dict[str, Any]) -> str:
        key_care.lock_key(address=key.address, actor=operator_of(request))
        return f"{formatting.address(key.address)} is locked."

    @buttons.button(
        title="Export",
        description="Shows the key's file, encrypted under its passphrase. The audit log has it before you do.",
        submit="Export",
        form=ExportForm,
        icon="key",
        variant=ActionVariant.WARNING,
    )
    def export(self, request: HttpRequest, key: LiveKey, values: dict[str, Any]) -> HttpResponse:
        file = key_care.export_key(
            address=key.address, passphrase=values["passphrase"], code=values["code"], actor=operator_of(request)
        )
        context = {"file": json.dumps(file, indent=1), "title": "Key file", "back": cells.change_url(key)}
        if "HX-Request" in request.headers:
            response = TemplateResponse(request, "admin/soldesk/key_file_dialog.html", context)
        else:
            site = self.admin_site.each_context(request)  # type: ignore[attr-defined]  # mixed into a ModelAdmin
            response = TemplateResponse(request, "admin/soldesk/key_file.html", {**site, **context})
        response["Cache-Control"] = "no-store"
        return response

"""Forms of one's own account in the admin: signing in, password, second factor.

Signing in asks for the second factor only whoever has one, in a step of its own: the first step's answer carries a
voucher that the password was right.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.http import HttpRequest
from unfold.forms import AdminOwnPasswordChangeForm, AuthenticationForm
from unfold.widgets import BASE_INPUT_CLASSES

from apps.accounts.errors import Locked, TotpRequired, WrongCode, WrongCredentials, WrongPassword
from apps.accounts.models import User
from apps.accounts.services import sign_in, users
from apps.core.api import limits
from apps.core.errors import SoldeskError

_INPUT = {"class": " ".join(BASE_INPUT_CLASSES)}
_CODE = {**_INPUT, "autocomplete": "one-time-code", "inputmode": "text", "spellcheck": "false"}


def sentence(refusal: SoldeskError) -> str:
    """Return what a person is told of a refused sign-in; the same whether the e-mail exists or not."""
    if isinstance(refusal, Locked):
        return f"Too many wrong attempts: sign-in is closed until {refusal.until.astimezone(UTC):%H:%M} UTC."
    return refusal.message


def code_field(label: str = "Code") -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=32,
        help_text="Six digits of your authenticator app, or a recovery code.",
        widget=forms.TextInput(_CODE),
    )


def password_field(label: str = "Your password") -> forms.CharField:
    return forms.CharField(
        label=label, strip=False, widget=forms.PasswordInput({**_INPUT, "autocomplete": "current-password"})
    )


class SignInForm(AuthenticationForm):
    """E-mail and password; then, for whoever has a second factor, its code."""

    code = code_field()
    voucher = forms.CharField(required=False, widget=forms.HiddenInput)
    #: The password was right just now: what is missing is no error yet.
    asks_on = False

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = "E-mail"
        self._ask(second_step=bool(self.data.get("voucher")))

    def _ask(self, *, second_step: bool) -> None:
        self.second_step = second_step
        self.fields["username"].required = self.fields["password"].required = not second_step
        self.fields["code"].required = second_step
        if second_step:
            self.fields["code"].widget.attrs["autofocus"] = True

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        step = self._second_step if self.second_step else self._first_step
        try:
            self.user_cache = step(values)
        except SoldeskError as refusal:
            raise forms.ValidationError(sentence(refusal), code=refusal.code) from None
        if self.user_cache is not None:
            self.confirm_login_allowed(self.user_cache)
        return values

    def confirm_login_allowed(self, user: Any) -> None:
        """Only operators enter the admin."""
        if not user.is_staff:
            raise forms.ValidationError("This account does not open the admin.", code="OPERATORS_ONLY")

    def _first_step(self, values: dict[str, Any]) -> User | None:
        if not values.get("username") or not values.get("password"):
            return None
        if self.request is not None:
            limits.check("login", limits.client_address(self.request), per_minute=settings.LOGINS_PER_MINUTE)
        found = sign_in.first_step(email=values["username"], password=values["password"])
        if isinstance(found, User):
            return found
        self.data = {"voucher": found}
        self.fields["username"].widget.attrs.pop("autofocus", None)
        self._ask(second_step=True)
        self.asks_on = True
        raise forms.ValidationError("Now the code.", code="TOTP_REQUIRED")

    def _second_step(self, values: dict[str, Any]) -> User | None:
        if not values.get("code"):
            return None
        try:
            return sign_in.finish_second_step(voucher=values["voucher"], code=values["code"])
        except WrongCredentials:
            self.data = {}
            self._ask(second_step=False)
            raise forms.ValidationError("That took too long: sign in again.", code="VOUCHER_EXPIRED") from None


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """The present password, counted like a sign-in's, and a new one; one's other sessions end."""

    def __init__(self, user: User, *args: Any, keep: UUID | None = None, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.keep = keep

    def clean_old_password(self) -> str:
        password = str(self.cleaned_data["old_password"])
        check_password(self.user, password)
        return password

    def save(self, commit: bool = True) -> User:
        users.set_password(user=self.user, password=self.cleaned_data["new_password1"], actor=self.user, keep=self.keep)
        self.user.refresh_from_db()
        return self.user


class OwnForm(forms.Form):
    """Common ground of the second factor's forms: whose it is, and what a service refused."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.user = user

    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        check_password(self.user, password)
        return password

    def refuse(self, refusal: SoldeskError) -> None:
        """Show a service's refusal where it belongs."""
        about_code = isinstance(refusal, (WrongCode, TotpRequired)) and "code" in self.fields
        self.add_error("code" if about_code else None, sentence(refusal))


class BeginForm(OwnForm):
    password = password_field()


class CodeForm(OwnForm):
    code = code_field()


class FirstCodeForm(OwnForm):
    code = code_field("The six digits the app shows now")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].help_text = ""


class TurnOffForm(OwnForm):
    password = password_field()
    code = code_field()


def check_password(user: User, password: str) -> None:
    """Check one's own password in a form.

    Raises:
        ValidationError: wrong, or too many wrong ones before.
    """
    try:
        sign_in.confirm_password(user=user, password=password)
    except (WrongPassword, Locked) as refusal:
        raise forms.ValidationError(sentence(refusal), code=refusal.code) from None

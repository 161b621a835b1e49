"""Forms of the admin for people and keys. What they do is `apps.accounts.services`' work.

Signing in and one's own account have theirs in `own_forms`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts.domain import networks
from apps.accounts.models import Scope, User
from apps.accounts.services import users
from apps.core.adminkit import buttons


class NewUserForm(UserCreationForm):
    """E-mail, password twice, operator or not."""

    class Meta:
        model = User
        fields = ("email", "is_staff")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).strip().lower()
        if User.objects.filter(email=email).exists():
            raise forms.ValidationError("A user with this e-mail exists.", code="EMAIL_TAKEN")
        return email


class UserForm(UserChangeForm):
    """A user's flags and permissions; the password has a page of its own."""

    class Meta:
        model = User
        fields = "__all__"

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).strip().lower()
        if User.objects.filter(email=email).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("A user with this e-mail exists.", code="EMAIL_TAKEN")
        return email


class PasswordForm(AdminPasswordChangeForm):
    """A new password, given by an operator; every session of the user ends."""

    def __init__(self, user: User, *args: Any, actor: User | None = None, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.actor = actor

    def save(self, commit: bool = True) -> User:
        users.set_password(user=self.user, password=self.cleaned_data["password1"], actor=self.actor)
        self.user.refresh_from_db()
        return self.user


class NewKeyForm(buttons.ConfirmForm):
    """Whose key, what it may do, how long it lives."""

    LIVES = (("", "Until it is deleted"), ("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "A year"))

    user = forms.ModelChoiceField(
        User.objects.filter(is_active=True).order_by("email"),
        label="Acts for",
        widget=UnfoldAdminSelectWidget,
    )
    name = forms.CharField(
        max_length=100, help_text="What the key is for, to know it again.", widget=UnfoldAdminTextInputWidget
    )
    scopes = forms.MultipleChoiceField(
        label="May", choices=Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    lives = forms.ChoiceField(label="Valid", choices=LIVES, required=False, widget=UnfoldAdminSelectWidget)
    allowed_ips = forms.CharField(
        label="Only from",
        required=False,
        help_text="Addresses or networks, one a line: 203.0.113.7, 10.0.0.0/8, 2001:db8::/48. Empty: from anywhere.",
        widget=UnfoldAdminTextareaWidget({"rows": 2}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.request.user.is_superuser:
            self.fields["user"].queryset = self.fields["user"].queryset.filter(is_superuser=False)  # type: ignore[attr-defined]
        if isinstance(self.target, User):
            self.fields["user"].initial = self.target.pk

    def clean_allowed_ips(self) -> list[str]:
        try:
            return [networks.normalised(text) for text in self.cleaned_data["allowed_ips"].replace(",", " ").split()]
        except ValueError as error:
            raise forms.ValidationError(f"{error}.", code="INVALID_ALLOWED_IPS") from None

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        days = values.get("lives")
        values["expires_at"] = timezone.now() + timedelta(days=int(days)) if days else None
        return values

"""Forms of the admin for people and keys. What they do is `apps.accounts.services`' work."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from unfold.forms import UserChangeForm, UserCreationForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts.models import Scope, User
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.target, User):
            self.fields["user"].initial = self.target.pk

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        days = values.get("lives")
        values["expires_at"] = timezone.now() + timedelta(days=int(days)) if days else None
        return values

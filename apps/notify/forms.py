"""Forms of the admin for webhook endpoints. What they do is `services.endpoints`' work."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts.models import User
from apps.agents.models import Agent
from apps.core.adminkit import buttons
from apps.notify.domain import addresses
from apps.notify.models import SUBSCRIBABLE, EventType, WebhookEndpoint
from apps.notify.services.endpoints import Wish

_EVENTS = [(event, EventType(event).label) for event in SUBSCRIBABLE]


def _address_field() -> forms.CharField:
    return forms.CharField(
        label="Address",
        max_length=addresses.MAX_URL_LENGTH,
        help_text="https://…; where events are posted to.",
        widget=UnfoldAdminTextInputWidget({"autocomplete": "off", "spellcheck": "false", "inputmode": "url"}),
    )


def _events_field() -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label="Hears of", choices=_EVENTS, widget=UnfoldAdminCheckboxSelectMultipleWidget, initial=list(SUBSCRIBABLE)
    )


def _checked(url: str) -> str:
    refusal = addresses.refusal_of_url(url, allow_private=settings.WEBHOOKS_ALLOW_PRIVATE)
    if refusal is not None:
        raise forms.ValidationError(f"The address {refusal}.", code="INVALID_URL")
    return url


class NewEndpointForm(buttons.ConfirmForm):
    """Whose endpoint, where it is, what it hears of."""

    user = forms.ModelChoiceField(
        User.objects.filter(is_active=True).order_by("email"), label="For", widget=UnfoldAdminSelectWidget
    )
    url = _address_field()
    description = forms.CharField(
        required=False, max_length=200, help_text="To know it again.", widget=UnfoldAdminTextInputWidget
    )
    events = _events_field()

    def clean_url(self) -> str:
        return _checked(self.cleaned_data["url"])


class EndpointForm(forms.ModelForm):
    """What an operator changes of an endpoint; nothing is saved here (see `WebhookEndpointAdmin.save_model`)."""

    url = _address_field()
    events = _events_field()
    agent_ids = forms.MultipleChoiceField(
        label="Only of these agents",
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None chosen: of all. What is about no agent is told in any case.",
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("url", "description", "events", "agent_ids", "enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = [str(agent_id) for agent_id in self.instance.agent_ids]
        agents = Agent.objects.filter(user=self.instance.user_id).order_by("name", "id")
        self.fields["agent_ids"].choices = [  # type: ignore[attr-defined]
            (str(agent.pk), agent.name + (" (archived)" if agent.archived_at else ""))
            for agent in agents
            if agent.archived_at is None or str(agent.pk) in chosen
        ]
        self.initial["agent_ids"] = chosen

    def clean_url(self) -> str:
        return _checked(self.cleaned_data["url"])

    def wish(self) -> Wish:
        """Return what was filled in."""
        values = self.cleaned_data
        return Wish(
            url=values["url"],
            description=values["description"],
            events=values["events"],
            agent_ids=[UUID(agent_id) for agent_id in values["agent_ids"]],
            enabled=values["enabled"],
        )

"""The user's page: besides what `apps.accounts` knows, their agents, keys, sessions, and what they changed."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from unfold.datasets import BaseDataset

from apps.accounts.admin import audit_log, keys, people, sessions
from apps.accounts.models import AdminSession, ApiKey, AuditEntry, RefreshFamily, User
from apps.agents.models import Agent
from apps.console.pages import tables
from apps.console.pages.agents import AgentPage


class UserAgents(tables.OwnedTable, AgentPage):
    owner_path = "user"
    hidden_columns = ("user",)


class UserKeys(tables.OwnedTable, keys.ApiKeyAdmin):
    owner_path = "user"
    hidden_columns = ("user",)


class UserSessions(tables.OwnedTable, sessions.SessionAdmin):
    owner_path = "user"
    hidden_columns = ("user",)


class UserAdminSessions(tables.OwnedTable, sessions.AdminSessionAdmin):
    owner_path = "user"
    hidden_columns = ("user",)


class UserChanges(tables.OwnedTable, audit_log.AuditEntryAdmin):
    owner_path = "actor"
    hidden_columns = ("who",)


TABS = (
    tables.tab("Agents", Agent, UserAgents),
    tables.tab("API keys", ApiKey, UserKeys),
    tables.tab("API sessions", RefreshFamily, UserSessions),
    tables.tab("Admin sessions", AdminSession, UserAdminSessions),
    tables.tab("What they changed", AuditEntry, UserChanges),
)

admin.site.unregister(User)


@admin.register(User)
class UserPage(people.UserAdmin):
    def get_changeform_datasets(self, request: HttpRequest) -> list[type[BaseDataset]]:
        return tables.visible(request, TABS)

"""People, their keys and sessions, and the audit log.

Users are changed here; keys are made once and deleted, sessions are ended; what was logged is only read.
"""

from __future__ import annotations

from copy import copy
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateTimeFilter
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm

from apps.accounts import audit_cells
from apps.accounts.forms import NewKeyForm, NewUserForm, UserForm
from apps.accounts.models import ApiKey, AuditEntry, IdempotencyKey, RefreshFamily, RevokedToken, User
from apps.accounts.operators import operator_of
from apps.accounts.services import api_keys, audit, sessions, users
from apps.core.adminkit import base, buttons, cells, columns

GRANTS = ("is_staff", "is_superuser", "groups", "user_permissions")
FACTS = ("email", "is_active", "is_staff", "is_superuser", "locked_until")

admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, base.DeskAdmin):
    """Sets of permissions for operators who may not do everything; what they may do is in the audit log."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        before = _permissions(form.instance) if change else None
        super().save_related(request, form, formsets, change)
        after = _permissions(form.instance)
        if after != before:
            _record_group(request, form.instance, "updated" if change else "created", before, after)

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        _record_group(request, obj, "deleted", _permissions(obj), None)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        for group in queryset:
            self.delete_model(request, group)


class PasswordForm(AdminPasswordChangeForm):
    """A new password, given by an operator; every session of the user ends."""

    def __init__(self, user: User, *args: Any, actor: User | None = None, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.actor = actor

    def save(self, commit: bool = True) -> User:
        users.set_password(user=self.user, password=self.cleaned_data["password1"], actor=self.actor)
        self.user.refresh_from_db()
        return self.user


@admin.register(User)
class UserAdmin(DjangoUserAdmin, base.DeskAdmin):
    form = UserForm
    add_form = NewUserForm
    change_password_form = PasswordForm
    list_display = (
        "email",
        columns.flag("is_active", "Active"),
        columns.flag("is_staff", "Operator"),
        columns.flag("is_superuser", "Administrator"),
        columns.count("agent_count", "Agents", order="agent_count"),
        columns.count("key_count", "API keys", order="key_count"),
        columns.column("Sign-in", lambda user: lock_badge(user), name="lock"),
        columns.when("last_login", "Last sign-in"),
        columns.when("created_at", "Since"),
    )
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_fields = ("email", "=id")
    search_help_text = "E-mail or id"
    ordering = ("email",)
    lines = ("last_login", "failed_logins", "locked_until", "created_at")
    readonly_fields = ()
    filter_horizontal = ("groups", "user_permissions")
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("May", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Sign-in", {"fields": ("last_login", "failed_logins", "locked_until", "created_at")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "password1", "password2", "is_staff")}),)
    actions_detail = ("new_key", "unlock", "end_sessions")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                agent_count=Count("agents", filter=Q(agents__archived_at=None), distinct=True),
                key_count=Count("api_keys", distinct=True),
            )
        )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only an administrator hands out rights."""
        fieldsets = super().get_fieldsets(request, obj)
        if request.user.is_superuser:
            return fieldsets
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in GRANTS]})
            for title, options in fieldsets
        ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An operator does not change an administrator."""
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and (request.user.is_superuser or not getattr(obj, "is_superuser", False))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """People are switched off, not deleted: their agents' books stay."""
        return False

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("accounts.change_user")

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[Any], change: bool) -> None:
        if not change:
            values = form.cleaned_data
            made = users.create_user(
                email=values["email"],
                password=values["password1"],
                actor=operator_of(request),
                staff=values["is_staff"],
            )
            obj.__dict__.update(made.__dict__)
            return
        before = _facts(User.objects.get(pk=obj.pk))
        super().save_model(request, obj, form, change)
        after = _facts(obj)
        if after != before:
            audit.record(
                actor=operator_of(request),
                action="user.updated",
                object_type="user",
                object_id=obj.pk,
                before=before,
                after=after,
            )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save groups and permissions, with what they were before in the audit log."""
        before = _grants(form.instance)
        super().save_related(request, form, formsets, change)
        after = _grants(form.instance)
        if after != before:
            audit.record(
                actor=operator_of(request),
                action="user.permissions.updated",
                object_type="user",
                object_id=form.instance.pk,
                before=before,
                after=after,
            )

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Give a new password by the service; the form is made for this request's operator."""
        page = copy(self)
        page.__dict__["change_password_form"] = partial(PasswordForm, actor=operator_of(request))
        return super(UserAdmin, page).user_change_password(request, id, form_url)

    @buttons.button(
        title="New API key",
        description="The key is shown once, when it is made.",
        submit="Make key",
        form=NewKeyForm,
        icon="key",
        variant=ActionVariant.PRIMARY,
    )
    def new_key(self, request: HttpRequest, user: User, values: dict[str, Any]) -> HttpResponse:
        return show_new_key(self, request, values)

    @buttons.button(
        title="Unlock sign-in",
        description="Forgets the failed sign-ins of this user.",
        submit="Unlock",
        icon="lock_open",
    )
    def unlock(self, request: HttpRequest, user: User, _: dict[str, Any]) -> str:
        before = {"failed_logins": user.failed_logins, "locked_until": user.locked_until}
        User.objects.filter(pk=user.pk).update(failed_logins=0, locked_until=None)
        audit.record(
            actor=operator_of(request), action="user.unlocked", object_type="user", object_id=user.pk, before=before
        )
        return f"{user} may sign in again."

    @buttons.button(
        title="End all sessions",
        description="Signs the user out everywhere; tokens stop working at once. API keys stay.",
        submit="End sessions",
        icon="logout",
        variant=ActionVariant.DANGER,
    )
    def end_sessions(self, request: HttpRequest, user: User, _: dict[str, Any]) -> str:
        sessions.end_all(user=user, reason="ended_by_operator")
        audit.record(actor=operator_of(request), action="user.sessions_ended", object_type="user", object_id=user.pk)
        return f"Every session of {user} has ended."


@admin.register(ApiKey)
class ApiKeyAdmin(base.ReadOnlyAdmin):
    list_display = (
        "name",
        columns.column("Begins with", lambda key: f"{key.prefix}…", name="prefix", order="prefix"),
        columns.link("user", "Acts for", order="user__email"),
        columns.words("scopes", "May"),
        columns.when("last_used_at", "Last used"),
        columns.column("Expires", lambda key: expiry(key), name="expires", order="expires_at"),
        columns.when("created_at", "Made"),
    )
    list_filter = (("expires_at", admin.EmptyFieldListFilter), ("user", AutocompleteSelectFilter))
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__email")
    search_help_text = "Name, first characters or e-mail"
    fields = ("name", "user", "prefix", "scopes", "expires_at", "last_used_at", "created_at")
    actions_list = ("new_key",)
    actions_row = ("revoke",)
    actions_detail = ("revoke",)

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("accounts.change_apikey")

    @buttons.button(
        title="New API key",
        description="The key is shown once, when it is made.",
        submit="Make key",
        form=NewKeyForm,
        icon="key",
        variant=ActionVariant.PRIMARY,
    )
    def new_key(self, request: HttpRequest, _: None, values: dict[str, Any]) -> HttpResponse:
        return show_new_key(self, request, values)

    @buttons.button(
        title="Revoke",
        description="The key stops working at once and cannot be brought back.",
        submit="Revoke key",
        icon="key_off",
        variant=ActionVariant.DANGER,
    )
    def revoke(self, request: HttpRequest, key: ApiKey, _: dict[str, Any]) -> HttpResponse | str:
        name = str(key)
        api_keys.delete(api_key=key, actor=operator_of(request))
        messages.success(request, f"The key {name} does not work any more.")
        return buttons.go_to_list(self, request)


@admin.register(RefreshFamily)
class SessionAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.link("user", "User", order="user__email"),
        columns.column("State", lambda row: session_badge(row), name="state", order="ended_at"),
        columns.when("created_at", "Signed in"),
        columns.when("highest_first_used_at", "Last refreshed"),
        columns.when("expires_at", "Expires"),
        columns.when("ended_at", "Ended"),
    )
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "end_reason", ("user", AutocompleteSelectFilter))
    list_select_related = ("user",)
    search_fields = ("user__email", "=id")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "id")
    actions_row = ("end",)
    actions_detail = ("end",)

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("accounts.change_refreshfamily")

    @buttons.button(
        title="End session",
        description="Its tokens stop working at once.",
        submit="End session",
        icon="logout",
        variant=ActionVariant.DANGER,
    )
    def end(self, request: HttpRequest, family: RefreshFamily, _: dict[str, Any]) -> str:
        ended = sessions.end(family=family, actor=operator_of(request))
        return f"The session of {family.user} {'has ended' if ended else 'had ended before'}."


@admin.register(RevokedToken)
class RevokedTokenAdmin(base.ReadOnlyAdmin):
    list_display = ("jti", columns.when("expires_at", "Forgotten after"))
    search_fields = ("=jti",)
    ordering = ("-expires_at", "jti")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(base.ReadOnlyAdmin):
    list_display = (
        "key",
        columns.link("user", "User", order="user__email"),
        columns.count("status", "Answer"),
        columns.when("created_at", "First sent"),
        columns.when("locked_until", "Held until"),
    )
    list_filter = ("status", ("user", AutocompleteSelectFilter))
    list_select_related = ("user",)
    search_fields = ("=key", "user__email")
    ordering = ("-id",)


@admin.register(AuditEntry)
class AuditEntryAdmin(base.LongTableAdmin):
    list_display = (
        columns.when("at", "Time"),
        columns.column("Who", lambda row: row.actor_label, name="who", order="actor_label"),
        "action",
        "object_type",
        columns.column("Which", lambda row: cells.address(row.object_id), name="which", order="object_id"),
        columns.column("Changed", lambda row: audit_cells.changed_words(row), name="changed"),
    )
    list_filter = ("action", "object_type", ("at", RangeDateTimeFilter))
    search_fields = ("actor_label", "action", "=object_id", "=request_id")
    search_help_text = "Who, what, whole id of the object or of the request"
    date_hierarchy = "at"
    fields = (
        "at",
        "actor_label",
        "action",
        "object_type",
        "object_id",
        columns.column("Change", lambda row: audit_cells.change_table(row), name="change"),
        "request_id",
    )


def show_new_key(model_admin: base.DeskAdmin, request: HttpRequest, values: dict[str, Any]) -> HttpResponse:
    """Make a key and show it, in the answer itself: it is in no cookie, log or message."""
    row, secret = api_keys.create(
        user=values["user"],
        name=values["name"],
        scopes=values["scopes"],
        expires_at=values["expires_at"],
        actor=operator_of(request),
    )
    context = {"api_key": row, "secret": secret, "title": "New API key", "back": cells.change_url(row)}
    if "HX-Request" in request.headers:
        response = TemplateResponse(request, "admin/soldesk/new_key_dialog.html", context)
    else:
        context = {**model_admin.admin_site.each_context(request), **context}
        response = TemplateResponse(request, "admin/soldesk/new_key.html", context)
    response["Cache-Control"] = "no-store"
    return response


def lock_badge(user: User) -> SafeString:
    if user.locked_until is not None and user.locked_until > timezone.now():
        return cells.label("locked", "danger", title=f"until {user.locked_until:%Y-%m-%d %H:%M} UTC")
    if user.failed_logins:
        return cells.label(f"{user.failed_logins} failed", "warning")
    return cells.label("open", "success") if user.is_active else cells.label("off")


def session_badge(family: RefreshFamily) -> SafeString:
    if family.ended_at is not None:
        return cells.label(family.end_reason.replace("_", " ") or "ended")
    return cells.label("expired") if family.expires_at <= timezone.now() else cells.label("live", "success")


def expiry(key: ApiKey) -> SafeString:
    if key.expires_at is None:
        return cells.label("never")
    return cells.label("expired", "danger") if key.expires_at <= timezone.now() else cells.when(key.expires_at)


def _facts(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) for name in FACTS}


def _grants(user: User) -> dict[str, list[str]]:
    return {
        "groups": sorted(user.groups.values_list("name", flat=True)),
        "permissions": sorted(user.user_permissions.values_list("codename", flat=True)),
    }


def _permissions(group: Group) -> dict[str, Any]:
    codenames = group.permissions.values_list("codename", flat=True)
    return {"name": group.name, "permissions": sorted(codenames), "members": group.user_set.count()}


def _record_group(request: HttpRequest, group: Group, what: str, before: Any, after: Any) -> None:
    audit.record(
        actor=operator_of(request),
        action=f"group.{what}",
        object_type="group",
        object_id=group.pk,
        before=before,
        after=after,
    )

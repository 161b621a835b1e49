"""People and groups: made, changed, switched off, unlocked, signed out; every change in the audit log."""

from __future__ import annotations

from copy import copy
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.enums import ActionVariant

from apps.accounts.admin.keys import show_new_key
from apps.accounts.forms import NewKeyForm, NewUserForm, PasswordForm, UserForm
from apps.accounts.models import SecondFactor, User
from apps.accounts.operators import may_touch, operator_of
from apps.accounts.services import audit, second_factor, sessions, users
from apps.core.adminkit import base, buttons, cells, columns

GRANTS = ("is_staff", "is_superuser", "groups", "user_permissions")
FACTS = ("email", "is_active", "is_staff", "is_superuser")
HAS_SECOND_FACTOR = Exists(SecondFactor.objects.filter(user=OuterRef("pk"), confirmed=True))

admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, base.DeskAdmin):
    """Sets of permissions for operators who may not do everything; what they may do is in the audit log."""

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        form.before = _permissions(Group.objects.get(pk=obj.pk)) if change else None
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        after = _permissions(form.instance)
        if after != form.before:
            _record_group(request, form.instance, "updated" if change else "created", form.before, after)

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        _record_group(request, obj, "deleted", _permissions(obj), None)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        for group in queryset:
            self.delete_model(request, group)


class SecondFactorFilter(admin.SimpleListFilter):
    """Who has set up a second factor."""

    title = "second factor"
    parameter_name = "second_factor"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("yes", "Set up"), ("no", "Missing")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        wanted = self.value()
        return (
            queryset
            if wanted is None
            else queryset.filter(HAS_SECOND_FACTOR if wanted == "yes" else ~HAS_SECOND_FACTOR)
        )


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
        columns.flag("has_second_factor", "Second factor"),
        columns.when("last_login", "Last sign-in"),
        columns.when("created_at", "Since"),
    )
    list_filter = ("is_active", "is_staff", "is_superuser", SecondFactorFilter)
    search_fields = ("email", "=id")
    search_help_text = "E-mail or id"
    ordering = ("email",)
    lines = ("last_login", "failed_logins", "locked_until", "created_at")
    readonly_fields = ()
    filter_horizontal = ("groups", "user_permissions")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("email", "password")}),
        ("May", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (
            "Sign-in",
            {
                "fields": (
                    ("last_login", "created_at"),
                    ("failed_logins", "locked_until"),
                    columns.flag("has_second_factor", "second factor"),
                )
            },
        ),
    )
    add_fieldsets = ((None, {"fields": ("email", "password1", "password2", "is_staff")}),)
    actions_row = ("end_sessions",)
    actions_detail = (
        "new_key",
        "end_sessions",
        {
            "title": "More",
            "icon": "more_vert",
            "method_name": "more",
            "items": ["unlock", "reset_second_factor"],
        },
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                agent_count=Count("agents", filter=Q(agents__archived_at=None), distinct=True),
                key_count=Count("api_keys", distinct=True),
                has_second_factor=HAS_SECOND_FACTOR,
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
        """Who may press the buttons; those of an administrator's page only another administrator."""
        return request.user.has_perm("accounts.change_user") and may_touch(request, User.objects, object_id, owner="")

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[Any], change: bool) -> None:
        if not change:
            values = form.cleaned_data
            made = users.create_user(
                email=values["email"],
                password=values["password1"],
                actor=operator_of(request),
                staff=values.get("is_staff", False),
            )
            obj.__dict__.update(made.__dict__)
            return
        changes = {name: form.cleaned_data[name] for name in FACTS if name in form.changed_data}
        obj.__dict__.update(users.update_user(user=obj, actor=operator_of(request), **changes).__dict__)

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
        users.unlock(user=user, actor=operator_of(request))
        return f"{user} may sign in again."

    @buttons.button(
        title="Sign out everywhere",
        description="Ends every session of the user, in the admin too; tokens stop working at once. API keys stay.",
        submit="End all sessions",
        icon="logout",
        variant=ActionVariant.DANGER,
    )
    def end_sessions(self, request: HttpRequest, user: User, _: dict[str, Any]) -> str:
        ended = sessions.sign_out_everywhere(user=user, actor=operator_of(request), reason="ended_by_operator")
        return f"{user} is signed out everywhere: {ended} {'session has' if ended == 1 else 'sessions have'} ended."

    @buttons.button(
        title="Reset second factor",
        description="For who lost it: sign-in asks for the password alone again. Every session of the user ends.",
        submit="Reset second factor",
        icon="phonelink_erase",
        variant=ActionVariant.DANGER,
    )
    def reset_second_factor(self, request: HttpRequest, user: User, _: dict[str, Any]) -> str:
        second_factor.reset(user=user, actor=operator_of(request))
        return f"{user} signs in without a second factor until a new one is set up."


def lock_badge(user: User) -> SafeString:
    if user.locked_until is not None and user.locked_until > timezone.now():
        return cells.label("locked", "danger", title=f"until {user.locked_until:%Y-%m-%d %H:%M} UTC")
    if user.failed_logins:
        return cells.label(f"{user.failed_logins} failed", "warning")
    return cells.label("open", "success") if user.is_active else cells.label("off")


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

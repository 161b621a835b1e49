"""Celery Beat's schedules in the desk's own looks; every change of one is in the audit log with before and after."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.forms.models import model_to_dict
from django.http import HttpRequest
from django_celery_beat import admin as beat
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.accounts.operators import operator_of
from apps.accounts.services import audit
from apps.core.adminkit import base, buttons, columns

for _model in (PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule):
    admin.site.unregister(_model)


class AuditedAdmin(base.DeskAdmin):
    """Saves as Django does and records who changed what."""

    def save_model(self, request: HttpRequest, obj: Model, form: ModelForm[Any], change: bool) -> None:
        before = _facts(type(obj)._default_manager.get(pk=obj.pk)) if change else None
        super().save_model(request, obj, form, change)
        after = _facts(obj)
        if after != before:
            _record(request, obj, "updated" if change else "created", before, after)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        _record(request, obj, "deleted", _facts(obj), None)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for row in queryset:
            self.delete_model(request, row)


class TaskSelectWidget(UnfoldAdminSelectWidget, beat.TaskSelectWidget):
    """The list of known tasks, in unfold's looks."""


class PeriodicTaskForm(beat.PeriodicTaskForm):
    """Beat's own form with unfold's inputs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "task" in self.fields:
            self.fields["task"].widget = UnfoldAdminTextInputWidget()
            self.fields["regtask"].widget = TaskSelectWidget()


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(AuditedAdmin):
    form = PeriodicTaskForm
    list_display = (
        "name",
        columns.flag("enabled", "Enabled"),
        "task",
        columns.column("Schedule", lambda task: str(task.scheduler), name="schedule"),
        columns.when("last_run_at", "Last run"),
        columns.count("total_run_count", "Runs"),
    )
    list_select_related = ("interval", "crontab", "solar", "clocked")
    list_filter = ("enabled", "one_off")
    search_fields = ("name", "task")
    ordering = ("name",)
    lines = ("last_run_at", "total_run_count")
    actions = ("enable_selected", "disable_selected")
    fieldsets = (
        (None, {"fields": ("name", "regtask", "task", "enabled", "description")}),
        (
            "When",
            {
                "fields": (
                    ("interval", "crontab"),
                    ("solar", "clocked"),
                    "start_time",
                    "one_off",
                    ("last_run_at", "total_run_count"),
                ),
                "description": "Exactly one of the four kinds of schedule.",
            },
        ),
        (
            "How",
            {
                "fields": ("args", "kwargs", "queue", "expires", "expire_seconds", "priority", "headers"),
                "classes": ["collapse"],
            },
        ),
    )

    @admin.action(description="Enable", permissions=["change"])
    def enable_selected(self, request: HttpRequest, rows: QuerySet[PeriodicTask]) -> None:
        buttons.run_each(
            self, request, rows, lambda task: _switch(request, task, on=True), "{count} schedules enabled."
        )

    @admin.action(description="Disable", permissions=["change"])
    def disable_selected(self, request: HttpRequest, rows: QuerySet[PeriodicTask]) -> None:
        buttons.run_each(
            self, request, rows, lambda task: _switch(request, task, on=False), "{count} schedules disabled."
        )


class IntervalScheduleAdmin(AuditedAdmin):
    list_display = ("__str__", "every", "period")
    ordering = ("period", "every")


class CrontabScheduleAdmin(AuditedAdmin):
    list_display = ("__str__", "human_readable", "timezone")
    fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")


admin.site.register(IntervalSchedule, IntervalScheduleAdmin)
admin.site.register(CrontabSchedule, CrontabScheduleAdmin)
admin.site.register(SolarSchedule, AuditedAdmin)
admin.site.register(ClockedSchedule, AuditedAdmin)


def _switch(request: HttpRequest, task: PeriodicTask, *, on: bool) -> None:
    before = _facts(task)
    task.enabled = on
    task.save()
    _record(request, task, "updated", before, _facts(task))


def _facts(row: Model) -> dict[str, Any]:
    ignored = {"last_run_at", "total_run_count", "date_changed"}
    return {name: str(value) for name, value in model_to_dict(row).items() if name not in ignored}


def _record(request: HttpRequest, row: Model, what: str, before: Any, after: Any) -> None:
    audit.record(
        actor=operator_of(request),
        action=f"schedule.{what}",
        object_type=str(row._meta.model_name),
        object_id=row.pk,
        before=before,
        after=after,
    )

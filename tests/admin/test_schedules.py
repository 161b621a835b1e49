"""Beat's schedules are edited in the admin, and every change of one is logged."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from apps.accounts.models import AuditEntry, User


@pytest.fixture
def task(db: None) -> PeriodicTask:
    interval = IntervalSchedule.objects.create(every=10, period="seconds")
    return PeriodicTask.objects.create(name="Watch", task="trading.watch", interval=interval)


def test_a_changed_schedule_is_logged_with_before_and_after(client: Client, task: PeriodicTask, operator: User) -> None:
    slower = IntervalSchedule.objects.create(every=60, period="seconds")
    posted = {
        "name": "Watch",
        "task": "trading.watch",
        "interval": slower.pk,
        "args": "[]",
        "kwargs": "{}",
        "headers": "{}",
    }
    answer = client.post(reverse("admin:django_celery_beat_periodictask_change", args=[task.pk]), posted)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    task.refresh_from_db()
    assert (task.interval, task.enabled) == (slower, False)
    entry = AuditEntry.objects.get(action="schedule.updated")
    assert (entry.actor_id, entry.before["enabled"], entry.after["enabled"]) == (operator.pk, "True", "False")


def test_schedules_are_switched_in_the_list(client: Client, task: PeriodicTask, operator: User) -> None:
    url = reverse("admin:django_celery_beat_periodictask_changelist")
    for action, enabled in (("disable_selected", False), ("enable_selected", True)):
        client.post(url, {"action": action, "_selected_action": [str(task.pk)]})
        task.refresh_from_db()
        assert task.enabled is enabled
    assert AuditEntry.objects.filter(action="schedule.updated").count() == 2


def test_a_deleted_schedule_is_logged(client: Client, task: PeriodicTask, operator: User) -> None:
    client.post(reverse("admin:django_celery_beat_periodictask_delete", args=[task.pk]), {"post": "yes"})
    assert not PeriodicTask.objects.filter(pk=task.pk).exists()
    entry = AuditEntry.objects.get(action="schedule.deleted")
    assert (entry.before["name"], entry.after) == ("Watch", None)

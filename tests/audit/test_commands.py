"""What commands change is in the log too, by the system, and a second run that changes nothing adds nothing."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django_celery_beat.models import PeriodicTask

from apps.accounts.models import AuditEntry
from apps.accounts.services import users
from apps.trading.services import schedules
from tests import factories

pytestmark = pytest.mark.django_db


def actions() -> list[str]:
    entries = list(AuditEntry.objects.order_by("id"))
    assert all(entry.actor_id is None and entry.actor_label == "system" for entry in entries)
    return [entry.action for entry in entries]


def test_schedules_that_are_made_at_the_start_are_logged_once() -> None:
    PeriodicTask.objects.all().delete()
    made = schedules.ensure_schedules()
    assert made and actions() == ["schedule.created"] * len(made)
    schedules.ensure_schedules()
    assert len(actions()) == len(made)


def test_the_watch_of_a_shard_that_is_gone_is_logged_with_what_it_was(settings) -> None:
    settings.PRICE_SHARDS = 2
    schedules.ensure_schedules()
    settings.PRICE_SHARDS = 1
    before = AuditEntry.objects.count()
    schedules.ensure_schedules()
    entry = AuditEntry.objects.latest("id")
    assert AuditEntry.objects.count() == before + 1
    assert (entry.action, entry.before["args"], entry.after) == ("schedule.deleted", "[1]", None)


def test_users_and_passwords_by_command_are_logged(monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("a-long-enough-phrase\n"))
    call_command("createuser", "ann@example.com", stdout=StringIO())
    monkeypatch.setattr("sys.stdin", StringIO("another-long-phrase\n"))
    call_command("setpassword", "ann@example.com", stdout=StringIO())
    assert actions() == ["user.created", "user.password_changed"]


def test_the_first_administrator_is_logged(settings) -> None:
    settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD = "boss@example.com", "first-password"
    for _ in range(2):
        call_command("ensure_admin", stdout=StringIO())
    assert actions() == ["user.created"]
    assert AuditEntry.objects.get().after["is_superuser"] is True


def test_a_user_who_may_do_nothing_new_leaves_no_entry() -> None:
    user = factories.make_user()
    users.update_user(user=user, actor=None, email=user.email.upper(), is_active=True)
    assert actions() == []

"""People: made by command, the first administrator once, and every change in the audit log."""

from decimal import Decimal
from io import StringIO

import pytest
from django.conf import settings as live_settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from apps.accounts.models import AuditEntry, User
from apps.accounts.services import audit, users
from apps.core.errors import Conflict, Invalid
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def run(command, *args, typed="", monkeypatch=None, **options):
    out = StringIO()
    if monkeypatch is not None:
        monkeypatch.setattr("sys.stdin", StringIO(typed))
    call_command(command, *args, stdout=out, **options)
    return out.getvalue()


def test_the_first_administrator_is_made_once_and_never_changed(settings):
    settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD = "Boss@Example.com", "first-password"
    assert "boss@example.com" in run("ensure_admin")
    boss = User.objects.get()
    assert boss.is_staff and boss.is_superuser and boss.check_password("first-password")
    settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD = "other@example.com", "second-password"
    assert "nothing changed" in run("ensure_admin")
    boss = User.objects.get()
    assert boss.email == "boss@example.com" and boss.check_password("first-password")


@pytest.mark.parametrize(("email", "password"), [("no address", "x"), ("a@example.com", "  ")])
def test_a_first_administrator_needs_an_address_and_a_password(settings, email, password):
    settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD = email, password
    with pytest.raises(CommandError):
        run("ensure_admin")
    assert not User.objects.exists()


def test_createuser_makes_a_user_who_is_no_operator(monkeypatch):
    run("createuser", "Ann@Example.com", typed="a-long-enough-phrase\n", monkeypatch=monkeypatch)
    ann = User.objects.get()
    assert (ann.email, ann.is_staff) == ("ann@example.com", False)
    assert ann.check_password("a-long-enough-phrase")


def test_createuser_refuses_weak_passwords_and_taken_addresses(monkeypatch):
    with pytest.raises(CommandError, match="short"):
        run("createuser", "a@example.com", typed="abc\n", monkeypatch=monkeypatch)
    make_user("a@example.com")
    with pytest.raises(CommandError, match="exists"):
        run("createuser", "A@example.com", typed="a-long-enough-phrase\n", monkeypatch=monkeypatch)
    with pytest.raises(CommandError, match="e-mail"):
        run("createuser", "nonsense", typed="a-long-enough-phrase\n", monkeypatch=monkeypatch)


def test_setpassword_opens_the_lock(monkeypatch):
    user = make_user(failed_logins=5, locked_until="2099-01-01T00:00:00Z")
    run("setpassword", user.email, typed="a-new-long-phrase\n", monkeypatch=monkeypatch)
    user.refresh_from_db()
    assert user.check_password("a-new-long-phrase")
    assert (user.failed_logins, user.locked_until) == (0, None)
    with pytest.raises(CommandError):
        run("setpassword", "nobody@example.com", typed="x\n", monkeypatch=monkeypatch)


def test_services_name_what_is_wrong():
    with pytest.raises(Invalid) as refusal:
        users.create_user(email="a@example.com", password="password", actor=None)
    assert refusal.value.code == "INVALID_PASSWORD"
    make_user("b@example.com")
    with pytest.raises(Conflict) as taken:
        users.create_user(email="b@example.com", password="a-long-enough-phrase", actor=None)
    assert taken.value.code == "EMAIL_TAKEN"


def test_an_audit_entry_keeps_before_and_after_as_plain_values():
    user = make_user("auditor@example.com")
    entry = audit.record(
        actor=user,
        action="thing.changed",
        object_type="thing",
        object_id=user.pk,
        before={"limit": Decimal("0.10")},
        after={"limit": Decimal("1e-9"), "owner": user.pk},
    )
    entry.refresh_from_db()
    assert entry.actor_label == "auditor@example.com"
    assert entry.before == {"limit": "0.10"}
    assert entry.after == {"limit": "0.000000001", "owner": str(user.pk)}


def test_the_audit_log_cannot_be_rewritten():
    entry = audit.record(actor=None, action="a", object_type="t", object_id=1)
    assert entry.actor_label == "system"
    for change in (lambda: AuditEntry.objects.update(action="b"), lambda: AuditEntry.objects.all().delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_passwords_are_kept_as_argon2():
    from config.settings import security

    assert security.PASSWORD_HASHERS[0].endswith("Argon2PasswordHasher")
    assert live_settings.AUTH_USER_MODEL == "accounts.User"

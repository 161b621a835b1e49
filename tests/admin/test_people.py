"""Users, keys and sessions in the admin: made, switched off, ended; secrets shown once; everything logged."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import Group, Permission
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import ApiKey, AuditEntry, RefreshFamily, User
from apps.accounts.services import api_keys, audit
from tests import factories

NEW_PASSWORD = "another-long-passphrase"


def test_a_user_is_made_with_e_mail_and_password(client: Client, operator: User) -> None:
    posted = {"email": " New.Person@Example.com ", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    answer = client.post(reverse("admin:accounts_user_add"), posted)
    assert answer.status_code == 302
    made = User.objects.get(email="new.person@example.com")
    assert made.check_password(NEW_PASSWORD) and not made.is_staff and not made.is_superuser
    assert AuditEntry.objects.get(action="user.created").actor_id == operator.pk


def test_an_e_mail_in_use_and_a_weak_password_are_refused(client: Client, operator: User) -> None:
    url = reverse("admin:accounts_user_add")
    taken = client.post(url, {"email": operator.email.upper(), "password1": NEW_PASSWORD, "password2": NEW_PASSWORD})
    weak = client.post(url, {"email": "x@example.com", "password1": "12345", "password2": "12345"})
    for answer, name in ((taken, "email"), (weak, "password2")):
        assert answer.status_code == 200 and name in answer.context["adminform"].form.errors
    assert User.objects.count() == 1


def test_switching_a_user_off_is_logged_with_before_and_after(client: Client, operator: User) -> None:
    user = factories.make_user()
    answer = client.post(reverse("admin:accounts_user_change", args=[user.pk]), {"email": user.email})
    assert answer.status_code == 302
    user.refresh_from_db()
    assert not user.is_active
    entry = AuditEntry.objects.get(action="user.updated")
    assert (entry.before["is_active"], entry.after["is_active"], entry.actor_id) == (True, False, operator.pk)


def test_rights_given_to_a_user_are_logged(client: Client, operator: User) -> None:
    user, group = factories.make_user(), Group.objects.create(name="Night shift")
    posted = {"email": user.email, "is_active": "on", "is_staff": "on", "groups": [group.pk]}
    client.post(reverse("admin:accounts_user_change", args=[user.pk]), posted)
    assert list(user.groups.all()) == [group]
    assert AuditEntry.objects.get(action="user.permissions.updated").after["groups"] == ["Night shift"]


def test_what_a_group_may_do_is_logged(client: Client, operator: User) -> None:
    right = Permission.objects.get(codename="view_position")
    client.post(reverse("admin:auth_group_add"), {"name": "Viewers", "permissions": [right.pk]})
    group = Group.objects.get(name="Viewers")
    client.post(reverse("admin:auth_group_change", args=[group.pk]), {"name": "Viewers", "permissions": []})
    client.post(reverse("admin:auth_group_delete", args=[group.pk]), {"post": "yes"})
    entries = AuditEntry.objects.filter(object_type="group").order_by("id")
    assert [entry.action for entry in entries] == ["group.created", "group.updated", "group.deleted"]
    assert entries[1].before["permissions"] == ["view_position"] and entries[1].after["permissions"] == []


def test_a_new_password_ends_every_session(client: Client, operator: User) -> None:
    user = factories.make_user()
    family = factories.make_session(user)
    url = reverse("admin:auth_user_password_change", args=[user.pk])
    assert client.get(url).status_code == 200
    answer = client.post(url, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})
    assert answer.status_code == 302
    user.refresh_from_db()
    family.refresh_from_db()
    assert user.check_password(NEW_PASSWORD)
    assert family.end_reason == "password_changed"
    assert AuditEntry.objects.get(action="user.password_changed").actor_id == operator.pk


def test_an_operator_who_is_no_administrator_hands_out_no_rights(operator: User) -> None:
    clerk = factories.make_user(is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    client = Client()
    client.force_login(clerk)
    own = reverse("admin:accounts_user_change", args=[clerk.pk])
    posted = {"email": clerk.email, "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    assert client.post(own, posted).status_code == 302
    clerk.refresh_from_db()
    assert not clerk.is_superuser
    above = reverse("admin:accounts_user_change", args=[operator.pk])
    assert client.post(above, {"email": "mine@example.com"}).status_code == 403
    passwords = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    assert client.post(reverse("admin:auth_user_password_change", args=[operator.pk]), passwords).status_code == 403
    operator.refresh_from_db()
    assert operator.email == "operator@example.com" and operator.check_password(factories.PASSWORD)


def test_a_new_key_is_shown_once_and_works(client: Client, operator: User) -> None:
    user = factories.make_user()
    url = reverse("admin:accounts_apikey_new_key")
    answer = client.post(url, {"user": user.pk, "name": "Source", "scopes": ["signals:create"], "lives": "30"})
    secret = answer.context["secret"]
    assert answer.status_code == 200 and secret in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    row = api_keys.identify(secret)
    assert (row.user, row.scopes) == (user, ["signals:create"])
    assert row.expires_at is not None and row.expires_at - timezone.now() < timedelta(days=30)
    for page in ("admin:accounts_apikey_changelist", "admin:accounts_auditentry_changelist"):
        assert secret not in client.get(reverse(page)).content.decode()
    assert secret not in client.get(reverse("admin:accounts_apikey_change", args=[row.pk])).content.decode()
    assert not list(get_messages(answer.wsgi_request))
    assert AuditEntry.objects.get(action="api_key.created").actor_id == operator.pk


def test_a_key_without_scope_is_not_made(client: Client, operator: User) -> None:
    answer = client.post(reverse("admin:accounts_user_new_key", args=[operator.pk]), {"user": operator.pk, "name": "x"})
    assert "scopes" in answer.context["form"].errors
    assert not ApiKey.objects.exists()


def test_a_revoked_key_is_gone(client: Client, operator: User) -> None:
    key, _ = factories.make_api_key(factories.make_user())
    answer = client.post(reverse("admin:accounts_apikey_revoke", args=[key.pk]))
    assert answer["Location"] == reverse("admin:accounts_apikey_changelist")
    assert not ApiKey.objects.exists()
    assert AuditEntry.objects.get(action="api_key.deleted").object_id == str(key.pk)


def test_one_session_or_all_of_a_user_are_ended(client: Client, operator: User) -> None:
    user = factories.make_user()
    one, two, others = factories.make_session(user), factories.make_session(user), factories.make_session(operator)
    client.post(reverse("admin:accounts_refreshfamily_end", args=[one.pk]))
    ended = RefreshFamily.objects.exclude(ended_at=None)
    assert list(ended.values_list("pk", "end_reason")) == [(one.pk, "ended_by_operator")]
    assert AuditEntry.objects.get(action="session.ended").object_id == str(one.pk)
    client.post(reverse("admin:accounts_user_end_sessions", args=[user.pk]))
    assert set(ended.values_list("pk", flat=True)) == {one.pk, two.pk}
    user.refresh_from_db()
    assert user.tokens_valid_from is not None
    assert others.ended_at is None


def test_a_locked_user_is_unlocked(client: Client, operator: User) -> None:
    user = factories.make_user(failed_logins=5, locked_until=timezone.now() + timedelta(minutes=9))
    client.post(reverse("admin:accounts_user_unlock", args=[user.pk]))
    user.refresh_from_db()
    assert (user.failed_logins, user.locked_until) == (0, None)
    assert AuditEntry.objects.get(action="user.unlocked").before["failed_logins"] == 5


def test_the_audit_page_shows_what_changed_line_by_line(client: Client, operator: User) -> None:
    entry = AuditEntry.objects.create(
        actor_label="someone",
        action="agent.config.updated",
        object_type="agent",
        object_id="1",
        before={"dca": {"enabled": False, "mode": "moderate"}},
        after={"dca": {"enabled": True, "mode": "moderate"}, "note": "<script>"},
    )
    page = client.get(reverse("admin:accounts_auditentry_change", args=[entry.pk])).content.decode()
    assert "<th>dca.enabled</th><td>false</td><td>true</td>" in page
    assert "dca.mode" not in page
    assert "&lt;script&gt;" in page and "<td><script>" not in page


def test_the_history_of_an_object_is_its_audit_log_and_nothing_elses(client: Client, operator: User) -> None:
    group, key = Group.objects.create(name="Viewers"), factories.make_api_key(operator)[0]
    for kind, object_id in (("group", group.pk), ("signal", group.pk), ("api_key", key.pk)):
        audit.record(actor=operator, action=f"{kind}.created", object_type=kind, object_id=object_id)
    for name, row, action in (("auth_group", group, "group.created"), ("accounts_apikey", key, "api_key.created")):
        answer = client.get(client.get(reverse(f"admin:{name}_history", args=[row.pk]))["Location"])
        assert [entry.action for entry in answer.context["cl"].result_list] == [action]

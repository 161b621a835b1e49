"""Users, keys and sessions in the admin: made, switched off, ended; secrets shown once; everything logged."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import AdminSession, ApiKey, AuditEntry, RefreshFamily, SecondFactor, User
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


def _clerk(*codenames: str) -> Client:
    """Return the browser of an operator who is no administrator and may do what is named."""
    clerk = factories.make_user(is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(clerk)
    return client


def test_what_is_an_administrators_an_operator_does_not_touch(operator: User) -> None:
    clerk = _clerk(
        "view_user", "change_user", "view_apikey", "change_apikey", "view_refreshfamily", "change_refreshfamily",
        "view_adminsession", "change_adminsession", "view_secondfactor", "change_secondfactor",
    )  # fmt: skip
    key, _ = factories.make_api_key(operator)
    factories.make_second_factor(operator)
    session, of_admin = factories.make_session(operator), factories.make_admin_session(operator)
    factor = SecondFactor.objects.get(user=operator)
    pages = [
        reverse("admin:accounts_user_end_sessions", args=[operator.pk]),
        reverse("admin:accounts_user_unlock", args=[operator.pk]),
        reverse("admin:accounts_user_reset_second_factor", args=[operator.pk]),
        reverse("admin:accounts_user_new_key", args=[operator.pk]),
        reverse("admin:accounts_apikey_revoke", args=[key.pk]),
        reverse("admin:accounts_refreshfamily_end", args=[session.pk]),
        reverse("admin:accounts_adminsession_end", args=[of_admin.pk]),
        reverse("admin:accounts_secondfactor_reset", args=[factor.pk]),
    ]
    before = AuditEntry.objects.count()
    assert [clerk.post(page).status_code for page in pages] == [403] * len(pages)
    for name, row in (("refreshfamily", session), ("adminsession", of_admin)):
        posted = {"action": "end_selected", "_selected_action": [str(row.pk)], "confirmed": "yes"}
        clerk.post(reverse(f"admin:accounts_{name}_changelist"), posted)
    wanted = {"user": operator.pk, "name": "mine", "scopes": ["full_access"]}
    page = clerk.post(reverse("admin:accounts_apikey_new_key"), wanted)
    assert "user" in page.context["form"].errors, "no key acts for an administrator by an operator's hand"
    assert AuditEntry.objects.count() == before
    session.refresh_from_db()
    assert session.ended_at is None
    assert AdminSession.objects.filter(pk=of_admin.pk).exists() and SecondFactor.objects.filter(user=operator).exists()
    assert list(ApiKey.objects.filter(user=operator)) == [key]


def test_an_operator_does_so_for_everybody_else(operator: User) -> None:
    clerk, user = _clerk("view_user", "change_user", "view_apikey", "change_apikey"), factories.make_user()
    session = factories.make_session(user)
    assert clerk.post(reverse("admin:accounts_user_end_sessions", args=[user.pk])).status_code == 302
    session.refresh_from_db()
    assert session.end_reason == "ended_by_operator"
    posted = {"user": user.pk, "name": "theirs", "scopes": ["agents"], "allowed_ips": "10.0.0.0/8 2001:db8::/48"}
    assert clerk.post(reverse("admin:accounts_apikey_new_key"), posted).context["secret"].startswith("nex_")
    assert ApiKey.objects.get().allowed_ips == ["10.0.0.0/8", "2001:db8::/48"]
    posted["allowed_ips"] = "somewhere"
    assert "allowed_ips" in clerk.post(reverse("admin:accounts_apikey_new_key"), posted).context["form"].errors
    assert ApiKey.objects.count() == 1


def test_an_id_of_nothing_is_not_found_by_any_button(client: Client) -> None:
    clerk = _clerk("view_user", "change_user", "change_secondfactor", "view_secondfactor")
    for browser in (client, clerk):
        for page in ("accounts_user_unlock", "accounts_secondfactor_reset"):
            assert browser.post(reverse(f"admin:{page}", args=["nothing"])).status_code == 404


def test_an_admin_session_is_ended_from_its_list(client: Client, operator: User) -> None:
    user = factories.make_operator()
    browser = Client(REMOTE_ADDR="198.51.100.9", headers={"user-agent": "Firefox"})
    browser.post("/admin/login/", {"username": user.email, "password": factories.PASSWORD})
    page = client.get(reverse("admin:accounts_adminsession_changelist")).content.decode()
    assert "198.51.100.9" in page and "Firefox" in page
    row = AdminSession.objects.get(user=user)
    answer = client.post(reverse("admin:accounts_adminsession_end", args=[row.pk]))
    assert answer["Location"] == reverse("admin:accounts_adminsession_changelist")
    assert browser.get("/admin/me/").status_code == 302
    assert AuditEntry.objects.get(action="session.ended").actor_id == operator.pk


def test_a_second_factor_is_reset_and_its_secret_shown_to_nobody(client: Client, operator: User) -> None:
    user = factories.make_user()
    codes = factories.make_second_factor(user)
    factor = SecondFactor.objects.get(user=user)
    pages = [
        reverse("admin:accounts_secondfactor_changelist"),
        reverse("admin:accounts_secondfactor_change", args=[factor.pk]),
        reverse("admin:accounts_user_change", args=[user.pk]),
    ]
    for page in pages:
        shown = client.get(page).content.decode()
        assert factor.key not in shown and not any(code in shown for code in codes)
    client.post(reverse("admin:accounts_user_reset_second_factor", args=[user.pk]))
    assert not SecondFactor.objects.exists()
    again = client.post(reverse("admin:accounts_user_reset_second_factor", args=[user.pk]))
    assert "TOTP_NOT_SET_UP" in str(again.context["form"].errors)


def test_no_page_shows_or_edits_what_django_otp_stores(client: Client) -> None:
    assert not {model for model in admin.site._registry if model.__module__.startswith("django_otp")}


def test_who_did_what_to_what_and_when_can_be_filtered(client: Client, operator: User) -> None:
    other, group = factories.make_operator(), Group.objects.create(name="Viewers")
    audit.record(actor=operator, action="group.created", object_type="group", object_id=group.pk, after={"a": 1})
    audit.record(actor=other, action="group.updated", object_type="group", object_id=group.pk, after={"a": 2})
    audit.record(actor=None, action="agent.updated", object_type="agent", object_id="1", after={"a": 3})
    queries = {
        f"actor__id__exact={operator.pk}": {"group.created"},
        "by=system": {"agent.updated"},
        "by=person": {"group.created", "group.updated"},
        "action=group.updated": {"group.updated"},
        "object_type=agent": {"agent.updated"},
        f"object=group:{group.pk}": {"group.created", "group.updated"},
        f"object={group.pk}": {"group.created", "group.updated"},
        "at_from_0=2999-01-01&at_from_1=00:00": set(),
    }
    for query, wanted in queries.items():
        answer = client.get(f"{reverse('admin:accounts_auditentry_changelist')}?{query}")
        assert answer.status_code == 200, query
        assert {entry.action for entry in answer.context["cl"].result_list} == wanted, query


def test_the_audit_log_links_who_and_which(client: Client, operator: User) -> None:
    key, _ = factories.make_api_key(operator)
    entry = audit.record(
        actor=operator, action="api_key.created", object_type="api_key", object_id=key.pk, after={"name": "k"}
    )
    for page in (
        reverse("admin:accounts_auditentry_changelist"),
        reverse("admin:accounts_auditentry_change", args=[entry.pk]),
    ):
        shown = client.get(page).content.decode()
        assert reverse("admin:accounts_user_change", args=[operator.pk]) in shown
        assert reverse("admin:accounts_apikey_change", args=[key.pk]) in shown

"""Where I am signed in: listed with place and time, ended one by one or all at once, the admin's sessions with them."""

from datetime import timedelta
from threading import Barrier, Thread
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.accounts import selectors, tokens
from apps.accounts.admin_sessions import session_id
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import AdminSession, AuditEntry, RefreshFamily
from apps.accounts.services import last_use, sessions, users
from tests.apiclient import Api, api_of, api_with_key
from tests.factories import PASSWORD, make_admin_session, make_api_key, make_operator, make_session, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user()


def sign_in(user, password=PASSWORD, **headers):
    api = Api(address="203.0.113.7", **headers)
    return api.post("/auth/login", {"email": user.email, "password": password}).json


def with_token(pair):
    return Api(authorization=f"Bearer {pair['accessToken']}")


def refresh(pair):
    return Api().post("/auth/refresh", {"refreshToken": pair["refreshToken"]})


def in_admin(user, **extra):
    client = Client(**extra)
    client.force_login(user)
    return client


def is_in_admin(client):
    return client.get("/admin/me/").status_code == 200


def test_sessions_are_listed_newest_first_with_place_and_time(user):
    sign_in(user, **{"user-agent": "Desk/1.0"})
    here = sign_in(user, **{"user-agent": "Phone/2.0"})
    answer = with_token(here).get("/auth/sessions")
    assert answer.status == 200
    assert answer.headers["X-Total-Count"] == "2"
    newest, older = answer.json
    assert set(newest) == {
        "id",
        "kind",
        "createdAt",
        "lastUsedAt",
        "expiresAt",
        "address",
        "userAgent",
        "current",
    }
    assert (newest["userAgent"], newest["address"], newest["kind"]) == ("Phone/2.0", "203.0.113.7", "api")
    assert (newest["current"], older["current"]) == (True, False)
    assert older["userAgent"] == "Desk/1.0"


def test_a_refresh_is_a_use_also_of_a_client_that_keeps_its_first_token(user):
    pair = sign_in(user)
    RefreshFamily.objects.update(last_used_at=timezone.now() - timedelta(hours=3))
    for _ in range(2):
        before = RefreshFamily.objects.get().last_used_at
        assert refresh(pair).status == 200
        assert RefreshFamily.objects.get().last_used_at > before


def test_what_has_ended_or_expired_is_not_listed_and_others_sessions_never(user):
    here = sign_in(user)
    make_session(user, ended_at=timezone.now(), end_reason="signed_out")
    make_session(user, expires_at=timezone.now() - timedelta(seconds=1))
    make_admin_session(user, expires_at=timezone.now() - timedelta(seconds=1))
    make_session(make_user())
    make_admin_session(make_operator())
    assert [row["current"] for row in with_token(here).get("/auth/sessions").json] == [True]


def test_a_user_agent_of_any_length_and_letters_is_kept_as_text(user):
    sign_in(user, **{"user-agent": "<script>" + "x" * 500})
    family = RefreshFamily.objects.get()
    assert family.user_agent == "<script>" + "x" * 292
    assert sessions.Client.of(address="::1", user_agent="a\x00b\x1bc").user_agent == "abc"


def test_one_session_is_ended_and_the_others_go_on(user):
    here, there = sign_in(user), sign_in(user)
    there_id = next(row["id"] for row in with_token(here).get("/auth/sessions").json if not row["current"])
    assert with_token(here).delete(f"/auth/sessions/{there_id}").json["success"] is True
    assert with_token(there).get("/auth/me").code == "TOKEN_REVOKED"
    assert refresh(there).code == "SESSION_ENDED"
    assert with_token(here).get("/auth/me").status == 200
    assert RefreshFamily.objects.get(pk=there_id).end_reason == "ended_by_user"
    entry = AuditEntry.objects.get(action="session.ended")
    assert (entry.actor_id, entry.object_id, entry.before["address"]) == (user.pk, there_id, "203.0.113.7")
    assert with_token(here).delete(f"/auth/sessions/{there_id}").code == "SESSION_NOT_FOUND"


def test_somebody_elses_session_is_not_found_and_lives_on(user):
    foreign, of_admin = make_session(make_user()), make_admin_session(make_operator())
    for session in (foreign, of_admin):
        answer = api_of(user).delete(f"/auth/sessions/{session.pk}")
        assert (answer.status, answer.code) == (404, "SESSION_NOT_FOUND")
    foreign.refresh_from_db()
    assert foreign.ended_at is None and AdminSession.objects.filter(pk=of_admin.pk).exists()
    assert api_of(user).delete("/auth/sessions/all").code == "INVALID_ID"
    assert not AuditEntry.objects.exists()


def test_an_api_key_neither_sees_nor_ends_sessions(user):
    _, secret = make_api_key(user)
    family = make_session(user)
    api = api_with_key(secret)
    assert api.get("/auth/sessions").status == 401
    assert api.delete(f"/auth/sessions/{family.pk}").status == 401
    assert api.post("/auth/logout-all").status == 401
    family.refresh_from_db()
    assert family.ended_at is None


def test_signing_out_everywhere_ends_every_session_but_no_key():
    user, other = make_operator(), make_user()
    pairs, stranger = [sign_in(user), sign_in(user)], sign_in(other)
    browser = in_admin(user)
    _, secret = make_api_key(user)
    assert is_in_admin(browser)
    assert with_token(pairs[0]).post("/auth/logout-all").json["success"] is True
    for pair in pairs:
        assert with_token(pair).get("/auth/me").code == "TOKEN_REVOKED"
        assert refresh(pair).code == "SESSION_ENDED"
    assert not is_in_admin(browser)
    assert api_with_key(secret).get("/agents").status == 200
    assert with_token(stranger).get("/auth/me").status == 200
    entry = AuditEntry.objects.get(action="user.sessions_ended")
    assert (entry.actor_id, entry.before) == (user.pk, {"sessions": 3})
    assert with_token(sign_in(user)).get("/auth/me").status == 200, "one may sign in again at once"


def test_a_ticket_of_before_opens_nothing_after_signing_out_everywhere(user):
    early = tokens.ticket(user, family_id=None, now=timezone.now() - timedelta(seconds=5), lives_seconds=60)
    sessions.sign_out_everywhere(user=user, actor=user, reason="ended_by_user")
    with pytest.raises(Unauthenticated):
        selectors.user_of(sessions.redeem_ticket(early))
    late = sessions.issue_ticket(user=user, claims=None)
    assert selectors.user_of(sessions.redeem_ticket(late)) == user


def test_the_admins_sessions_are_listed_with_their_place_and_ended_like_any_other():
    user = make_operator()
    here = sign_in(user)
    browser = Client(REMOTE_ADDR="198.51.100.9", headers={"user-agent": "Firefox"})
    browser.force_login(user)
    browser_row = next(row for row in with_token(here).get("/auth/sessions").json if row["kind"] == "admin")
    assert browser_row["current"] is False
    assert UUID(browser_row["id"]) == session_id(browser.session.session_key or "")
    assert with_token(here).delete(f"/auth/sessions/{browser_row['id']}").status == 200
    assert not is_in_admin(browser)
    assert AuditEntry.objects.get(action="session.ended").object_type == "admin_session"


def test_an_admin_sign_in_leaves_where_it_came_from():
    user = make_operator()
    browser = Client(REMOTE_ADDR="198.51.100.9", headers={"user-agent": "Firefox"})
    browser.post("/admin/login/", {"username": user.email, "password": PASSWORD})
    row = AdminSession.objects.get(user=user)
    assert (row.address, row.user_agent) == ("198.51.100.9", "Firefox")
    assert timezone.now() - row.created_at < timedelta(minutes=1)


def test_the_cookie_of_an_admin_session_is_nowhere_in_the_database():
    user = make_operator()
    browser = in_admin(user)
    key = browser.session.session_key
    row = AdminSession.objects.get(user=user)
    assert key not in (str(row.pk), row.session_data)
    for cookie in list(browser.cookies):
        browser.cookies[cookie] = str(row.pk)
    assert not is_in_admin(browser), "the stored key signs nobody in"


def test_signing_out_of_the_admin_removes_its_session():
    user = make_operator()
    browser, other = in_admin(user), in_admin(user)
    browser.post("/admin/logout/")
    assert AdminSession.objects.filter(user=user).count() == 1
    assert is_in_admin(other)


def test_an_admin_sessions_use_is_written_at_most_once_a_minute():
    user = make_operator()
    browser = in_admin(user)
    key = session_id(browser.session.session_key or "")
    is_in_admin(browser)
    last_use.write_all()
    first = AdminSession.objects.get(pk=key).last_used_at
    assert first is not None
    is_in_admin(browser)
    last_use.write_all()
    assert AdminSession.objects.get(pk=key).last_used_at == first


def test_another_process_that_noted_the_same_minute_writes_nothing(user):
    key, _ = make_api_key(user)
    mine, others = last_use.LastUse(type(key)), last_use.LastUse(type(key))
    mine.note(key.pk, newest=None)
    others.note(key.pk, newest=None)
    mine.write()
    key.refresh_from_db()
    first = key.last_used_at
    others.write()
    key.refresh_from_db()
    assert key.last_used_at == first


def test_switching_a_user_off_ends_every_session_for_good():
    user = make_operator()
    pair, browser = sign_in(user), in_admin(user)
    users.update_user(user=user, actor=None, is_active=False)
    users.update_user(user=user, actor=None, is_active=True)
    assert with_token(pair).get("/auth/me").code == "TOKEN_REVOKED"
    assert refresh(pair).code == "SESSION_ENDED"
    assert not is_in_admin(browser)
    assert RefreshFamily.objects.get().end_reason == "deactivated"


def test_who_is_no_operator_any_more_is_signed_out():
    user = make_operator()
    pair, browser = sign_in(user), in_admin(user)
    users.update_user(user=user, actor=None, is_staff=False)
    assert with_token(pair).get("/auth/me").status == 401
    assert not AdminSession.objects.filter(user=user).exists()
    assert not is_in_admin(browser)


def test_a_change_that_concerns_no_sign_in_leaves_sessions_alone(user):
    pair = sign_in(user)
    users.update_user(user=user, actor=None, email=f"new.{user.email}")
    users.update_user(user=user, actor=None, is_staff=True)
    assert with_token(pair).get("/auth/me").status == 200


def test_expired_admin_sessions_are_pruned(user):
    make_admin_session(user, expires_at=timezone.now() - timedelta(seconds=1))
    make_admin_session(user)
    assert sessions.prune(now=timezone.now()) == 1
    assert AdminSession.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_sign_in_that_meets_a_new_password_half_way_leaves_no_session_of_the_old_one():
    """Eight sign-ins with the old password against its change: whichever order they commit in, none stays signed in."""
    user = make_user()
    start, pairs = Barrier(9), []

    def old_password():
        start.wait()
        try:
            pairs.append(Api().post("/auth/login", {"email": user.email, "password": PASSWORD}).json)
        finally:
            connection.close()

    def new_password():
        start.wait()
        try:
            users.set_password(user=user, password="another-long-phrase", actor=None)
        finally:
            connection.close()

    threads = [Thread(target=old_password) for _ in range(8)] + [Thread(target=new_password)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pairs) == 8
    assert not RefreshFamily.objects.filter(ended_at=None).exists()
    for pair in pairs:
        if "accessToken" in pair:
            assert with_token(pair).get("/auth/me").status == 401
            assert refresh(pair).status == 401

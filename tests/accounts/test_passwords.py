"""A new password of one's own: for the present one, counted like a sign-in, and the end of every other session."""

import pytest
from django.test import Client

from apps.accounts.models import AdminSession, AuditEntry, RefreshFamily
from tests.apiclient import Api, api_of, api_with_key
from tests.factories import PASSWORD, make_api_key, make_operator, make_user

pytestmark = pytest.mark.django_db
NEW = "another-long-phrase"


@pytest.fixture
def user():
    return make_user()


def sign_in(user, password=PASSWORD):
    return Api().post("/auth/login", {"email": user.email, "password": password})


def with_token(pair):
    return Api(authorization=f"Bearer {pair['accessToken']}")


def change(api, current=PASSWORD, new=NEW):
    return api.post("/auth/password", {"currentPassword": current, "newPassword": new})


def test_the_password_is_changed_and_every_other_session_ends(user):
    here, there = sign_in(user).json, sign_in(user).json
    assert change(with_token(here)).json["success"] is True
    assert with_token(here).get("/auth/me").status == 200
    assert Api().post("/auth/refresh", {"refreshToken": here["refreshToken"]}).status == 200
    assert with_token(there).get("/auth/me").code == "TOKEN_REVOKED"
    assert Api().post("/auth/refresh", {"refreshToken": there["refreshToken"]}).code == "SESSION_ENDED"
    assert sign_in(user).status == 401
    assert sign_in(user, NEW).status == 200
    entry = AuditEntry.objects.get(action="user.password_changed")
    assert (entry.actor_id, entry.after) == (user.pk, {"sessions_ended": 1})


def test_a_wrong_present_password_changes_nothing_and_signs_nobody_out(user):
    here, there = sign_in(user).json, sign_in(user).json
    answer = change(with_token(here), current="not-it")
    assert (answer.status, answer.code) == (400, "WRONG_PASSWORD")
    assert with_token(there).get("/auth/me").status == 200
    assert sign_in(user).status == 200
    assert not AuditEntry.objects.exists()


def test_a_stolen_session_cannot_guess_the_password(user):
    here = sign_in(user).json
    assert [change(with_token(here), current="not-it").status for _ in range(5)] == [400] * 5
    answer = change(with_token(here))
    assert (answer.status, answer.code) == (423, "ACCOUNT_LOCKED")
    assert answer.json["lockedUntil"]
    assert sign_in(user).status == 423
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "INVALID_CURRENT_PASSWORD"),
        ({"currentPassword": PASSWORD}, "INVALID_NEW_PASSWORD"),
        ({"currentPassword": PASSWORD, "newPassword": ""}, "INVALID_NEW_PASSWORD"),
        ({"currentPassword": PASSWORD, "newPassword": 5}, "INVALID_NEW_PASSWORD"),
        ({"currentPassword": PASSWORD, "newPassword": "short"}, "INVALID_PASSWORD"),
        ({"currentPassword": PASSWORD, "newPassword": "password"}, "INVALID_PASSWORD"),
    ],
)
def test_a_password_the_rules_refuse_is_not_taken(user, body, code):
    answer = api_of(user).post("/auth/password", body)
    assert (answer.status, answer.code) == (400, code)
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_an_api_key_changes_no_password(user):
    _, secret = make_api_key(user)
    assert change(api_with_key(secret)).status == 401
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_a_change_through_the_api_ends_the_admins_sessions():
    user = make_operator()
    browser = Client()
    browser.force_login(user)
    assert change(with_token(sign_in(user).json)).status == 200
    assert browser.get("/admin/me/").status_code == 302
    assert not AdminSession.objects.filter(user=user).exists()


def test_the_admins_own_page_changes_the_password_and_keeps_its_session():
    user = make_operator()
    here, there = Client(), Client()
    here.force_login(user)
    there.force_login(user)
    pair = sign_in(user).json
    posted = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    answer = here.post("/admin/password_change/", posted)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/me/")
    assert here.get("/admin/me/").status_code == 200
    assert there.get("/admin/me/").status_code == 302
    assert with_token(pair).get("/auth/me").status == 401
    assert RefreshFamily.objects.get().end_reason == "password_changed"
    user.refresh_from_db()
    assert user.check_password(NEW)
    assert AuditEntry.objects.get(action="user.password_changed").actor_id == user.pk


def test_the_admins_own_page_counts_wrong_passwords():
    user = make_operator()
    here = Client()
    here.force_login(user)
    posted = {"old_password": "not-it", "new_password1": NEW, "new_password2": NEW}
    for _ in range(5):
        assert "old_password" in here.post("/admin/password_change/", posted).context["form"].errors
    page = here.post("/admin/password_change/", {**posted, "old_password": PASSWORD})
    assert "sign-in is closed until" in str(page.context["form"].errors["old_password"])
    user.refresh_from_db()
    assert user.check_password(PASSWORD) and user.failed_logins == 5


def test_a_change_through_the_browsable_api_keeps_the_operators_session():
    user = make_operator()
    here, there = Client(), Client()
    here.force_login(user)
    there.force_login(user)
    body = {"currentPassword": PASSWORD, "newPassword": NEW}
    assert here.post("/api/v1/auth/password", body, content_type="application/json").status_code == 200
    assert here.get("/admin/me/").status_code == 200
    assert there.get("/admin/me/").status_code == 302

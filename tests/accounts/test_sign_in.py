"""Signing in: what it gives, what it refuses, and that nobody learns which e-mails exist."""

from datetime import timedelta
from threading import Barrier, Thread
from uuid import UUID

import jwt
import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import RefreshFamily, User
from tests.apiclient import Api, api_of
from tests.factories import PASSWORD, make_operator, make_user

pytestmark = pytest.mark.django_db

WRONG = "not-the-password"


def login(email, password=PASSWORD, **more):
    return Api().post("/auth/login", {"email": email, "password": password, **more})


def claims_of(token, settings):
    return jwt.decode(token, settings.JWT_SECRET, algorithms=["HS256"])


def test_sign_in_gives_both_tokens_and_the_user():
    user = make_user("trader@example.com")
    answer = login("trader@example.com")
    assert answer.status == 200
    assert set(answer.json) == {"accessToken", "refreshToken", "user"}
    assert answer.json["user"] == {
        "id": str(user.pk),
        "email": "trader@example.com",
        "createdAt": answer.json["user"]["createdAt"],
    }
    assert answer.json["user"]["createdAt"].endswith("Z")


def test_the_email_is_looked_up_in_lower_case():
    make_user("trader@example.com")
    assert login("Trader@Example.COM").status == 200


def test_tokens_carry_the_named_claims_and_live_as_long_as_promised(settings):
    user = make_user()
    answer = login(user.email)
    access = claims_of(answer.json["accessToken"], settings)
    refresh = claims_of(answer.json["refreshToken"], settings)
    for claims, kind in ((access, "access"), (refresh, "refresh")):
        assert claims["userId"] == str(user.pk)
        assert claims["email"] == user.email
        assert claims["type"] == kind
        assert str(UUID(claims["jti"])) == claims["jti"]
        assert not {"iss", "aud", "sub"} & set(claims)
    assert access["exp"] - access["iat"] == 15 * 60
    assert refresh["exp"] - refresh["iat"] == 24 * 3600


def test_remember_me_gives_thirty_days(settings):
    answer = login(make_user().email, rememberMe=True)
    claims = claims_of(answer.json["refreshToken"], settings)
    assert claims["exp"] - claims["iat"] == 30 * 24 * 3600


def test_a_wrong_password_and_an_unknown_email_get_the_same_answer():
    user = make_user()
    known, unknown = login(user.email, WRONG), login("nobody@example.com", WRONG)
    assert known.status == unknown.status == 401
    assert known.json == unknown.json
    assert known.code == "INVALID_CREDENTIALS"
    assert not RefreshFamily.objects.exists()


def test_an_inactive_user_cannot_sign_in():
    user = make_user(is_active=False)
    assert login(user.email).code == "INVALID_CREDENTIALS"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "a@example.com"}, "password"),
        ({"email": "a@example.com", "password": ""}, "password"),
        ({"email": "no address", "password": "x"}, "email"),
        ({"email": 5, "password": "x"}, "email"),
        ({"email": "a@example.com", "password": 5}, "password"),
        ({"email": "a@example.com", "password": "a\0b"}, "password"),
        ({"email": "a\0@example.com", "password": "x"}, "email"),
        ({"email": "a@example.com", "password": "x", "rememberMe": "yes"}, "rememberMe"),
        ({"email": None, "password": "x"}, "email"),
        ([], "body"),
        ("text", "body"),
    ],
)
def test_a_malformed_sign_in_names_the_field(body, field):
    answer = Api().post("/auth/login", body)
    assert answer.status == 400
    assert answer.json["success"] is False
    assert answer.code == "VALIDATION_ERROR"
    assert answer.json["error"] == "Validation failed"
    assert answer.json["details"]["errors"][0]["field"] == field


def test_unknown_fields_are_dropped():
    assert login(make_user().email, colour="blue").status == 200


def test_forms_are_read_too():
    user = make_user()
    response = Api().client.post(
        "/api/v1/auth/login",
        f"email={user.email}&password={PASSWORD}&rememberMe=true",
        content_type="application/x-www-form-urlencoded",
    )
    assert response.status_code == 200, response.content


def test_a_password_keeps_its_spaces():
    user = make_user(password=" spaced out ")
    assert login(user.email, " spaced out ").status == 200
    assert login(user.email, "spaced out").status == 401


def test_the_sixth_attempt_is_locked_out_for_fifteen_minutes_even_with_the_right_password():
    user = make_user()
    assert [login(user.email, WRONG).status for _ in range(5)] == [401] * 5
    answer = login(user.email)
    assert answer.status == 423
    assert answer.code == "ACCOUNT_LOCKED"
    user.refresh_from_db()
    assert timedelta(minutes=14) < user.locked_until - timezone.now() <= timedelta(minutes=15)
    assert answer.json["lockedUntil"][:19] == user.locked_until.isoformat()[:19]


def test_attempts_while_locked_do_not_count():
    user = make_user()
    for _ in range(9):
        login(user.email, WRONG)
    user.refresh_from_db()
    assert user.failed_logins == 5


def test_a_success_starts_the_count_again():
    user = make_user()
    for _ in range(4):
        login(user.email, WRONG)
    assert login(user.email).status == 200
    assert [login(user.email, WRONG).status for _ in range(5)] == [401] * 5


def test_the_count_starts_again_when_the_lock_has_run_out():
    user = make_user(failed_logins=5, locked_until=timezone.now() - timedelta(seconds=1))
    assert login(user.email, WRONG).status == 401
    user.refresh_from_db()
    assert (user.failed_logins, user.locked_until) == (1, None)
    assert login(user.email).status == 200


def test_an_email_nobody_has_is_locked_like_one_somebody_has():
    user = make_user()
    known = [login(user.email, WRONG) for _ in range(8)]
    unknown = [login("ghost@example.com", WRONG) for _ in range(8)]
    assert [a.status for a in known] == [a.status for a in unknown] == [401] * 5 + [423] * 3
    assert set(known[-1].json) == set(unknown[-1].json)
    assert len({a.json["lockedUntil"] for a in unknown[5:]}) == 1


@pytest.mark.django_db(transaction=True)
def test_twenty_wrong_passwords_at_once_lock_after_exactly_five(settings):
    user = make_user()
    start, answers = Barrier(20), []

    def attempt():
        start.wait()
        try:
            answers.append(login(user.email, WRONG).status)
        finally:
            connection.close()

    threads = [Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    user = User.objects.get(pk=user.pk)
    assert user.failed_logins == 5
    assert user.locked_until > timezone.now()
    assert sorted(answers) == [401] * 5 + [423] * 15


def test_a_lock_holds_for_the_admin_too():
    operator = make_operator()
    client = Api().client
    assert client.login(username=operator.email, password=PASSWORD)
    client.logout()
    for _ in range(5):
        assert not client.login(username=operator.email, password=WRONG)
    assert not client.login(username=operator.email, password=PASSWORD)


def test_sign_in_is_limited_per_address_and_says_when_to_come_back(settings):
    settings.LOGINS_PER_MINUTE = 2
    api = Api(address="203.0.113.7")
    body = {"email": "nobody@example.com", "password": "x"}
    answers = [api.post("/auth/login", body) for _ in range(7)]  # a minute may end between two of them
    answer = next(answer for answer in answers if answer.status == 429)
    assert answer.code == "RATE_LIMITED"
    assert 1 <= answer.json["retryAfter"] <= 60
    assert answer.headers["Retry-After"] == str(answer.json["retryAfter"])
    assert Api(address="203.0.113.8").post("/auth/login", body).status == 401


def test_who_am_i():
    user = make_user()
    answer = api_of(user).get("/auth/me")
    assert answer.status == 200
    assert set(answer.json) == {"id", "email", "createdAt"}


def test_who_am_i_of_a_deleted_user_is_not_found():
    user = make_user()
    api = api_of(user)
    user.delete()
    answer = api.get("/auth/me")
    assert (answer.status, answer.code) == (404, "USER_NOT_FOUND")
    assert api.get("/agents").status == 401


def test_registration_is_not_offered():
    answer = Api().post("/auth/register", {"email": "a@example.com", "password": "x"})
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert answer.json["success"] is False

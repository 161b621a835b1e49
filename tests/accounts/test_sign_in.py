"""Signing in: what it gives, what it refuses, and that nobody learns which e-mails exist."""

from datetime import timedelta
from threading import Barrier, Thread
from typing import Any
from unittest.mock import patch
from uuid import UUID

import jwt
import pytest
from django.contrib.auth.hashers import get_hasher
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import AdminSession, RefreshFamily, StrangerAttempts, User
from apps.accounts.services import attempts
from tests.apiclient import Api, api_of
from tests.factories import PASSWORD, make_operator, make_second_factor, make_user, totp_code

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


def test_every_way_to_a_wrong_sign_in_costs_one_hash_and_the_same_queries(settings):
    """What takes time is the same for an e-mail somebody has and one nobody has; locked, neither hashes anything."""
    user, off = make_user(), make_user(is_active=False)
    emails = (user.email, off.email, "nobody@example.com")
    hashed: list[int] = []
    hasher = get_hasher()
    encode = type(hasher).encode

    def counted(*given: Any, **named: Any) -> str:
        hashed.append(1)
        return encode(*given, **named)

    with patch.object(type(hasher), "encode", counted):
        for attempt in range(7):
            costs = {}
            for email in emails:
                hashed.clear()
                with CaptureQueriesContext(connection) as queries:
                    answer = login(email, WRONG)
                costs[email] = (answer.status, len(hashed), len(queries))
            assert len(set(costs.values())) == 1, costs
            status, hashes, _ = costs[user.email]
            assert (status, hashes) == ((401, 1) if attempt < 5 else (423, 0))


def test_an_email_nobody_has_is_counted_in_the_database_and_forgotten_in_time():
    for _ in range(6):
        login("Ghost@example.com", WRONG)
    row = StrangerAttempts.objects.get()
    assert row.failed_logins == 5 and row.locked_until > timezone.now()
    assert "ghost" not in row.email_hash
    assert attempts.prune(now=timezone.now() + timedelta(days=29)) == 0
    assert attempts.prune(now=timezone.now() + timedelta(days=31)) == 1


def test_the_count_of_an_unknown_email_starts_again_when_its_lock_has_run_out():
    for _ in range(6):
        login("ghost@example.com", WRONG)
    StrangerAttempts.objects.update(locked_until=timezone.now() - timedelta(seconds=1))
    assert login("ghost@example.com", WRONG).status == 401
    row = StrangerAttempts.objects.get()
    assert (row.failed_logins, row.locked_until) == (1, None)


def sign_in_to_admin(email, password=PASSWORD, **fields):
    return Api().client.post("/admin/login/", {"username": email, "password": password, **fields})


def test_the_admins_door_counts_and_says_the_same_for_known_and_unknown():
    operator = make_operator()
    pages = {
        email: [sign_in_to_admin(email, WRONG) for _ in range(6)] for email in (operator.email, "ghost@example.com")
    }
    told = {email: [page.context["form"].non_field_errors() for page in shown] for email, shown in pages.items()}
    assert told[operator.email][:5] == told["ghost@example.com"][:5] == [["E-mail or password is wrong."]] * 5
    for email in told:
        assert "sign-in is closed until" in told[email][5][0]
    assert "sign-in is closed" in str(sign_in_to_admin(operator.email).context["form"].errors)
    assert login(operator.email).status == 423, "it is one count"
    assert not AdminSession.objects.exists()


def test_the_admins_door_opens_for_operators_only():
    operator, user = make_operator(), make_user()
    assert sign_in_to_admin(operator.email).status_code == 302
    page = sign_in_to_admin(user.email)
    assert page.context["form"].non_field_errors() == ["This account does not open the admin."]
    assert not AdminSession.objects.filter(user=user).exists()


def test_the_admins_door_asks_for_the_code_of_who_has_one():
    operator = make_operator()
    codes = make_second_factor(operator)
    page = sign_in_to_admin(operator.email)
    form = page.context["form"]
    assert form.second_step and not AdminSession.objects.filter(user=operator).exists()
    shown = page.content.decode()
    assert 'name="code"' in shown and 'name="password"' not in shown and PASSWORD not in shown
    voucher = form.data["voucher"]
    client = Api().client
    wrong = client.post("/admin/login/", {"voucher": voucher, "code": "nonsense"})
    assert wrong.context["form"].non_field_errors() == ["The code is wrong or was used before."]
    assert wrong.context["form"].second_step
    answer = client.post("/admin/login/", {"voucher": voucher, "code": totp_code(operator)})
    assert answer.status_code == 302 and client.get("/admin/me/").status_code == 200
    other = Api().client
    assert other.post("/admin/login/", {"voucher": voucher, "code": codes[0]}).status_code == 302


def test_the_admins_door_lets_nobody_in_without_the_password():
    operator = make_operator()
    make_second_factor(operator)
    client = Api().client
    for posted in (
        {"username": operator.email, "code": totp_code(operator)},
        {"voucher": "made-up", "code": totp_code(operator)},
        {"username": operator.email, "password": WRONG, "code": totp_code(operator)},
        {"username": operator.email, "password": PASSWORD, "code": totp_code(operator)},
    ):
        assert client.post("/admin/login/", posted).status_code == 200, posted
    assert not AdminSession.objects.filter(user=operator).exists()


@pytest.mark.django_db(transaction=True)
def test_twenty_wrong_passwords_at_an_unknown_email_lock_after_exactly_five():
    start, answers = Barrier(20), []

    def attempt():
        start.wait()
        try:
            answers.append(login("ghost@example.com", WRONG).status)
        finally:
            connection.close()

    threads = [Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert StrangerAttempts.objects.get().failed_logins == 5
    assert sorted(answers) == [401] * 5 + [423] * 15


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


def test_the_admins_door_has_the_same_limit_per_address(settings):
    settings.LOGINS_PER_MINUTE = 2
    client = Api(address="203.0.113.77").client
    posted = {"username": "nobody@example.com", "password": "x"}
    told = [str(client.post("/admin/login/", posted).context["form"].non_field_errors()) for _ in range(7)]
    assert any("Too many requests" in text for text in told)
    assert StrangerAttempts.objects.get().failed_logins < 7


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

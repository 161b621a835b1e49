"""Sessions: what a refresh token may do, and what ends it."""

from datetime import timedelta
from threading import Barrier, Thread

import jwt
import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts import tokens
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import RefreshFamily, RevokedToken
from apps.accounts.services import sessions, users
from tests.apiclient import Api
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user()


@pytest.fixture
def signed_in(user):
    return Api().post("/auth/login", {"email": user.email, "password": PASSWORD}).json


def refresh(token):
    return Api().post("/auth/refresh", {"refreshToken": token})


def with_token(token):
    return Api(authorization=f"Bearer {token}")


def let_time_pass(seconds):
    """Move the first use of every session's newest token into the past."""
    for family in RefreshFamily.objects.exclude(highest_first_used_at=None):
        assert family.highest_first_used_at is not None
        family.highest_first_used_at = family.highest_first_used_at - timedelta(seconds=seconds)
        family.save()


def test_a_refresh_gives_a_working_access_token_and_a_new_refresh_token(signed_in):
    answer = refresh(signed_in["refreshToken"])
    assert answer.status == 200
    assert set(answer.json) == {"accessToken", "refreshToken"}
    assert answer.json["refreshToken"] != signed_in["refreshToken"]
    assert with_token(answer.json["accessToken"]).get("/auth/me").status == 200


def test_a_client_that_keeps_sending_its_first_token_goes_on_working(signed_in):
    for _ in range(5):
        assert refresh(signed_in["refreshToken"]).status == 200
        let_time_pass(3600)


def test_two_tabs_that_present_the_same_token_get_the_same_successor(signed_in):
    first, second = refresh(signed_in["refreshToken"]), refresh(signed_in["refreshToken"])
    assert first.json["refreshToken"] == second.json["refreshToken"]
    later = [refresh(first.json["refreshToken"]) for _ in range(2)]
    assert later[0].json["refreshToken"] == later[1].json["refreshToken"]


def test_the_first_token_is_spent_once_a_later_one_was_presented(signed_in):
    second = refresh(signed_in["refreshToken"]).json["refreshToken"]
    third = refresh(second).json["refreshToken"]
    answer = refresh(signed_in["refreshToken"])
    assert (answer.status, answer.code) == (401, "SESSION_ENDED")
    assert refresh(third).code == "SESSION_ENDED", "a stolen old token must end the thief's session too"


def test_a_later_token_repeats_for_a_minute_and_then_ends_the_session(signed_in):
    second = refresh(signed_in["refreshToken"]).json["refreshToken"]
    third = refresh(second).json["refreshToken"]
    let_time_pass(55)
    assert refresh(second).status == 200
    let_time_pass(10)
    assert refresh(second).code == "SESSION_ENDED"
    assert refresh(third).code == "SESSION_ENDED"
    assert RefreshFamily.objects.get().end_reason == "reused"


def test_an_ended_session_takes_its_access_tokens_along(signed_in):
    second = refresh(signed_in["refreshToken"]).json
    refresh(second["refreshToken"])
    refresh(signed_in["refreshToken"])
    answer = with_token(second["accessToken"]).get("/auth/me")
    assert (answer.status, answer.code) == (401, "TOKEN_REVOKED")


def test_no_refresh_outlives_the_first_tokens_end(signed_in, settings):
    ends = jwt.decode(signed_in["refreshToken"], settings.JWT_SECRET, algorithms=["HS256"])["exp"]
    newest = signed_in["refreshToken"]
    for _ in range(3):
        newest = refresh(newest).json["refreshToken"]
    assert jwt.decode(newest, settings.JWT_SECRET, algorithms=["HS256"])["exp"] == ends


def test_one_sessions_end_leaves_the_others(user, signed_in):
    other = Api().post("/auth/login", {"email": user.email, "password": PASSWORD}).json
    with_token(signed_in["accessToken"]).post("/auth/logout")
    assert refresh(signed_in["refreshToken"]).status == 401
    assert refresh(other["refreshToken"]).status == 200


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda pair, user: pair["accessToken"], "WRONG_TOKEN_TYPE"),
        (lambda pair, user: "garbage", "TOKEN_INVALID"),
        (lambda pair, user: pair["refreshToken"][:-3] + "abc", "TOKEN_INVALID"),
        (lambda pair, user: jwt.encode({"a": 1}, "x" * 40, "HS256"), "TOKEN_INVALID"),
        (lambda pair, user: "é" * 50, "TOKEN_INVALID"),
    ],
)
def test_what_is_no_refresh_token_is_refused(user, signed_in, make, code):
    answer = refresh(make(signed_in, user))
    assert (answer.status, answer.code) == (401, code)
    assert refresh(signed_in["refreshToken"]).status == 200


def test_a_token_without_signature_is_refused(user, signed_in):
    payload = jwt.decode(signed_in["refreshToken"], options={"verify_signature": False})
    unsigned = jwt.encode(payload, "", algorithm="none")
    assert refresh(unsigned).code == "TOKEN_INVALID"
    payload["type"] = "access"
    assert with_token(jwt.encode(payload, "", algorithm="none")).get("/agents").code == "TOKEN_INVALID"


def test_an_expired_token_is_refused(user):
    long_ago = timezone.now() - timedelta(hours=1)
    answer = with_token(tokens.access_token(user, family_id=None, now=long_ago)).get("/agents")
    assert (answer.status, answer.code) == (401, "TOKEN_EXPIRED")


def test_a_session_past_its_end_is_refused(user):
    pair = sessions.open_session(user=user, remember=False)
    RefreshFamily.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert refresh(pair.refresh_token).status == 401


def test_a_user_who_may_not_sign_in_cannot_refresh(user, signed_in):
    user.is_active = False
    user.save()
    assert refresh(signed_in["refreshToken"]).status == 401
    assert with_token(signed_in["accessToken"]).get("/agents").status == 401


def test_signing_out_ends_access_and_refresh(signed_in):
    api = with_token(signed_in["accessToken"])
    answer = api.post("/auth/logout", {"refreshToken": signed_in["refreshToken"]})
    assert answer.status == 200
    assert answer.json["success"] is True and answer.json["message"]
    assert api.get("/auth/me").code == "TOKEN_REVOKED"
    assert refresh(signed_in["refreshToken"]).code == "SESSION_ENDED"


@pytest.mark.parametrize("body", [None, {}, {"refreshToken": "garbage"}, {"refreshToken": None}, {"refreshToken": ""}])
def test_signing_out_with_any_token_ends_the_session(signed_in, body):
    newest = refresh(signed_in["refreshToken"]).json
    assert with_token(newest["accessToken"]).post("/auth/logout", body).status == 200
    assert refresh(newest["refreshToken"]).code == "SESSION_ENDED"
    assert with_token(signed_in["accessToken"]).get("/auth/me").code == "TOKEN_REVOKED"


def test_signing_out_cannot_end_another_users_session(signed_in):
    stranger = make_user()
    own = sessions.open_session(user=stranger, remember=False)
    with_token(own.access_token).post("/auth/logout", {"refreshToken": signed_in["refreshToken"]})
    assert refresh(signed_in["refreshToken"]).status == 200


def test_a_new_password_ends_every_session(user, signed_in):
    users.set_password(user=user, password="another-long-phrase", actor=None)
    assert refresh(signed_in["refreshToken"]).status == 401
    assert with_token(signed_in["accessToken"]).get("/auth/me").status == 401
    answer = Api().post("/auth/login", {"email": user.email, "password": "another-long-phrase"})
    assert with_token(answer.json["accessToken"]).get("/auth/me").status == 200


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "bearer abc", "Basic abc", "Bearer a b", "Token abc"])
def test_a_malformed_authorization_header_is_refused(header):
    answer = Api(authorization=header).get("/agents")
    assert (answer.status, answer.code) == (401, "AUTH_HEADER_MALFORMED")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_missing_authorization_header_is_refused():
    answer = Api().get("/agents")
    assert (answer.status, answer.code) == (401, "AUTH_HEADER_MISSING")


def test_a_refresh_token_opens_no_door(signed_in):
    assert with_token(signed_in["refreshToken"]).get("/agents").code == "WRONG_TOKEN_TYPE"


def test_a_ticket_opens_one_socket_and_no_door(user, signed_in):
    answer = with_token(signed_in["accessToken"]).post("/auth/ws-ticket")
    assert answer.status == 201
    assert answer.json["expiresIn"] == 30
    ticket = answer.json["ticket"]
    assert with_token(ticket).get("/agents").code == "WRONG_TOKEN_TYPE"
    assert sessions.redeem_ticket(ticket).user_id == user.pk
    with pytest.raises(Unauthenticated) as refusal:
        sessions.redeem_ticket(ticket)
    assert refusal.value.code == "TOKEN_REVOKED"


def test_what_has_expired_is_pruned(user):
    sessions.open_session(user=user, remember=False)
    sessions.open_session(user=user, remember=True)
    later = timezone.now() + timedelta(days=9)
    RevokedToken.objects.create(jti=user.pk, expires_at=timezone.now())
    assert sessions.prune(now=later) == 2
    assert RefreshFamily.objects.count() == 1


def test_refreshing_is_limited_per_address(settings):
    settings.REFRESHES_PER_MINUTE = 2
    api = Api(address="203.0.113.9")
    statuses = [api.post("/auth/refresh", {"refreshToken": "x"}).status for _ in range(7)]
    assert 429 in statuses


@pytest.mark.django_db(transaction=True)
def test_eight_tabs_that_refresh_at_once_all_go_on_with_the_same_token():
    user = make_user()
    second = refresh(sessions.open_session(user=user, remember=False).refresh_token).json["refreshToken"]
    start, answers = Barrier(8), []

    def tab():
        start.wait()
        try:
            answers.append(refresh(second))
        finally:
            connection.close()

    threads = [Thread(target=tab) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200] * 8
    assert len({answer.json["refreshToken"] for answer in answers}) == 1
    assert len({answer.json["accessToken"] for answer in answers}) == 8
    assert RefreshFamily.objects.get().ended_at is None

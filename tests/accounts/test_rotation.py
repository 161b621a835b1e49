"""Refresh rotation to the letter of CONCURRENCY 22, where it matters in real transactions at once."""

from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from apps.accounts import tokens
from apps.accounts.models import RefreshFamily
from apps.accounts.services import sessions, users
from tests.apiclient import Api
from tests.factories import make_session, make_user

pytestmark = pytest.mark.django_db


def refresh(token):
    return Api().post("/auth/refresh", {"refreshToken": token})


def me(pair):
    return Api(authorization=f"Bearer {pair['accessToken']}").get("/auth/me")


def at_once(*works):
    """Run every work in a transaction of its own, all starting together; return what they returned."""
    start, results = Barrier(len(works)), [None] * len(works)

    def run(place, work):
        start.wait()
        try:
            results[place] = work()
        finally:
            connections.close_all()

    threads = [Thread(target=run, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def age_first_use(seconds):
    family = RefreshFamily.objects.get()
    assert family.highest_first_used_at is not None
    family.highest_first_used_at -= timedelta(seconds=seconds)
    family.save(update_fields=["highest_first_used_at"])


def test_the_successor_is_a_function_of_family_and_generation():
    family = make_session(make_user())
    again = RefreshFamily.objects.get(pk=family.pk)
    first = [tokens.refresh_token(family.user, family=row, generation=1) for row in (family, again)]
    assert first[0] == first[1]
    assert first[0] != tokens.refresh_token(family.user, family=family, generation=2)
    other = make_session(family.user)
    assert first[0] != tokens.refresh_token(family.user, family=other, generation=1)


def test_a_shipped_client_lives_on_its_first_token_for_its_whole_life_and_no_longer():
    pair = sessions.open_session(user=make_user(), remember=True)
    for day in range(29):
        assert refresh(pair.refresh_token).status == 200, day
    RefreshFamily.objects.update(expires_at=timezone.now())
    assert refresh(pair.refresh_token).code == "SESSION_ENDED"


def test_every_generation_ends_when_the_first_one_does():
    user = make_user()
    family = make_session(user, expires_at=timezone.now() + timedelta(seconds=90))
    token = tokens.refresh_token(user, family=family, generation=0)
    for _ in range(4):
        token = refresh(token).json["refreshToken"]
        assert tokens.read(token, tokens.Kind.REFRESH).expires_at == int(family.expires_at.timestamp())


def test_the_minute_runs_from_the_first_use_and_is_not_prolonged_by_repeats():
    first = sessions.open_session(user=make_user(), remember=False).refresh_token
    second = refresh(first).json["refreshToken"]
    assert refresh(second).status == 200
    for _ in range(2):
        age_first_use(25)
        assert refresh(second).status == 200
    age_first_use(25)
    assert refresh(second).code == "SESSION_ENDED"
    assert RefreshFamily.objects.get().end_reason == "reused"


def test_an_older_token_ends_the_family_even_within_the_minute():
    first = sessions.open_session(user=make_user(), remember=False).refresh_token
    second = refresh(first).json["refreshToken"]
    third = refresh(second).json["refreshToken"]
    newest = refresh(third).json
    assert refresh(second).code == "SESSION_ENDED"
    assert me(newest).code == "TOKEN_REVOKED"
    assert refresh(newest["refreshToken"]).code == "SESSION_ENDED"


def test_a_token_of_no_family_and_one_of_anothers_family_are_refused():
    user, other = make_user(), make_user()
    family = make_session(other)
    stolen = tokens.refresh_token(user, family=family, generation=0)
    assert refresh(stolen).code == "SESSION_ENDED"
    family.refresh_from_db()
    assert family.ended_at is None
    orphan = tokens.refresh_token(other, family=family, generation=0)
    family.delete()
    assert refresh(orphan).code == "SESSION_ENDED"


@pytest.mark.parametrize("which", ["access of the first", "access of the newest", "first refresh", "newest refresh"])
def test_signing_out_with_any_token_ends_the_family(which):
    user = make_user()
    pair = sessions.open_session(user=user, remember=False)
    newest = refresh(pair.refresh_token).json
    other = sessions.open_session(user=user, remember=False)
    by, body = {
        "access of the first": (pair.access_token, None),
        "access of the newest": (newest["accessToken"], None),
        "first refresh": (other.access_token, {"refreshToken": pair.refresh_token}),
        "newest refresh": (other.access_token, {"refreshToken": newest["refreshToken"]}),
    }[which]
    assert Api(authorization=f"Bearer {by}").post("/auth/logout", body).status == 200
    assert refresh(newest["refreshToken"]).code == "SESSION_ENDED"
    assert refresh(pair.refresh_token).code == "SESSION_ENDED"
    assert me(newest).code == "TOKEN_REVOKED"


@pytest.mark.django_db(transaction=True)
def test_two_tabs_at_once_get_the_same_successor_whichever_comes_first():
    pair = sessions.open_session(user=make_user(), remember=False)
    answers = at_once(*[lambda: refresh(pair.refresh_token)] * 2)
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].json["refreshToken"] == answers[1].json["refreshToken"]
    later = at_once(*[lambda: refresh(answers[0].json["refreshToken"])] * 2)
    assert later[0].json["refreshToken"] == later[1].json["refreshToken"]
    assert RefreshFamily.objects.get().highest_generation == 1


@pytest.mark.django_db(transaction=True)
def test_a_thief_and_the_owner_at_once_end_up_signed_out_both():
    """The thief holds an older token. In whichever order the two commit, nobody is left signed in."""
    first = sessions.open_session(user=make_user(), remember=False).refresh_token
    second = refresh(first).json["refreshToken"]
    third = refresh(second).json["refreshToken"]
    owner, thief = at_once(lambda: refresh(third), lambda: refresh(first))
    assert thief.code == "SESSION_ENDED"
    assert RefreshFamily.objects.get().end_reason == "reused"
    if owner.status == 200:
        assert me(owner.json).code == "TOKEN_REVOKED"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ["signed out", "new password", "everywhere"])
def test_a_refresh_that_meets_the_end_of_its_session_leaves_nothing_alive(end):
    user = make_user()
    pair = sessions.open_session(user=user, remember=False)
    ends = {
        "signed out": lambda: Api(authorization=f"Bearer {pair.access_token}").post("/auth/logout"),
        "new password": lambda: users.set_password(user=user, password="another-long-phrase", actor=None),
        "everywhere": lambda: sessions.sign_out_everywhere(user=user, actor=None, reason="test"),
    }
    results = at_once(ends[end], *[lambda: refresh(pair.refresh_token)] * 4)
    for answer in results[1:]:
        assert answer.status == 401 or me(answer.json).code == "TOKEN_REVOKED"
        if answer.status == 200:
            assert refresh(answer.json["refreshToken"]).code == "SESSION_ENDED"
    assert RefreshFamily.objects.get().ended_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_refresh_waits_for_one_that_holds_the_family_and_then_sees_what_it_did():
    first = sessions.open_session(user=make_user(), remember=False).refresh_token
    second = refresh(first).json["refreshToken"]
    refresh(second)
    family = RefreshFamily.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 FROM refresh_family WHERE id = %s FOR UPDATE", [family.pk])
        answers: list[Any] = []

        def ask() -> None:
            answers.append(refresh(second))
            connections.close_all()

        waiting = Thread(target=ask)
        waiting.start()
        waiting.join(0.5)
        assert not answers, "it must wait for the lock"
        cursor.execute("UPDATE refresh_family SET ended_at = now(), end_reason = 'test' WHERE id = %s", [family.pk])
        cursor.execute("COMMIT")
    waiting.join()
    assert answers[0].code == "SESSION_ENDED"

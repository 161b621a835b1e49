"""Every route of the API, to everybody: the answers are those of the table, and who is refused changes nothing."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest
from django.db import transaction

from tests.api.permissions.table import SCOPES, TABLE, Row
from tests.api.permissions.world import World, make_world, rows_of_owner, whole_database
from tests.api.test_every_route import routes
from tests.apiclient import Answer, Api

pytestmark = pytest.mark.django_db

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROUTES = [
    (method, path, hasattr(view, method.lower())) for path, view in routes(placeholder="{}") for method in METHODS
]
NOBODY = {
    "nobody": "AUTH_HEADER_MISSING",
    "refresh token": "WRONG_TOKEN_TYPE",
    "expired token": "TOKEN_EXPIRED",
    "deactivated user": "USER_DEACTIVATED",
    "deleted user": "USER_GONE",
}
BAD_KEYS = {"deactivated user's key": "API_KEY_INVALID", "expired key": "API_KEY_EXPIRED"}
OF_PEOPLE = [row for row in TABLE if not row.public]
OF_ALL = [row for row in TABLE if row.public]


@pytest.fixture
def world(market) -> World:
    return make_world(market.add_token(), market.add_token())


@contextmanager
def undone():
    """Take back what happens within, as the test case around a test does: durable work does not mind either."""
    savepoint = transaction.atomic()
    savepoint._from_testcase = True  # type: ignore[attr-defined]
    with savepoint:
        yield
        transaction.set_rollback(True)


def call(world: World, row: Row, who: str) -> Answer:
    """Call the row's route as somebody; what the call does is undone."""
    with undone():
        return send(world, row, who)


def send(world: World, row: Row, who: str) -> Answer:
    return Api(**world.headers[who]).call(row.method, world.path(row.path), world.body(row.method, row.path))


def test_every_method_of_every_route_has_a_row_and_no_row_is_of_a_route_that_is_gone():
    written = [(row.method, re.sub(r"\{\w+\}", "{}", row.path.partition("?")[0])) for row in TABLE]
    assert len(written) == len(set(written))
    assert set(written) == {(method, path) for method, path, served in ROUTES if served}


@pytest.mark.parametrize("row", OF_PEOPLE, ids=[row.name for row in OF_PEOPLE])
def test_a_route_answers_everybody_as_the_table_says(world, row):
    assert call(world, row, "owner").status == row.owner
    _others_neither_see_nor_change_what_is_the_owners(world, row)
    before = whole_database()
    answers = {who: send(world, row, who) for who in _refused(row)}
    assert {who: (answer.status, answer.code) for who, answer in answers.items()} == _refused(row)
    assert whole_database() == before, "somebody who was refused changed something"
    opened = {scope: call(world, row, f"key {scope}").status for scope in sorted(row.scopes)}
    assert opened == dict.fromkeys(sorted(row.scopes), row.owner)
    if row.scopes:
        assert call(world, row, "other's key").status == row.other


def _refused(row: Row) -> dict[str, tuple[int, str]]:
    """Return who gets nowhere, and what they are told: a route for tokens does not look at X-API-Key at all."""
    keys = {f"key {scope}" for scope in SCOPES if scope not in row.scopes}
    if row.scopes:
        told = dict.fromkeys(keys, (403, "SCOPE_MISSING")) | {who: (401, code) for who, code in BAD_KEYS.items()}
    else:
        told = dict.fromkeys(keys | set(BAD_KEYS), (401, "AUTH_HEADER_MISSING")) | {
            "key as bearer": (401, "TOKEN_INVALID")
        }
    people = {who: (401, code) for who, code in NOBODY.items()}
    if row.path == "/auth/me":  # the one route that says so of a user who is no more
        people["deleted user"] = (404, "USER_NOT_FOUND")
    return people | told


def _others_neither_see_nor_change_what_is_the_owners(world: World, row: Row) -> None:
    for who, expected in (("other", row.other), ("staff", row.staff)):
        owned, everything = rows_of_owner(world), whole_database()
        with undone():
            answer = send(world, row, who)
            assert answer.status == expected, (who, answer)
            assert rows_of_owner(world) == owned, who
            assert expected < 400 or whole_database() == everything, f"{who} was refused and changed something"
        told = [name for name, value in world.secrets().items() if value.encode() in answer.text]
        assert expected >= 400 or told == [], who


@pytest.mark.parametrize("row", OF_ALL, ids=[row.name for row in OF_ALL])
def test_a_public_route_asks_nobody_who_they_are(world, row):
    callers = ("nobody", "owner", "other", "expired token", "deactivated user", "key agents")
    assert {who: call(world, row, who).status for who in callers} == dict.fromkeys(callers, row.owner)


def test_a_method_a_route_does_not_have_is_an_unknown_route_and_changes_nothing(world):
    before = whole_database()
    wrong = []
    for method, path, served in ROUTES:
        url = path.replace("{}", world.places["agent"])
        answer = None if served else Api(**world.headers["owner"]).call(method, url, {})
        if answer is not None and (answer.status, answer.code) != (404, "NOT_FOUND"):
            wrong.append((method, path, answer))
    assert wrong == []
    assert whole_database() == before

"""Every change through the API leaves an entry: who, what, before and after, and the request it came with.

The routes and what they are called with are the permission matrix'; a new route that changes something is judged here
without being named.
"""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import AuditEntry
from apps.accounts.services import sessions
from tests import factories
from tests.api.permissions.table import TABLE, Row
from tests.api.permissions.world import World, make_world
from tests.apiclient import Answer, Api
from tests.audit.changes import Change, watched
from tests.factories import PASSWORD, totp_code

pytestmark = pytest.mark.django_db

CHANGING = [row for row in TABLE if row.method != "GET"]
NAMES = {f"{row.method} {row.path.partition('?')[0]}" for row in CHANGING}

#: What changes rows and is a record itself: nothing was there before, nobody's thing was changed.
OWN_RECORD = {
    "POST /auth/login": "a session: where and when it began, how it ended",
    "POST /auth/refresh": "the session's last use",
    "POST /auth/logout": "the session's end and its reason",
    "POST /trading-signals": "the signal: its user, key and time; hundreds a second",
    "POST /webhooks/signals/{token}": "the signal, and the delivery it came with",
}
#: What changes no row at all.
CHANGES_NOTHING = {"POST /auth/ws-ticket", "POST /webhooks/test"}
#: What the matrix cannot do right away; the tests below do.
ELSEWHERE = {
    "DELETE /auth/totp",
    "POST /auth/totp",
    "POST /auth/totp/confirm",
    "POST /auth/totp/recovery-codes",
    "PUT /agent-historical-swaps/{trade}",
    "DELETE /agent-historical-swaps/{trade}",
    "POST /wallets/{live}/check-deposits",  # needs a chain: tests/wallets
    *(f"POST /wallets/keys{rest}" for rest in ("", "/import")),  # need a signer: tests/wallets
    *(f"POST /wallets/keys/{{key_address}}/{verb}" for verb in ("unlock", "lock", "export")),
}


@pytest.fixture
def world(market) -> World:
    return make_world(market.add_token(), market.add_token())


def judge(change: Change, name: str) -> None:
    """Fail when something changed and the log does not tell who, what and with which request."""
    assert change.tables, f"{name} changed nothing: it proves nothing"
    assert change.entries, f"{name} changed {sorted(change.tables)} and nobody will know"
    for entry in change.entries:
        assert entry.actor_id is not None, f"{name}: by whom?"
        assert entry.request_id, f"{name}: in which request?"
        assert entry.before != entry.after, f"{name}: {entry.action} tells no difference"


def test_every_route_that_changes_something_is_judged_in_one_of_these_tests():
    assert ELSEWHERE | CHANGES_NOTHING | set(OWN_RECORD) <= NAMES


@pytest.mark.parametrize("row", CHANGING, ids=[f"{row.method} {row.path}" for row in CHANGING])
def test_a_change_leaves_an_entry(world: World, row: Row) -> None:
    name = f"{row.method} {row.path.partition('?')[0]}"
    if name in ELSEWHERE:
        assert row.owner >= 400 or name == "POST /auth/totp", "the matrix can do it: judge it here"
        return
    who = "owner" if row.owner < 400 else "staff"
    with watched() as change:
        answer = Api(**world.headers[who]).call(row.method, world.path(row.path), world.body(row.method, row.path))
    assert answer.status < 300, answer
    if name in CHANGES_NOTHING:
        assert not change.tables
    elif name in OWN_RECORD:
        assert not change.entries
    else:
        judge(change, name)


@pytest.mark.parametrize("row", CHANGING, ids=[f"{row.method} {row.path}" for row in CHANGING])
def test_what_is_refused_leaves_none(world: World, row: Row) -> None:
    if row.public:
        return
    with watched() as change:
        answer = Api().call(row.method, world.path(row.path), world.body(row.method, row.path))
    assert answer.status == 401
    assert not change.entries and not change.tables


def test_second_factors_are_told_from_their_beginning_to_their_end() -> None:
    user = factories.make_user()
    pair = sessions.open_session(user=user, remember=False)
    api = Api(authorization=f"Bearer {pair.access_token}")
    assert api.post("/auth/totp", {"password": PASSWORD}).status == 201
    assert not AuditEntry.objects.exists(), "a secret that nobody confirmed changes nothing"
    confirmed = judged(lambda: api.post("/auth/totp/confirm", {"code": totp_code(user)}), "confirm")
    codes = confirmed.json["recoveryCodes"]
    replaced = judged(lambda: api.post("/auth/totp/recovery-codes", {"totpCode": codes[0]}), "recovery codes")
    code = replaced.json["recoveryCodes"][0]
    judged(lambda: api.delete("/auth/totp", {"password": PASSWORD, "totpCode": code}), "off")


def test_a_trade_entered_by_hand_is_told_from_its_beginning_to_its_end(world: World) -> None:
    api = Api(**world.headers["owner"])
    made = judged(lambda: api.post("/agent-historical-swaps", world.body("POST", "/agent-historical-swaps")), "entered")
    trade = f"/agent-historical-swaps/{made.json['id']}"
    judged(lambda: api.put(trade, {"salePrice": "0.003"}), "corrected")
    judged(lambda: api.delete(trade), "taken back")


def judged(call: Any, name: str) -> Answer:
    with watched() as change:
        answer: Answer = call()
    assert answer.status < 300, answer
    judge(change, name)
    return answer

"""The sandbox's receiver: takes what is signed with the secret both sides know, and keeps the last for people."""

from __future__ import annotations

import time

import pytest
from aiohttp.test_utils import TestClient, TestServer

from apps.core import demo_webhook
from apps.notify.domain import signing
from apps.sandbox.options import Options
from apps.sandbox.server import make_app, make_runtime
from apps.sandbox.webhooks import KEPT, Webhooks

SECRET = demo_webhook.secret("nex_a key")
BODY = (
    b'{"id":"msg_1","type":"position.closed","data":{"tokenSymbol":"BONK","closeReason":"stop_loss",'
    b'"trade":{"profitLossSol":"-0.25"}}}'
)


def signed(event_id: str = "msg_1", *, secret: str = SECRET, at: float = 0) -> dict[str, str]:
    return signing.headers([secret], event_id=event_id, timestamp=int(time.time() + at), body=BODY)


async def test_what_is_signed_is_taken_and_shown_and_the_rest_refused():
    app = make_app(make_runtime(Options(signal_key="nex_a key", signals=False, autonomous=False)))
    async with TestClient(TestServer(app)) as client:
        assert (await client.post("/webhooks", data=BODY, headers=signed())).status == 204
        assert (await client.post("/webhooks", data=BODY + b" ", headers=signed("msg_2"))).status == 401
        assert (await client.post("/webhooks", data=BODY)).status == 401
        shown = await (await client.get("/control/webhooks")).json()
    assert shown["total"] == 3
    assert [row["verified"] for row in shown["received"]] == [False, False, True]
    taken = shown["received"][2]
    assert (taken["type"], taken["summary"]) == ("position.closed", "BONK · stop loss · -0.25 SOL")


@pytest.mark.parametrize("given", [{"at": -1000}, {"at": 1000}, {"secret": demo_webhook.secret("other")}], ids=str)
def test_old_and_foreign_signatures_do_not_fit(given):
    receiver = Webhooks(SECRET)
    assert not receiver.take(signed(**given), BODY)
    assert receiver.as_document()["received"][0]["type"] == ""


def test_a_repeated_event_is_marked_and_only_the_last_are_kept():
    receiver = Webhooks(SECRET)
    for _ in range(2):
        assert receiver.take(signed(), BODY)
    assert [row["repeated"] for row in receiver.as_document()["received"]] == [True, False]
    for number in range(KEPT + 5):
        receiver.take(signed(f"msg_{number + 10}"), BODY)
    assert len(receiver.as_document()["received"]) == KEPT


def test_without_a_secret_nothing_is_believed():
    assert not Webhooks(None).take(signed(), BODY)

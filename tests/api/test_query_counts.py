"""Reading costs the same queries with one row and with thirty: every GET route, the desk's pages and panel, the feed.

The routes are those of the permission table, so a new one is counted as soon as it has its row there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.services import last_use
from apps.console import feed, panel
from apps.notify.services import endpoints
from apps.notify.services.endpoints import Wish
from apps.wallets.models import LiveKeyGrant
from tests import factories
from tests.api.permissions.table import TABLE
from tests.apiclient import api_of

pytestmark = pytest.mark.django_db

FEW, MANY = 1, 30
#: Enough for any page of rows with what belongs to them; a route that needs more should be asked why.
MOST_QUERIES = 9
#: Not about rows of the caller: health looks on threads of its own, the metrics are the whole process's, and the signer
#: answers for itself.
NOT_COUNTED = {"/health", "/health/ready", "/health/live", "/metrics", "/wallets/signer"}
READS = [row for row in TABLE if row.method == "GET" and row.path not in NOT_COUNTED]
#: What a list shows only when it is asked to.
FULLER = {"/agent-positions/{agent}/take-profit-summary": "?includePositions=true"}


def fill(count):
    """Make a user with `count` of everything a route shows; return them and the names of paths."""
    user = factories.make_user()
    agent = factories.make_agent(user, sol="1000", max_open_positions=count + 1)
    wallet = factories.wallet_of(agent)
    hook, _ = factories.make_webhook(user)
    for _ in range(min(count, endpoints.MOST_PER_USER)):
        endpoint, _ = endpoints.create(user=user, wish=Wish("http://127.0.0.1:19999/", ["alert"]), actor=user)
    delivery = _fill_lists(user, agent, endpoint, hook, count)
    position, token = _storied_position(agent, count)
    last = agent.positions.exclude(closed_at=None).latest("closed_at")
    places = {
        "agent": agent.pk,
        "wallet": wallet.address,
        "position": position.pk,
        "trade": last.closed_trade.pk,
        "deposit": position.purchase_transaction_id,
        "balance": wallet.balances.get(mint="So11111111111111111111111111111111111111112").pk,
        "signal": user.signals.latest("id").pk,
        "key": user.api_keys.latest("created_at").pk,
        "session": factories.make_session(user).pk,
        "mint": token.mint,
        "endpoint": endpoint.pk,
        "delivery": delivery.pk,
    }
    return user, places


def _fill_lists(user, agent, endpoint, hook, count):
    hour = timezone.now()
    for number in range(count):
        token = factories.make_token()
        factories.make_tick(token, "0.002")
        signal = factories.make_signal(user, token)
        position = factories.make_position(agent, token, signal=signal, take_profit_levels_hit=1)
        factories.make_execution(signal, agent, verdict="executed", position=position)
        factories.close_position(factories.make_position(agent, factories.make_token(), signal=signal), proceeds="1.1")
        factories.make_api_key(user)
        factories.make_session(user)
        LiveKeyGrant.objects.create(key=factories.make_live_key(), user=user)
        factories.make_agent(user, sol=None)
        factories.make_snapshot(factories.wallet_of(agent), hour=hour.replace(hour=0) - timedelta(days=number))
        factories.make_webhook_request(hook)
        delivery = endpoints.send_test(endpoint_id=endpoint.pk, actor=user)
    return delivery


def _storied_position(agent, count):
    """Open a position to which `count` of everything happened."""
    token = factories.make_token()
    factories.make_tick(token, "0.002")
    position = factories.make_position(agent, token)
    now = timezone.now()
    for number in range(count):
        # Up to minutes that are to come: a minute that ends meanwhile would be read from the ticks, one query more.
        factories.make_candle(token, "0.002", at=now + timedelta(minutes=5 - number))
        factories.add_to(position, invested="1", price="0.001")
        factories.take_profit(position, tokens="1", proceeds="0.002")
        factories.make_stop_move(position, peak="0.002", percent="10", price="0.0018")
        factories.make_intent(position, reason="take_profit", status="cancelled", finished_at=timezone.now())
    return position, token


def cost(read):
    with CaptureQueriesContext(connection) as captured:
        read()
    return len(captured)


def url_of(row, places):
    path = row.path + FULLER.get(row.path, "")
    return path.format(**places)


@pytest.fixture(autouse=True)
def one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a session or key is used is noted once a minute: what is counted here may take longer, and one note."""
    monkeypatch.setattr(last_use, "EVERY_SECONDS", 3600)


def test_every_route_that_reads_takes_the_same_few_queries_for_one_row_and_for_thirty():
    counts: dict[str, list[int]] = {row.name: [] for row in READS}
    for number in (FEW, MANY):
        user, places = fill(number)
        api = api_of(user)
        for row in READS:
            url = url_of(row, places)

            def read(url=url, api=api):
                answer = api.get(url)
                assert answer.status == 200, (url, answer)

            read()  # what is remembered for good is remembered now
            counts[row.name].append(cost(read))
    assert {name: pair for name, pair in counts.items() if len(set(pair)) > 1} == {}
    assert {name: pair for name, pair in counts.items() if max(pair) > MOST_QUERIES} == {}


def test_the_lists_of_the_many_are_as_long_as_they_say():
    """What the test above counts is worth nothing if the thirty are not shown."""
    user, places = fill(MANY)
    api = api_of(user)
    lengths = {}
    for row in READS:
        answer = api.get(url_of(row, places))
        if isinstance(answer.json, list):
            lengths[row.name] = len(answer.json)
    short = {name for name, length in lengths.items() if length < MANY}
    assert short <= {"GET /webhook-endpoints"}, lengths
    assert len(lengths) >= 10


def test_the_desks_pages_its_panel_and_its_snapshot_cost_the_same_however_full_it_is():
    operator = factories.make_operator()
    browser = Client()
    browser.force_login(operator)
    counts: dict[str, list[int]] = {}
    for number in (FEW, MANY):
        user, places = fill(number)
        pages = ("/desk/", "/desk/levels", f"/desk/positions/{places['position']}", f"/desk/signals/{places['signal']}")
        reads: dict[str, Callable[[], Any]] = {
            re.sub(r"[0-9a-f-]{36}|\d+", "…", page): partial(_opened, browser, page) for page in pages
        }
        reads["panel of everybody"] = partial(panel.build, None)
        reads["panel of one"] = partial(panel.build, user.pk)
        for scope in (
            feed.Scope(user_id=user.pk, agent_id=places["agent"]),
            feed.Scope(user_id=user.pk, agent_id=None),
        ):
            reads[f"snapshot of {'all' if scope.agent_id is None else 'one'}"] = partial(feed.snapshot, scope)
        for name, read in reads.items():
            read()
            counts.setdefault(name, []).append(cost(read))
    assert {name: pair for name, pair in counts.items() if len(set(pair)) > 1} == {}


def _opened(browser, page):
    assert browser.get(page).status_code == 200, page

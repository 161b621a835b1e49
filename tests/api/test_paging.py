"""Pages of lists: bare arrays, counts and links in headers, nothing twice and nothing lost."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.core.api import paging
from apps.signals.models import TradingSignal
from apps.trading.models import ClosedTrade
from apps.wallets.models import Origin, Transaction
from tests.factories import (
    close_position,
    fund,
    make_agent,
    make_position,
    make_signal,
    make_token,
    take_profit,
    wallet_of,
)

pytestmark = pytest.mark.django_db


def make_signals(user, count, *, same_time=False):
    token, now = make_token(), timezone.now()
    rows = TradingSignal.objects.bulk_create(
        TradingSignal(user=user, token_address=token.mint, signal_type="T", signal_strength=1, created_at=now)
        for _ in range(count)
    )
    for place, row in enumerate(rows):
        row.created_at = now if same_time else now - timedelta(minutes=place)
    TradingSignal.objects.bulk_update(rows, ["created_at"])
    return sorted(rows, key=lambda row: (row.created_at, row.pk), reverse=True)


def ids(answer):
    return [row["id"] for row in answer.json]


def test_a_list_is_a_bare_array_with_its_count(api, user):
    rows = make_signals(user, 3)
    answer = api.get("/trading-signals")
    assert ids(answer) == [row.pk for row in rows]
    assert answer.headers["X-Total-Count"] == "3"
    assert "X-Total-Capped" not in answer.headers
    assert "Link" not in answer.headers


def test_a_page_holds_a_hundred_unless_asked_and_a_thousand_at_most(api, user):
    make_signals(user, 1005)
    assert len(api.get("/trading-signals").json) == 100
    assert len(api.get("/trading-signals?limit=5000").json) == 1000
    assert len(api.get("/trading-signals?limit=7").json) == 7


def test_offset_pages_link_to_their_neighbours(api, user):
    rows = make_signals(user, 5)
    answer = api.get("/trading-signals?limit=2&offset=2&signalType=T")
    assert ids(answer) == [row.pk for row in rows[2:4]]
    following, preceding = answer.headers["Link"].split(", ")
    assert following.endswith('rel="next"') and "offset=4" in following and "signalType=T" in following
    assert preceding.endswith('rel="prev"') and "offset=0" in preceding
    last = api.get("/trading-signals?limit=2&offset=4")
    assert 'rel="next"' not in last.headers["Link"]
    assert api.get("/trading-signals?offset=99999999999999").json == []


@pytest.mark.parametrize("same_time", [False, True])
def test_following_the_cursor_meets_every_row_once(api, user, same_time):
    rows = make_signals(user, 11, same_time=same_time)
    seen, cursor = [], ""
    while cursor is not None:
        answer = api.get(f"/trading-signals?limit=3&cursor={cursor}")
        assert answer.headers["X-Total-Count"] == "11"
        seen += ids(answer)
        cursor = answer.headers.get("X-Next-Cursor")
    assert seen == [row.pk for row in rows]


def test_a_row_that_comes_in_between_moves_no_cursor_page(api, user):
    rows = make_signals(user, 4)
    first = api.get("/trading-signals?limit=2&cursor=")
    TradingSignal.objects.create(user=user, token_address="x", signal_type="new", signal_strength=1)
    second = api.get(f"/trading-signals?limit=2&cursor={first.headers['X-Next-Cursor']}")
    assert ids(first) + ids(second) == [row.pk for row in rows]


def test_equal_times_are_broken_by_id_in_every_list(api, user):
    agent = make_agent(user, sol=None)
    moment = timezone.now()
    rows = [fund(wallet_of(agent), "1", at=moment) for _ in range(6)]
    expected = sorted((str(row.pk) for row in rows), reverse=True)
    path = f"/agent-transactions?agentId={agent.pk}"
    assert ids(api.get(path)) == expected
    paged = [ids(api.get(f"{path}&limit=2&offset={offset}")) for offset in (0, 2, 4)]
    assert [row for page in paged for row in page] == expected
    first = api.get(f"{path}&limit=4&cursor=")
    assert ids(first) + ids(api.get(f"{path}&cursor={first.headers['X-Next-Cursor']}")) == expected


def test_counts_are_exact_to_a_bound_and_then_say_so(api, user, monkeypatch):
    monkeypatch.setattr(paging, "COUNTED_TO", 4)
    make_signals(user, 4)
    assert "X-Total-Capped" not in api.get("/trading-signals").headers
    make_signals(user, 1)
    answer = api.get("/trading-signals")
    assert (answer.headers["X-Total-Count"], answer.headers["X-Total-Capped"]) == ("4", "true")


@pytest.fixture
def full_books(user):
    """An agent whose lists have rows of every kind: by the engine and by hand, full and with gaps."""
    agent = make_agent(user)
    signal = make_signal(user, make_token())
    TradingSignal.objects.create(
        user=user,
        token_address="x",
        signal_type="é€🎉",
        signal_strength=1,
        symbol="S",
        activation_reason='"quoted"\n',
        source="hand",
    )
    position = make_position(agent, make_token(), signal=signal)
    take_profit(position, tokens="10", proceeds="0.2")
    close_position(position, proceeds="1.1")
    wallet = wallet_of(agent)
    common = {"agent": agent, "wallet": wallet, "epoch": wallet.epoch, "transaction_time": timezone.now()}
    kinds: list[Any] = [
        None,
        [],
        {"n": 2**70, "f": 1.10, "e": 1e-9, "b": 'é"\\', "deep": [{"a": [None, True]}]},
        "text",
        0,
    ]
    for routes in kinds:
        Transaction.objects.create(transaction_type="burn", origin=Origin.HAND, routes=routes, **common)
    Transaction.objects.create(
        transaction_type="swap",
        value_usd=Decimal("1E-8"),
        input_mint="in",
        input_amount=Decimal("1E-18"),
        output_amount=Decimal("99999999999999999999"),
        price_impact=Decimal("-0.00000001"),
        fees_sol=Decimal("0E-9"),
        transaction_hash="h",
        **common,
    )
    ClosedTrade.objects.create(
        agent=agent,
        origin=Origin.HAND,
        epoch=0,
        mint="m",
        symbol="M",
        amount=Decimal("1E-18"),
        purchase_price=Decimal("6.632E-11"),
        sale_price=1,
        change_percent=-3,
        profit_sol=Decimal("-0.1"),
        purchase_time=timezone.now(),
        sale_time=timezone.now(),
    )
    return agent


@pytest.mark.parametrize(
    ("path", "query", "kinds"),
    [
        ("/agent-transactions", "?agentId={agent}", 8),
        ("/agent-historical-swaps", "?agentId={agent}", 2),
        ("/trading-signals", "?limit=1000", 2),
    ],
)
def test_a_list_shows_each_row_to_the_byte_as_it_is_shown_alone(api, full_books, path, query, kinds):
    listed = api.get(path + query.format(agent=full_books.pk))
    alone = [api.get(f"{path}/{row['id']}") for row in listed.json]
    assert len(alone) >= kinds
    assert listed.text == b"[" + b",".join(answer.text for answer in alone) + b"]"

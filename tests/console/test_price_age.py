"""How often prices are asked for and how old they are, wherever one looks: health, home, the desk's header and rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from apps.console import dashboard, panel
from apps.core import feed as channel
from apps.prices import selectors as prices
from apps.prices.adapters import polls
from apps.prices.domain.polls import Poll, together
from tests import factories
from tests.apiclient import Api
from tests.console.test_desk import say_price, sign_in
from tests.console.test_feed import open_position

pytestmark = pytest.mark.django_db(transaction=True)


def poll(shard: int = 0, *, tokens: int = 3, ago: float = 0, oldest: float = 1, **fields) -> Poll:
    now = datetime.now(UTC)
    values = {
        "trusted": tokens,
        "doubted": 0,
        "missing": 0,
        "unpriced": 0,
        "interval_seconds": 1.0,
        "took_seconds": 0.12,
        "source": "jupiter",
        "plan": "sandbox",
        "median_at": now - timedelta(seconds=oldest / 2),
        **fields,
    }
    return Poll(
        shard=shard,
        tokens=tokens,
        polled_at=now - timedelta(seconds=ago),
        oldest_at=now - timedelta(seconds=oldest) if tokens else None,
        **values,
    )


def test_of_several_shards_the_worst_is_shown() -> None:
    late = {"oldest": 900, "ago": 300, "interval_seconds": 2.8, "missing": 1}
    both = together([poll(0, oldest=200, ago=100), poll(1, tokens=4, **late)])
    assert both is not None
    assert (both.tokens, both.missing, both.interval_seconds) == (7, 1, 2.8)
    now = datetime.now(UTC)
    assert 300 <= (now - both.polled_at).total_seconds() < 360
    assert 900 <= (now - both.oldest_at).total_seconds() < 960


def test_a_shard_that_holds_nothing_is_never_late() -> None:
    both = together([poll(0), poll(1, tokens=0, ago=4000)])
    assert both is not None and (datetime.now(UTC) - both.polled_at).total_seconds() < 60
    idle = together([poll(0, tokens=0, ago=4000)])
    assert idle is not None and (idle.polled_at, idle.oldest_at, idle.tokens) == (None, None, 0)
    assert together([]) is None


def test_health_tells_each_shards_poll() -> None:
    polls.remember(poll(tokens=3, ago=2, oldest=4))
    (told,) = Api().get("/health").json["prices"]
    assert (told["shard"], told["tokens"], told["source"], told["intervalSeconds"]) == (0, 3, "jupiter", 1)
    assert 2 <= told["pollSeconds"] < 60
    assert 4 <= told["oldestPriceSeconds"] < 60
    assert 2 <= told["medianPriceSeconds"] < 60


@pytest.mark.parametrize(
    ("known", "tone", "note"),
    [
        ({}, "ok", "jupiter, sandbox"),
        ({"missing": 2}, "warning", "2 without a price"),
        ({"doubted": 1}, "warning", "1 in doubt"),
        ({"ago": 40}, "danger", "not polled for"),
        ({"tokens": 0}, "", "no token is held"),
        (None, "", "no poll is known"),
    ],
    ids=["well", "missing", "doubted", "late", "nothing held", "unknown"],
)
def test_the_home_page_says_how_often_and_whether_it_is_well(known: dict | None, tone: str, note: str) -> None:
    card = dashboard.polling_card(None if known is None else together([poll(**known)]))
    assert card.tone == tone
    assert note in card.note


def test_what_is_left_of_a_plan_is_told(settings) -> None:
    settings.PROVIDERS = {
        name: {"base_url": "http://127.0.0.1:1", "plan": "keyless"} for name in ("jupiter", "dexscreener", "pyth")
    }
    polls.remember(poll(source="dexscreener", plan="keyless", interval_seconds=2.8))
    told = panel.summary(None)["polling"]
    assert (told["callLimit"], told["callsLeft"], told["intervalSeconds"]) == (300, 300, 2.8)
    assert "300 of 300 calls left" in dashboard.polling_card(prices.polling()).note


@pytest.mark.stack
@pytest.mark.browser
def test_the_desk_shows_the_interval_and_marks_prices_that_grow_old(window, web, relaying) -> None:
    channel._said.clear()
    operator = factories.make_operator()
    agent = factories.make_agent()
    fresh, old = factories.make_token("NEW"), factories.make_token("OLD")
    polls.remember(poll(tokens=2, interval_seconds=2.8))
    sign_in(window, web, operator)
    rows = {token.symbol: f"#p-{open_position(agent, token, price='0.001').pk}" for token in (fresh, old)}
    window.do(lambda page: [expect(page.locator(row)).to_be_visible() for row in rows.values()])
    say_price(fresh, "0.0011")
    say_price(old, "0.0012")

    def young(page):
        expect(page.locator(f"{rows['OLD']} td.stale")).to_have_count(0)
        expect(page.locator("#f-age-under")).to_have_text("every 2.8\u202fs")
        assert "2 of 2 tokens priced by jupiter (sandbox) in 120\u202fms" in str(
            page.locator(".figure", has=page.locator("#f-age")).get_attribute("title")
        )

    window.do(young)
    window.do(lambda page: page.clock.install())
    window.do(lambda page: page.clock.fast_forward(14_000))
    say_price(fresh, "0.0013")

    def grown(page):
        page.clock.run_for(2_000)
        expect(page.locator(f"{rows['OLD']} td.stale")).to_have_count(1)
        expect(page.locator("#f-age")).to_have_class("stale")

    window.do(grown)

"""The chart of a position: candles from the desk's own prices, what happened as marks, the rules' levels as lines."""

from __future__ import annotations

import math
import os
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import expect

from apps.core import feed as channel
from apps.prices.domain.points import PricePoint, PriceSource
from apps.prices.services import candles, record_ticks
from tests import factories
from tests.console.test_desk import say_price, sign_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.browser]
RULES = {"takeProfit": {"enabled": True}, "dca": {"enabled": True}}


@pytest.fixture(autouse=True)
def forget_said_prices():
    channel._said.clear()
    candles.forget()


def play(token, minutes: int, *, every: float = 1.0, base: float = 0.001) -> None:
    """Record prices that went up and down until now."""
    now, points = timezone.now(), []
    for number in range(int(minutes * 60 / every)):
        at = now - timedelta(minutes=minutes) + timedelta(seconds=number * every)
        price = base * (1 + 0.25 * math.sin(number * every / 170) + 0.03 * math.sin(number * every / 11))
        points.append(PricePoint(token.mint, Decimal(f"{price:.12f}"), None, PriceSource.JUPITER, at, at))
    record_ticks(points)


def opened(token, *, minutes: float, price: str = "0.001", **fields):
    agent = factories.make_agent(config=RULES)
    at = timezone.now() - timedelta(minutes=minutes)
    with transaction.atomic():
        return factories.make_position(agent, token, invested="1", price=price, opened_at=at, **fields)


def look(window, position, steps) -> None:
    def go(page):
        page.click(f"#p-{position.pk} td.agent")
        expect(page.locator("#drawer svg.chart")).to_be_visible()
        steps(page)
        if folder := os.environ.get("CHART_PICTURES"):
            page.locator("#drawer").screenshot(path=f"{folder}/{position.symbol}.png")

    window.do(go)


def test_a_chart_shows_prices_the_entry_the_stop_and_what_was_sold(window, web, relaying):
    token = factories.make_token("CHA")
    play(token, 12)
    position = opened(token, minutes=10, stop_percent=Decimal(-32), stop_price_sol=Decimal("0.00068"))
    sold_at = timezone.now() - timedelta(minutes=4)
    factories.take_profit(position, tokens="250", proceeds="0.31", at=sold_at)
    sign_in(window, web, factories.make_operator())

    def drawn(page):
        candles_drawn = page.locator("#drawer .chart-up").get_attribute("d").count("h")
        candles_drawn += page.locator("#drawer .chart-down").get_attribute("d").count("h")
        assert 60 <= candles_drawn / 2 <= 140
        expect(page.locator("#drawer .chart-mark.chart-entry")).to_have_count(1)
        expect(page.locator("#drawer .chart-mark.chart-take_profit")).to_have_count(1)
        assert "0.00124" in page.locator("#drawer .chart-mark.chart-take_profit title").text_content()
        expect(page.locator("#drawer text.chart-stop")).to_contain_text("Stop")
        expect(page.locator("#drawer text.chart-average")).to_contain_text("Average")
        expect(page.locator("#drawer .chart-unit")).to_contain_text("SOL")
        assert "lowest" in page.locator("#drawer svg.chart").get_attribute("aria-label")
        box = page.locator("#drawer svg.chart").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
        expect(page.locator("#drawer .chart-tip")).to_contain_text("UTC")
        expect(page.locator("#drawer .chart-tip")).to_contain_text("→")

    look(window, position, drawn)


def test_a_price_that_is_told_moves_the_last_candle_at_once(window, web, relaying):
    token = factories.make_token("LIV")
    play(token, 3)
    position = opened(token, minutes=2)
    sign_in(window, web, factories.make_operator())

    def before(page):
        expect(page.locator("#drawer .chart-line")).to_have_count(1)
        expect(page.locator("#drawer .chart-last-price")).not_to_contain_text("0.00171")

    look(window, position, before)
    say_price(token, "0.0017123")
    window.do(lambda page: expect(page.locator("#drawer .chart-last-price")).to_contain_text("0.00171"))


def test_a_chart_of_hours_is_made_of_minutes_and_follows_the_theme(window, web, relaying):
    token = factories.make_token("HRS")
    play(token, 5 * 60, every=20, base=0.0000016)
    candles.make_candles()
    position = opened(token, minutes=4.5 * 60, price="0.000002")
    sign_in(window, web, factories.make_operator())

    def themes(page):
        def colour():
            return page.locator("#drawer .chart-up").evaluate("element => getComputedStyle(element).stroke")

        before = colour()
        page.evaluate("window.switchTheme()")
        assert colour() != before
        expect(page.locator("#drawer .chart-axis").first).to_contain_text("0.0")

    look(window, position, themes)


def test_a_closed_positions_chart_ends_with_it_and_arrow_keys_walk_through_it(window, web, relaying):
    token = factories.make_token("END")
    play(token, 12)
    position = opened(token, minutes=8)
    factories.close_position(position, proceeds="1.1", at=timezone.now() - timedelta(minutes=3))
    sign_in(window, web, factories.make_operator())

    def drawn(page):
        page.goto(f"http://127.0.0.1:{web.port}/desk/#position/{position.pk}")
        chart = page.locator("#drawer svg.chart")
        expect(chart).to_be_visible()
        expect(page.locator("#drawer .chart-mark.chart-exit")).to_have_count(1)
        chart.focus()
        page.keyboard.press("ArrowLeft")
        last = page.locator("#drawer .chart-tip").text_content()
        page.keyboard.press("ArrowLeft")
        assert page.locator("#drawer .chart-tip").text_content() != last

    window.do(drawn)


def test_a_token_without_prices_says_so(window, web, relaying):
    position = opened(factories.make_token("NIL"), minutes=1)
    sign_in(window, web, factories.make_operator())

    def empty(page):
        page.click(f"#p-{position.pk} td.agent")
        expect(page.locator("#drawer .chart-note")).to_have_text("No price was recorded in this time.")

    window.do(empty)

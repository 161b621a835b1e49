"""The live desk as an operator meets it: a real browser on a real web process."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect
from redis import Redis

from apps.console import panel
from apps.core import feed as channel
from apps.core import outbox
from apps.core.feed import publish_prices
from apps.core.money import SOL_MINT
from apps.core.outbox import Message
from apps.prices.adapters import newest
from apps.trading import presentation
from apps.trading.models import ExitIntent, IntentStatus, Position, TradingState
from apps.trading.services import position_feed, trading_state
from tests import factories
from tests.console.test_feed import closed, open_position

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.browser]


@pytest.fixture(autouse=True)
def forget_said_prices():
    channel._said.clear()


def sign_in(window, web, user) -> None:
    def steps(page):
        page.goto(f"http://127.0.0.1:{web.port}/desk/")
        expect(page).to_have_url(re.compile("/admin/login/"))
        page.fill("input[name=username]", user.email)
        page.fill("input[name=password]", factories.PASSWORD)
        page.click("[type=submit]")
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")

    window.do(steps)


def say_price(token, price_sol: str) -> None:
    assert publish_prices(
        [
            {"mint": token.mint, "price_sol": Decimal(price_sol), "price_usd": None, "source": "jupiter"},
            {"mint": SOL_MINT, "price_sol": Decimal(1), "price_usd": Decimal(200), "source": "pyth"},
        ]
    )


def test_positions_prices_and_closes_appear_as_they_happen(window, web, relaying):
    operator = factories.make_operator()
    agent = factories.make_agent(name="Scout")
    token = factories.make_token("ACE")
    sign_in(window, web, operator)
    window.do(lambda page: expect(page.locator("#positions-empty")).to_be_visible())

    position = open_position(agent, token, invested="1", price="0.001")
    row = f"#p-{position.pk}"
    window.do(lambda page: expect(page.locator(row)).to_contain_text("Scout"))
    say_price(token, "0.0015")

    def figures(page):
        expect(page.locator(row)).to_contain_text("+50.00")
        expect(page.locator(row)).to_contain_text("+0.5000")
        expect(page.locator(row)).to_contain_text("+$100.00")
        expect(page.locator("#f-value")).to_have_text("1.5000 SOL")
        expect(page.locator("#f-unrealised")).to_have_text("+0.5000 SOL")
        expect(page.locator("#f-sol")).to_have_text("$200.00")

    window.do(figures)
    with transaction.atomic():
        trade = factories.close_position(position, proceeds="1.4", reason="stop_loss")
        told = {"agentId": str(agent.pk), "trade": presentation.closed_trade(trade, "wallet")}
        outbox.append([closed(position), Message(outbox.user_stream(agent.user_id), "trade_closed", told)])

    def gone(page):
        expect(page.locator(row)).to_have_count(0)
        expect(page.locator("#trades tbody tr")).to_have_count(1)
        expect(page.locator("#trades tbody")).to_contain_text("stop loss")
        expect(page.locator("#f-realised")).to_have_text("+0.4000 SOL")

    window.do(gone)


def test_a_partial_sale_and_a_dca_show_at_once(window, web, relaying):
    operator = factories.make_operator()
    token = factories.make_token("PART")
    position = open_position(factories.make_agent(), token, invested="1", price="0.001")
    sign_in(window, web, operator)
    row = f"#p-{position.pk}"
    window.do(lambda page: expect(page.locator(row)).to_contain_text("1,000"))

    with transaction.atomic():
        factories.take_profit(position, tokens="250", proceeds="0.4")
        outbox.append(position_feed.updated([(position, "wallet")]))

    def sold(page):
        expect(page.locator(row)).to_contain_text("75")
        expect(page.locator(row)).to_contain_text("TP 1")
        expect(page.locator("#toasts")).to_contain_text("PART took profit: sold 250, +0.1500 SOL")
        # 750 left at the sale's own 0.0016, which cost 0.75, and 0.15 realised.
        expect(page.locator(row)).to_contain_text("+0.6000")

    window.do(sold)
    with transaction.atomic():
        factories.add_to(position, invested="0.6", price="0.0008")
        outbox.append(position_feed.updated([(position, "wallet")]))

    def added(page):
        expect(page.locator(row)).to_contain_text("DCA 1")
        expect(page.locator("#toasts")).to_contain_text("PART bought more for 0.6000 SOL")
        expect(page.locator(row)).to_contain_text("1,500")

    window.do(added)


def test_a_token_bought_again_shows_what_was_paid_until_a_newer_price_comes(window, web, relaying):
    operator = factories.make_operator()
    agent, token = factories.make_agent(), factories.make_token("AGAIN")
    first = open_position(agent, token, invested="1", price="0.001")
    sign_in(window, web, operator)
    window.do(lambda page: expect(page.locator(f"#p-{first.pk}")).to_be_visible())
    say_price(token, "0.009")
    window.do(lambda page: expect(page.locator(f"#p-{first.pk}")).to_contain_text("+800.00"))
    with transaction.atomic():
        factories.close_position(first, proceeds="9")
        outbox.append([closed(first)])
    row = f"#p-{open_position(agent, token, invested='1', price='0.002').pk}"
    window.do(lambda page: expect(page.locator(row)).to_contain_text("0.00%".replace("%", "\u202f%")))
    say_price(token, "0.003")
    window.do(lambda page: expect(page.locator(row)).to_contain_text("+50.00"))


def test_exits_that_do_not_get_done_are_told_with_their_reason_though_no_message_says_so(window, web, relaying):
    operator = factories.make_operator()
    sign_in(window, web, operator)
    window.do(lambda page: expect(page.locator("#f-exits-under")).to_have_text("nothing due"))
    position = factories.make_position(factories.make_agent(name="Scout"), factories.make_token("JAM"))
    factories.make_intent(position, attempts=4, last_error="PROVIDER_TIMEOUT")

    def told(page):
        # The panel is rebuilt every five seconds when no message says that something happened.
        expect(page.locator("#f-exits")).to_have_text("1")
        expect(page.locator("#alarms")).to_contain_text("1 exit does not get done")
        expect(page.locator("#alarms")).to_contain_text(
            "JAM of Scout · Stop loss: the provider did not answer in time, 4 attempts in"
        )

    window.do(told)


def test_an_operator_closes_a_position_after_a_question(window, web, relaying):
    operator = factories.make_operator()
    agent = factories.make_agent()
    position = open_position(agent, factories.make_token("SELL"))
    sign_in(window, web, operator)

    def refuse_then_confirm(page):
        page.click(f"#p-{position.pk} button")
        expect(page.locator("#close-dialog")).to_contain_text("SELL")
        page.keyboard.press("Escape")
        expect(page.locator("#close-dialog")).to_be_hidden()
        page.click(f"#p-{position.pk} button")
        with page.expect_response("**/close") as answer:
            page.click("#close-ok")
        assert answer.value.status == 202
        expect(page.locator(f"#p-{position.pk} button")).to_have_text("Selling…")

    window.do(refuse_then_confirm)
    intent = ExitIntent.objects.get()
    assert (intent.position_id, intent.reason, intent.requested_by_id) == (position.pk, "manual", operator.pk)
    assert intent.status == IntentStatus.DUE


def test_an_operator_halts_and_resumes_trading(window, web, relaying):
    operator = factories.make_operator()
    sign_in(window, web, operator)

    def halt(page):
        page.click('[data-switch="halted"]')
        page.fill("#state-reason", "provider looks wrong")
        expect(page.locator("#state-exits-off")).to_be_hidden()
        page.uncheck("#state-exits")
        expect(page.locator("#state-exits-off")).to_contain_text("not even by a stop loss")
        page.click("#state-ok")
        expect(page.locator("#state-word")).to_have_text("Halted")
        expect(page.locator("#state-under")).to_have_text("exits off · provider looks wrong")
        expect(page.locator("#alarms")).to_contain_text("Exits are off: nothing is sold, not even by a stop loss")

    window.do(halt)
    row = TradingState.objects.get(agent=None)
    assert (row.state, row.exits_enabled, row.reason) == ("halted", False, "provider looks wrong")

    def resume(page):
        page.click('[data-switch="active"]')
        page.click("#state-ok")
        expect(page.locator("#state-word")).to_have_text("Active")
        expect(page.locator("#alarms")).to_be_hidden()

    window.do(resume)
    assert trading_state.get_state().state == "active"


def test_a_signal_shows_its_verdicts_and_why(window, web, relaying):
    operator = factories.make_operator()
    user = factories.make_user()
    token = factories.make_token("WHY")
    signal = factories.make_signal(user, token)
    for name in ("Ann", "Bob"):
        agent = factories.make_agent(user, name=f"{name} agent")
        factories.make_execution(signal, agent, verdict="skipped", code="MAX_POSITIONS_EXCEEDED")
    factories.make_execution(signal, factories.make_agent(user, name="Cyd agent"), verdict="failed", code="NO_QUOTE")
    sign_in(window, web, operator)

    def look(page):
        head = page.locator("#signals button")
        expect(head).to_contain_text("2 skipped · 1 failed")
        head.focus()
        page.keyboard.press("Enter")
        expect(head).to_have_attribute("aria-expanded", "true")
        expect(page.locator(".reason.skipped")).to_contain_text("2 skipped: max positions exceeded")
        expect(page.locator(".reason.skipped")).to_contain_text("Ann agent, Bob agent")
        expect(page.locator(".reason.failed")).to_contain_text("1 failed: no quote")

    window.do(look)


def test_the_page_resynchronises_after_the_web_process_was_away(window, own_web, relaying):
    operator = factories.make_operator()
    agent = factories.make_agent()
    first = open_position(agent, factories.make_token("ONE"))
    sign_in(window, own_web, operator)
    window.do(lambda page: expect(page.locator(f"#p-{first.pk}")).to_be_visible())
    own_web.kill()
    window.do(lambda page: expect(page.locator("#connection")).to_have_attribute("data-state", "offline"))
    second = open_position(agent, factories.make_token("TWO"))
    with transaction.atomic():
        factories.close_position(first, proceeds="1")
        outbox.append([closed(first)])
    own_web.start()

    def back(page):
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        expect(page.locator(f"#p-{second.pk}")).to_be_visible()
        expect(page.locator(f"#p-{first.pk}")).to_have_count(0)

    window.do(back)


def test_the_page_says_so_when_redis_is_away_and_goes_on_by_snapshots(window, own_web, own_redis, relaying):
    operator = factories.make_operator()
    agent = factories.make_agent()
    sign_in(window, own_web, operator)
    own_redis.kill()
    window.do(lambda page: expect(page.locator("#connection")).to_have_attribute("data-state", "stale"))
    with transaction.atomic():
        position = factories.make_position(agent, factories.make_token("OUT"))
    window.do(lambda page: expect(page.locator(f"#p-{position.pk}")).to_be_visible())
    own_redis.start()
    window.do(lambda page: expect(page.locator("#connection")).to_have_attribute("data-state", "live"))


def test_rows_can_be_sorted_and_filtered_by_keyboard(window, web, relaying):
    operator = factories.make_operator()
    rich, poor = factories.make_agent(name="Rich", sol="100"), factories.make_agent(name="Poor")
    tokens = {symbol: factories.make_token(symbol) for symbol in ("ZZZ", "AAA")}
    open_position(rich, tokens["ZZZ"])
    open_position(poor, tokens["AAA"])
    sign_in(window, web, operator)

    def order(page):
        heads = page.locator("#positions tbody th strong")
        expect(heads).to_have_text(["AAA", "ZZZ"])
        page.focus('th[data-sort="symbol"] button')
        page.keyboard.press("Enter")
        expect(heads).to_have_text(["AAA", "ZZZ"])
        page.keyboard.press("Enter")
        expect(heads).to_have_text(["ZZZ", "AAA"])
        expect(page.locator('th[data-sort="symbol"]')).to_have_attribute("aria-sort", "descending")
        page.fill("#filter", "poor")
        expect(page.locator("#positions tbody tr:visible strong")).to_have_text(["AAA"])
        expect(page.locator("#positions-count")).to_have_text("1 of 2")

    window.do(order)


def test_on_a_phone_the_table_scrolls_within_its_panel_and_the_page_does_not(window, web, relaying):
    operator = factories.make_operator()
    open_position(factories.make_agent(name="Narrow"), factories.make_token("AAA"))
    sign_in(window, web, operator)

    def sideways(page):
        page.set_viewport_size({"width": 420, "height": 900})
        expect(page.locator("#positions tbody th strong")).to_have_text(["AAA"])
        return page.evaluate("window.scrollTo(300, 0), [document.querySelector('.scroll').scrollWidth, window.scrollX]")

    table, page = window.do(sideways)
    assert table > 420
    assert page == 0


def test_only_operators_who_may_see_positions_get_the_desk():
    client = Client()
    assert client.get("/desk/")["Location"] == "/admin/login/?next=%2Fdesk%2F"
    assert client.get("/desk/signals/1").status_code == 401
    client.force_login(factories.make_user())
    assert client.get("/desk/").status_code == 302
    clerk = factories.make_user(is_staff=True)
    client.force_login(clerk)
    assert client.get("/desk/").status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="view_position"))
    page = client.get("/desk/")
    assert page.status_code == 200
    assert "default-src 'none'" in page["Content-Security-Policy"]
    position = factories.make_position(factories.make_agent(), factories.make_token())
    assert client.post(f"/desk/positions/{position.pk}/close").status_code == 403
    assert ExitIntent.objects.count() == 0
    client.force_login(factories.make_operator())
    assert client.post(f"/desk/positions/{position.pk}/close").status_code == 202
    assert client.post(f"/desk/positions/{factories.uuid.uuid4()}/close").status_code == 404
    assert client.get("/desk/signals/999").status_code == 404


def test_a_close_needs_the_csrf_token():
    client = Client(enforce_csrf_checks=True)
    client.force_login(factories.make_operator())
    position = factories.make_position(factories.make_agent(), factories.make_token())
    assert client.post(f"/desk/positions/{position.pk}/close").status_code == 403
    assert ExitIntent.objects.count() == 0


def test_the_panel_takes_the_same_few_queries_however_much_there_is(django_assert_max_num_queries):
    user = factories.make_user()
    token = factories.make_token()
    for _ in range(5):
        agent = factories.make_agent(user)
        factories.make_position(agent, token)
        signal = factories.make_signal(user, token)
        factories.make_execution(signal, agent, verdict="skipped", code="X")
        factories.make_intent(Position.objects.get(agent=agent), attempts=3)
    with django_assert_max_num_queries(11):
        built = panel.build(user.pk)
    assert built["summary"]["openPositions"] == 5
    assert built["signals"][0]["skipped"] == 1
    exits = built["summary"]["exits"]
    assert exits["stuckCount"] == exits["stuck"][0]["count"] == 5
    assert panel.build(factories.make_user().pk)["summary"]["openPositions"] == 0


def test_a_position_without_a_price_is_counted_and_not_worth_zero(redis):
    Redis.from_url(redis.url).flushdb()
    newest.forget()
    bought_at = timezone.now() - timedelta(seconds=11)
    factories.make_position(factories.make_agent(), factories.make_token(), opened_at=bought_at)
    summary = panel.summary(None)
    assert summary["unpricedPositions"] == summary["openPositions"] == 1
    assert summary["solUsd"] is None
    assert summary["oldestPriceAt"] is None

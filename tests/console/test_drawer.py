"""A position opened on the desk: its levels and its story, as they change; and the two requests it makes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from playwright.sync_api import expect

from apps.core import feed as channel
from apps.core import outbox
from apps.trading import presentation
from apps.trading.models import ExitIntent
from apps.trading.services import position_feed
from tests import factories
from tests.console.test_desk import say_price, sign_in
from tests.console.test_feed import closed, open_position
from tests.trading import lives

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.browser]

RULES = {"takeProfit": {"enabled": True}, "dca": {"enabled": True}}


@pytest.fixture(autouse=True)
def forget_said_prices():
    channel._said.clear()


def tell(position) -> None:
    position.refresh_from_db()
    outbox.append(position_feed.updated([(position, position.wallet.address)]))


def test_a_row_opens_its_levels_and_its_story_and_escape_leads_back(window, web, relaying):
    agent = factories.make_agent(name="Scout", config=RULES)
    token = factories.make_token("ACE")
    position = open_position(agent, token, invested="1", price="0.001")
    sign_in(window, web, factories.make_operator())
    say_price(token, "0.0008")

    def look(page):
        page.click(f"#p-{position.pk} td.agent")
        expect(page.locator("#drawer-title")).to_contain_text("ACE")
        expect(page.locator("#drawer-title")).to_be_focused()
        expect(page.locator("#drawer-under")).to_contain_text("Scout")
        levels = page.locator(".levels tbody th")
        expect(levels).to_have_text(
            [
                "Take profit 4sells 15\u202f%",
                "Take profit 3sells 25\u202f%",
                "Take profit 2sells 25\u202f%",
                "Take profit 1sells 25\u202f%",
                "Average",
                "Price now",
                "DCA 1adds 75\u202f%",
                "Stopsells everything",
            ]
        )
        expect(page.locator(".level-stop td").nth(2)).to_have_text("−15.0\u202f%")
        expect(page.locator(".story li")).to_have_count(1)
        page.keyboard.press("Escape")
        expect(page.locator("#drawer")).to_be_hidden()
        expect(page.locator(f"#p-{position.pk} a.open")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#drawer")).to_be_visible()
        page.go_back()
        expect(page.locator("#drawer")).to_be_hidden()

    window.do(look)


def test_prices_move_the_present_price_among_the_levels(window, web, relaying):
    agent = factories.make_agent(config=RULES)
    token = factories.make_token("MOV")
    position = open_position(agent, token, invested="1", price="0.001")
    sign_in(window, web, factories.make_operator())
    say_price(token, "0.0009")

    def below(page):
        page.click(f"#p-{position.pk} td.agent")
        expect(page.locator(".levels tbody th").nth(5)).to_have_text("Price now")
        expect(page.locator(".drawer-figures")).to_contain_text("−10.00")

    window.do(below)
    say_price(token, "0.0012")

    def above(page):
        expect(page.locator(".levels tbody th").nth(4)).to_have_text("Price now")
        expect(page.locator(".drawer-figures")).to_contain_text("+20.00")
        expect(page.locator(".level-stop td").nth(2)).to_have_text("−43.3\u202f%")

    window.do(above)


def test_the_story_grows_while_it_is_open_until_the_position_ends(window, web, relaying):
    agent = factories.make_agent(config=RULES)
    position = open_position(agent, factories.make_token("GROW"), invested="1", price="0.001")
    sign_in(window, web, factories.make_operator())

    def opened(page):
        page.click(f"#p-{position.pk} td.agent")
        expect(page.locator(".story li strong")).to_have_text(["Bought 1,000 for 1 SOL"])

    window.do(opened)
    now = timezone.now()
    with transaction.atomic():
        sale = factories.take_profit(position, tokens="250", proceeds="0.4", at=now)
        lives.fired("take_profit", sale, position, at=now, price="0.0016", details=lives.profit_details("60", 0, "50"))
        tell(position)

    def sold_a_part(page):
        newest = page.locator(".story li").first
        expect(newest.locator("strong")).to_have_text("Take profit: sold 250, profit 0.15 SOL")
        expect(newest).to_contain_text("jupiter, 0.4\u202fs old")
        expect(page.locator(".levels .hit th")).to_contain_text("Take profit 1")
        row = page.locator(f"#p-{position.pk}")
        expect(row).to_contain_text("75\u202f% left")
        expect(row).to_contain_text("TP 1/4")

    window.do(sold_a_part)
    with transaction.atomic():
        trade = factories.close_position(position, proceeds="0.9", reason="manual", at=now + timedelta(seconds=1))
        told = {"agentId": str(agent.pk), "trade": presentation.closed_trade(trade, "wallet")}
        ended = outbox.Message(outbox.user_stream(agent.user_id), "trade_closed", told)
        outbox.append([closed(position), ended])

    def gone(page):
        expect(page.locator(".story li strong").first).to_have_text("Closed: profit 0.3 SOL (+30\u202f%)")
        expect(page.locator("#drawer-title")).to_contain_text("closed by hand")
        expect(page.locator("#drawer-sell")).to_be_hidden()
        expect(page.locator(".levels")).to_have_count(0)
        page.keyboard.press("Escape")
        page.click("#trades tbody a.open")
        expect(page.locator(".story li")).to_have_count(4)
        expect(page.locator(".drawer-figures")).to_contain_text("1.3000 SOL")

    window.do(gone)


def test_a_sale_that_fails_is_followed_until_it_is_sold(window, web, relaying):
    agent = factories.make_agent()
    position = open_position(agent, factories.make_token("SLOW"), invested="1", price="0.001")
    intent = factories.make_intent(
        position, attempts=3, last_error="PROVIDER_TIMEOUT", trigger_price_sol=Decimal("0.0006")
    )
    sign_in(window, web, factories.make_operator())

    def failing(page):
        page.goto(f"http://127.0.0.1:{web.port}/desk/#position/{position.pk}")
        page.reload()
        expect(page.locator(".story li.bad strong")).to_have_text("Stop loss: failing, tried again")
        expect(page.locator(".story li.bad")).to_contain_text("3 attempts failed")

    window.do(failing)
    ExitIntent.objects.filter(pk=intent.pk).update(attempts=4)
    window.do(lambda page: expect(page.locator(".story li.bad")).to_contain_text("4 attempts failed"))


def test_an_address_of_nothing_says_so(window, web, relaying):
    sign_in(window, web, factories.make_operator())

    def look(page):
        page.goto(f"http://127.0.0.1:{web.port}/desk/#position/{factories.uuid.uuid4()}")
        page.reload()
        expect(page.locator("#drawer-body")).to_contain_text("The position does not exist.")

    window.do(look)


def test_only_operators_who_may_see_positions_read_a_story():
    position = factories.make_position(factories.make_agent(), factories.make_token())
    client = Client()
    for path in (f"/desk/positions/{position.pk}", "/desk/levels"):
        assert client.get(path).status_code == 401
    clerk = factories.make_user(is_staff=True)
    client.force_login(clerk)
    for path in (f"/desk/positions/{position.pk}", "/desk/levels"):
        assert client.get(path).status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="view_position"))
    told = client.get(f"/desk/positions/{position.pk}").json()
    assert [event["kind"] for event in told["events"]] == ["opened"]
    assert told["agentName"] == position.agent.name
    assert client.get(told["adminUrl"]).status_code == 200
    assert client.get(f"/desk/positions/{factories.uuid.uuid4()}").status_code == 404
    assert client.post(f"/desk/positions/{position.pk}").status_code == 405


def test_levels_are_counted_for_agents_with_open_positions_only():
    client = Client()
    client.force_login(factories.make_operator())
    token = factories.make_token()
    with_rules = factories.make_agent(config=RULES | {"dca": {"enabled": True, "maxDCACount": 1}})
    without, broken = factories.make_agent(), factories.make_agent(config={"dca": "broken"})
    factories.make_agent(config=RULES)
    for agent in (with_rules, without, broken):
        factories.make_position(agent, token)
    with CaptureQueriesContext(connection) as captured:
        counts = client.get("/desk/levels").json()
    assert counts == {
        str(with_rules.pk): {"takeProfit": 4, "dca": 1},
        str(without.pk): {"takeProfit": 0, "dca": 0},
    }
    assert len(captured) <= 5

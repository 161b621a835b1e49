"""The client printed in docs/live-feed.md, run in a browser against a real web process."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone

from apps.accounts.services import sessions
from apps.console import feed
from apps.console.clients import Scope
from apps.core import feed as channel
from apps.core import outbox
from apps.core.money import SOL_MINT
from apps.trading.services import position_feed
from tests import factories
from tests.console.test_feed import closed, open_position

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.browser]

PAGE = Path(__file__).parents[2] / "docs" / "live-feed.md"
EXAMPLE = re.search(r"^```js\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def start(window, web, user, agent_id: str) -> None:
    """Open a page of the desk's origin and let the example follow."""
    assert EXAMPLE is not None
    token = sessions.open_session(user=user, remember=False).access_token
    script = f"""() => {{
        {EXAMPLE.group(1)}
        window.kinds = [];
        window.follower = new DeskFeed(location.origin, {json.dumps(agent_id)}, async () => {json.dumps(token)},
          (_, kind) => window.kinds.push(kind));
    }}"""

    def steps(page) -> None:
        page.goto(f"http://127.0.0.1:{web.port}/admin/login/")
        page.evaluate(script)
        page.wait_for_function("() => window.follower.positions !== undefined")

    window.do(steps)


def waits(window, condition: str) -> None:
    test = f"() => {{ const feed = window.follower; return {condition}; }}"
    window.do(lambda page: page.wait_for_function(test))


def known(window) -> dict[str, dict]:
    return window.do(lambda page: page.evaluate("() => Object.fromEntries(window.follower.positions)"))


def say_price(token, price: str, tick: int) -> None:
    channel._said.clear()
    assert channel.publish_prices(
        [
            {"mint": token.mint, "price_sol": Decimal(price), "price_usd": None, "source": "jupiter", "tick": tick},
            {"mint": SOL_MINT, "price_sol": Decimal(1), "price_usd": Decimal(200), "source": "pyth"},
        ]
    )


def test_the_example_keeps_positions_peaks_and_profit_in_step(window, web, relaying):
    agent, token = factories.make_agent(), factories.make_token("EX")
    first = open_position(agent, token, invested="1", price="0.001", peak_from_tick=10)
    start(window, web, agent.user, str(agent.pk))
    assert known(window).keys() == {str(first.pk)}

    say_price(token, "0.0009", 10)  # recorded before the position began to count
    say_price(token, "0.0015", 11)
    waits(window, "[...feed.positions.values()][0].peakPrice === 0.0015 && feed.solUsd === 200")
    (position,) = known(window).values()
    assert position["lowestPrice"] is None
    profit = window.do(lambda page: page.evaluate("() => follower.profitSol([...follower.positions.values()][0])"))
    assert profit == pytest.approx(0.5)

    with transaction.atomic():
        factories.take_profit(first, tokens="250", proceeds="0.4")
        outbox.append(position_feed.updated([(first, first.wallet.address)]))
    second = open_position(agent, factories.make_token("TWO"))
    waits(window, "feed.positions.size === 2")
    with transaction.atomic():
        factories.close_position(second, proceeds="1")
        outbox.append([closed(second)])
    waits(window, "feed.positions.size === 1")
    (told,) = feed.snapshot(Scope(agent_id=agent.pk)).data["positions"]
    (position,) = known(window).values()
    assert {name: position[name] for name in ("remainingAmount", "realizedProfitSol", "takeProfitTransactionIds")} == {
        name: told[name] for name in ("remainingAmount", "realizedProfitSol", "takeProfitTransactionIds")
    }
    assert position["peakPrice"] == 0.0015


def test_the_example_finds_out_what_it_missed_and_comes_back_after_the_server(window, own_web, relaying):
    agent = factories.make_agent()
    open_position(agent, factories.make_token("ONE"))
    start(window, own_web, agent.user, "*")
    with transaction.atomic():  # never published
        outbox.append([position_feed.created(factories.make_position(agent, factories.make_token("TWO")), "wallet")])
        outbox.OutboxMessage.objects.filter(published_at=None).update(published_at=timezone.now())
    open_position(agent, factories.make_token("THREE"))
    waits(window, "feed.positions.size === 3")

    own_web.kill()
    with transaction.atomic():
        outbox.append([position_feed.created(factories.make_position(agent, factories.make_token("FOUR")), "wallet")])
    own_web.start()
    waits(window, "feed.positions.size === 4")


def test_the_example_is_told_when_its_session_has_ended(window, web):
    agent = factories.make_agent()
    start(window, web, agent.user, str(agent.pk))
    sessions.sign_out_everywhere(user=agent.user, actor=None, reason="test")
    waits(window, "window.kinds.at(-1) === 'ended'")

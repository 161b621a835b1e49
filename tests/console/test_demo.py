"""The demo desk: made once, funded, and between its agents there is every way out of a position."""

from __future__ import annotations

import pytest

from apps.agents.domain import trading_config
from apps.agents.models import Agent
from apps.console import demo
from apps.notify.models import WebhookEndpoint
from apps.wallets.models import Balance
from tests import factories
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db


@pytest.fixture
def agents() -> list[Agent]:
    made = demo.ensure(factories.make_operator())
    for agent in made:
        agent.refresh_from_db()
    return made


def test_every_agent_is_made_and_funded(agents):
    assert [agent.name for agent in agents] == [wanted.name for wanted in demo.DEMO_AGENTS]
    for agent, wanted in zip(agents, demo.DEMO_AGENTS, strict=True):
        assert Balance.objects.get(wallet=factories.wallet_of(agent)).amount == wanted.sol
    assert differences() == []


def test_a_desk_that_has_agents_is_left_as_it_is(agents):
    assert demo.ensure(agents[0].user) == []
    assert Agent.objects.count() == len(agents)


def test_the_sandbox_is_told_of_what_happens_and_stays_told_when_it_moves(agents, settings):
    owner = agents[0].user
    (endpoint,) = WebhookEndpoint.objects.filter(user=owner)
    assert endpoint.url == f"{settings.SANDBOX_URL}/webhooks"
    assert set(endpoint.events) == set(demo.WEBHOOK_EVENTS)
    WebhookEndpoint.objects.update(enabled=False)
    settings.SANDBOX_URL = "http://127.0.0.1:9999"
    demo.ensure(owner)
    (moved,) = WebhookEndpoint.objects.filter(user=owner)
    assert (moved.pk, moved.url, moved.enabled) == (endpoint.pk, "http://127.0.0.1:9999/webhooks", False)
    assert moved.sealed_secret == endpoint.sealed_secret


def test_the_agents_show_every_way_out_of_a_position(agents):
    configs = [trading_config.load(agent.trading_config) for agent in agents]
    assert {str(config.stop_loss.mode) for config in configs} == {"fixed", "exponential", "zones", "custom"}
    assert {str(config.take_profit.mode) for config in configs if config.take_profit.enabled} == {
        "moderate",
        "aggressive",
    }
    assert all(config.take_profit.moon_bag.enabled for config in configs if config.take_profit.enabled)
    assert {str(config.dca.mode) for config in configs if config.dca.enabled} == {"moderate", "aggressive"}
    assert all(config.dca.cooldown_seconds == 10 for config in configs if config.dca.enabled)
    assert min(config.stale_trade.min_hold_minutes for config in configs) == 1


def test_a_dca_comes_before_the_stop(agents):
    for agent in agents:
        config = trading_config.load(agent.trading_config)
        if config.dca.enabled:
            first = config.dca.levels[0].drop_percent
            assert config.stop_loss.default_percent < first

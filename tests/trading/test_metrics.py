"""What a trade tells Prometheus: every counter moves by exactly what happened, and by nothing else."""

from __future__ import annotations

import pytest
from django.utils import timezone

from apps.core.errors import SoldeskError
from apps.core.metrics_registry import REGISTRY
from apps.signals import services as signals
from apps.trading.models import ExitIntent, SignalExecution
from apps.trading.services import entries, exit_runner, hand_buys
from tests import factories
from tests.prices import world
from tests.trading import closing
from tests.trading.playing import Watching, bought, sizes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_remembered(market):
    world.forget()
    yield
    world.forget()


@pytest.fixture
def watching():
    watching = Watching()
    yield watching
    watching.close()


class Moved:
    """How far each count has moved since this was made; only what moved."""

    def __init__(self, *families: str) -> None:
        self._families = families
        self._before = self._read()

    def _read(self) -> dict[str, float]:
        return {
            " ".join([sample.name, *(value for _, value in sorted(sample.labels.items()))]): sample.value
            for metric in REGISTRY.collect()
            if metric.name in self._families
            for sample in metric.samples
            if sample.name.endswith(("_total", "_count"))
        }

    def since(self) -> dict[str, float]:
        now = self._read()
        return {
            name: value - self._before.get(name, 0) for name, value in now.items() if value != self._before.get(name, 0)
        }


TRADING = (
    "signal_processing",
    "signal_processing_latency_seconds",
    "trade_execution",
    "trade_execution_latency_seconds",
    "stop_loss_trigger",
    "stale_trade_trigger",
    "dca_trigger",
    "dca_execution_latency_seconds",
    "exits_booked",
    "errors",
)


def send(user, mint, **changes):
    values = {"signal_type": "Momentum", "signal_strength": 3, **changes}
    return signals.create_signal(user=user, api_key=None, token_address=mint, symbol="TOK", **values)


def test_a_signal_a_buy_and_a_stop_are_each_counted_once(market, watching):
    moved = Moved(*TRADING)
    played = bought(market, watching, {})
    assert moved.since() == {
        "signal_processing_total success": 1,
        "signal_processing_latency_seconds_count success": 1,
        "trade_execution_total success purchase": 1,
        "trade_execution_latency_seconds_count success purchase": 1,
    }

    moved = Moved(*TRADING)
    played.play("-40")
    assert played.closed_trade.close_reason == "stop_loss"
    assert moved.since() == {
        "stop_loss_trigger_total": 1,
        "trade_execution_total success sale": 1,
        "trade_execution_latency_seconds_count success sale": 1,
        "exits_booked_total stop_loss": 1,
    }
    assert closing.differences() == []


def test_a_dca_is_counted_by_its_level(market, watching):
    levels = [{"dropPercent": -10, "buyPercent": 50}, {"dropPercent": -20, "buyPercent": 50}]
    dca = {"enabled": True, "mode": "custom", "levels": levels, "maxDCACount": 2, "cooldownSeconds": 10}
    played = bought(market, watching, {"dca": dca, "stopLoss": {"enabled": False}})
    moved = Moved(*TRADING)
    played.play("-12")
    assert moved.since() == {
        "dca_trigger_total 1": 1,
        "dca_execution_latency_seconds_count": 1,
        "trade_execution_total success dca_buy": 1,
        "trade_execution_latency_seconds_count success dca_buy": 1,
        "exits_booked_total dca": 1,
    }
    assert closing.differences() == []


def test_many_agents_of_one_signal_are_each_a_trade_of_one_processed_signal(market):
    token = market.add_token()
    user = factories.make_user()
    for _ in range(3):
        factories.make_agent(user, config=sizes(1))
    poor = factories.make_agent(user, sol="0.2", config=sizes(1))
    moved = Moved(*TRADING)
    entries.process_signal(send(user, token.mint).pk)
    assert SignalExecution.objects.get(agent=poor).verdict == "skipped"
    assert moved.since() == {
        "signal_processing_total success": 1,
        "signal_processing_latency_seconds_count success": 1,
        "trade_execution_total success purchase": 3,
        "trade_execution_latency_seconds_count success purchase": 3,
    }


def test_a_signal_nobody_wants_is_skipped_and_one_nobody_can_buy_failed(market):
    agent = factories.make_agent(config={**sizes(1), "signals": {"minScore": 5}})
    moved = Moved(*TRADING)
    entries.process_signal(send(agent.user, market.add_token().mint, signal_strength=1).pk)
    assert moved.since() == {
        "signal_processing_total skipped": 1,
        "signal_processing_latency_seconds_count skipped": 1,
    }
    moved = Moved(*TRADING)
    entries.process_signal(send(agent.user, factories.mint_of("nobody-knows-it"), signal_strength=5).pk)
    assert SignalExecution.objects.latest("executed_at").code == "TOKEN_NOT_TRADABLE"
    assert moved.since() == {
        "signal_processing_total failed": 1,
        "signal_processing_latency_seconds_count failed": 1,
        "trade_execution_total failed purchase": 1,
        "trade_execution_latency_seconds_count failed purchase": 1,
        "errors_total TOKEN_NOT_TRADABLE trading": 1,
    }


def test_a_buy_by_hand_is_a_purchase_and_a_refused_one_is_none(market):
    agent = factories.make_agent(config=sizes(1))
    token = market.add_token()
    moved = Moved(*TRADING)
    hand_buys.buy_by_hand(agent=agent, token_address=token.mint, actor=agent.user)
    bought_once = {
        "trade_execution_total success purchase": 1,
        "trade_execution_latency_seconds_count success purchase": 1,
    }
    assert moved.since() == bought_once
    with pytest.raises(SoldeskError, match="position"):
        hand_buys.buy_by_hand(agent=agent, token_address=token.mint, actor=agent.user)
    assert moved.since() == bought_once
    assert closing.differences() == []


def test_a_sale_that_fails_is_an_error_of_its_rule_and_the_trade_counts_when_it_is_booked(market, watching):
    played = bought(market, watching, {})
    played.chart("-40")
    market.next_price(played.token.mint)
    market.fault("jupiter_quote", "server_error", status=500)
    moved = Moved(*TRADING)
    watching.look()
    found = moved.since()
    (code,) = {name.split()[1] for name in found if name.startswith("errors_total")}
    assert found[f"errors_total {code} stop_loss"] == found["trade_execution_total failed sale"] >= 1
    assert "exits_booked_total stop_loss" not in found
    market.clear_faults()
    ExitIntent.objects.update(due_at=timezone.now())
    exit_runner.run_due()
    assert moved.since()["trade_execution_total success sale"] == 1
    assert closing.differences() == []

"""The gate before a live buy is built or sent: what changed since it was reserved ends it; sales are not asked."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.agents.models import Agent
from apps.signals.models import TradingSignal
from apps.trading.models import ExitIntent, Order, OrderPurpose, SignalExecution, State
from apps.trading.services import exit_runner, exits
from apps.trading.services.live import gate_again, settling
from apps.wallets.models import LiveKey
from tests import factories
from tests.live import trading
from tests.trading import adjusting
from tests.trading.closing import differences, stored_by_mint

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def order(market):
    token = market.add_token(**adjusting.DEEP)
    agent = trading.live_agent()
    trading.send(agent.user, token)
    return Order.objects.select_related("agent", "signal", "wallet").get()


def code(order: Order) -> str | None:
    return gate_again.check([order.pk]).get(order.pk)


def test_a_young_buy_at_its_price_goes_on(order):
    assert code(order) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda order: factories.set_state(State.HALTED), "TRADING_HALTED"),
        (lambda order: factories.set_state(State.REDUCING, agent=order.agent), "TRADING_REDUCING"),
        (lambda order: Agent.objects.update(automated_trading_live=False), "paused"),
        (lambda order: Agent.objects.update(trading_mode="simulation"), "TRADING_MODE_MISMATCH"),
        (lambda order: LiveKey.objects.update(loaded=False), "WALLET_NOT_LOADED"),
        (lambda order: TradingSignal.objects.update(deleted_at=timezone.now()), "signal_deleted"),
        (
            lambda order: TradingSignal.objects.update(created_at=timezone.now() - timedelta(seconds=61)),
            "SIGNAL_EXPIRED",
        ),
    ],
    ids=["halted", "reducing", "paused", "mode", "key", "deleted", "age"],
)
def test_what_changed_since_ends_the_buy_as_a_refusal(order, change, expected):
    change(order)

    assert code(order) == expected
    settling.settle_ended([(order.pk, "failed", expected)])

    verdict = SignalExecution.objects.get()
    assert (verdict.verdict, verdict.reasons) == ("skipped", [expected])
    assert order.wallet.balances.get().amount == 10
    assert differences() == []


def test_a_price_that_has_gone_ends_it_and_one_that_has_not_does_not(order):
    Order.objects.update(created_at=timezone.now() - timedelta(seconds=10))
    decided = Decimal(order.inputs["quotedLamports"]).scaleb(order.decimals - 9) / Decimal(order.inputs["quotedTokens"])
    factories.make_tick(stored_by_mint(order.mint), str(decided))
    assert code(order) is None

    factories.make_tick(stored_by_mint(order.mint), str(decided * 2))

    assert code(order) == "SIGNAL_EXPIRED"


def test_a_dca_is_barred_by_a_close_and_lapses(market):
    token = market.add_token(**adjusting.DEEP)
    position = trading.hold(token, config={**trading.ONE_SOL, **adjusting.adding()})
    intent = adjusting.fire_at(market, position, "dca", "-30")
    exit_runner.run_due()
    order = Order.objects.get(purpose=OrderPurpose.DCA)
    assert code(order) is None

    ExitIntent.objects.filter(pk=intent.pk).update(created_at=timezone.now() - timedelta(seconds=11))
    assert code(order) == "LAPSED"
    exits.request_close(position=position, reason="manual", actor=position.agent.user)
    assert code(order) == "BARRED_BY_CLOSE"

    settling.settle_ended([(order.pk, "failed", "BARRED_BY_CLOSE")])
    assert differences() == []


def test_a_sale_is_never_asked(market):
    position = trading.hold(market.add_token(**adjusting.DEEP))
    trading.fire_stop(position)
    exit_runner.run_due()
    factories.set_state(State.REDUCING)
    sale = Order.objects.get(purpose=OrderPurpose.CLOSE)

    assert gate_again.check([sale.pk]) == {}


def test_an_entry_that_expired_is_tried_again_while_its_signal_is_young_and_then_ends(order):
    attempts = []
    for _ in range(3):
        current = trading.sign(Order.objects.get(status="reserved"))
        attempts.append((current.attempt, current.slippage_bps))
        settling.settle_ended([(current.pk, "expired", "EXPIRED")])
        assert differences() == []

    assert attempts == [(1, 100), (2, 200), (3, 400)]
    assert not Order.objects.filter(status="reserved").exists()
    assert SignalExecution.objects.get().code == "EXPIRED"
    assert order.wallet.balances.get().amount == 10
    order.agent.state.refresh_from_db()
    assert order.agent.state.open_positions == 0

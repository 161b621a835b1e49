"""What was lost today, what is at stake and a fresh stop loss bar buying, and nothing but buying."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import AuditEntry
from apps.agents.models import AgentState
from apps.core.errors import Invalid
from apps.core.models import OutboxMessage
from apps.core.money import SOL_MINT
from apps.signals import services as signals
from apps.trading.domain.loss_limits import Bounds
from apps.trading.errors import EntryRefused
from apps.trading.models import ClosedTrade, ExitIntent, LossLimit, Position, RealisedToday, SignalExecution
from apps.trading.services import entries, exit_runner, exits, hand_buys, loss_limits
from apps.wallets.models import Balance
from tests import factories
from tests.trading.adjusting import adding, fire_at, holding
from tests.trading.closing import differences
from tests.trading.test_entries import FIXED_SIZE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _sellers_at_rest():
    yield
    exit_runner.stop()


@pytest.fixture
def token(market):
    return market.add_token()


def an_agent(**fields):
    return factories.make_agent(config=FIXED_SIZE, **fields)


def lose(agent, sol: str, *, reason: str = "manual", seconds_ago: int = 0) -> ClosedTrade:
    """Close a position with a loss of so much SOL."""
    position = factories.make_position(agent, factories.make_token(), invested="2", price="0.5")
    at = timezone.now() - timedelta(seconds=seconds_ago)
    return factories.close_position(position, proceeds=str(2 - Decimal(sol)), reason=reason, at=at)


def signalled(agent, token) -> SignalExecution:
    """Send a signal to the agent's owner and return the agent's verdict."""
    signal = signals.create_signal(
        user=agent.user, api_key=None, token_address=token.mint, symbol=token.symbol, signal_type="M", signal_strength=3
    )
    entries.process_signal(signal.pk)
    return SignalExecution.objects.get(signal=signal, agent=agent)


def assert_refused(agent, token, code: str) -> dict[str, object]:
    """Try a signal and a hand; both must be refused with the code, and nothing may change. Return the inputs."""
    held = Balance.objects.get(wallet=factories.wallet_of(agent), mint=SOL_MINT).amount
    verdict = signalled(agent, token)
    assert (verdict.verdict, verdict.code) == ("skipped", code)
    with pytest.raises(EntryRefused) as refusal:
        hand_buys.buy_by_hand(agent=agent, token_address=token.mint, actor=None)
    assert (refusal.value.code, refusal.value.status) == (code, 409)
    assert not Position.objects.filter(agent=agent, mint=token.mint).exists()
    assert Balance.objects.get(wallet=factories.wallet_of(agent), mint=SOL_MINT).amount == held
    assert (
        AgentState.objects.get(agent=agent).open_positions
        == Position.objects.filter(agent=agent, closed_at=None).count()
    )
    assert isinstance(verdict.inputs, dict)
    return verdict.inputs


def test_a_days_losses_bar_buying_once_they_reach_the_limit(market):
    agent = an_agent()
    factories.make_loss_limit(agent, daily_loss="1")
    lose(agent, "0.999999999")
    assert signalled(agent, market.add_token()).verdict == "executed"
    lose(agent, "0.000000001")

    inputs = assert_refused(agent, market.add_token(), "DAILY_LOSS_REACHED")

    assert inputs == {"limitOf": "agent", "maxDailyLossSol": "1", "realisedTodaySol": "-1"}
    assert differences() == []


def test_gains_make_up_for_losses_of_the_same_day_and_a_new_day_begins_at_nothing(token):
    agent = an_agent()
    factories.make_loss_limit(agent, daily_loss="1")
    lose(agent, "1.5")
    lose(agent, "-0.75")
    assert signalled(agent, token).verdict == "executed"
    lose(agent, "0.5")
    assert loss_limits.entry_refusals([agent.pk])[agent.pk].code == "DAILY_LOSS_REACHED"

    RealisedToday.objects.update(day=timezone.now().date() - timedelta(days=1))

    assert loss_limits.entry_refusals([agent.pk]) == {}
    lose(agent, "0.25")
    assert RealisedToday.objects.get(agent=agent).profit_sol == Decimal("-0.25")


def test_a_partial_sale_counts_what_it_realised(token):
    agent = an_agent()
    position = factories.make_position(agent, factories.make_token(), invested="2", price="0.5")

    factories.take_profit(position, tokens="2", proceeds="0.25")

    assert RealisedToday.objects.get(agent=agent).profit_sol == Decimal("-0.75")
    assert loss_limits.use_of([(agent.pk, "simulation")])[agent.pk, "simulation"].exposure_sol == Decimal(1)


def test_live_and_simulated_losses_never_count_together(token):
    agent = an_agent()
    factories.make_loss_limit(agent, trading_mode="live", daily_loss="0.1", exposure="0.1", cooldown=600)
    lose(agent, "1.5", reason="stop_loss")

    assert signalled(agent, token).verdict == "executed"
    assert loss_limits.use_of([(agent.pk, "live")])[agent.pk, "live"].realised_today_sol == 0


def test_what_is_at_stake_may_reach_its_limit_and_not_pass_it(market):
    agent = an_agent(sol="100")
    factories.make_loss_limit(agent, exposure="2")
    first, second, third = market.add_tokens(3)
    assert [signalled(agent, token).verdict for token in (first, second)] == ["executed", "executed"]

    inputs = assert_refused(agent, third, "MAX_EXPOSURE_REACHED")

    assert {name: inputs[name] for name in ("limitOf", "maxExposureSol", "exposureSol", "spendingSol")} == {
        "limitOf": "agent",
        "maxExposureSol": "2",
        "exposureSol": "2",
        "spendingSol": "1",
    }
    assert inputs["balanceSol"] == "98"
    assert differences() == []


def test_funds_held_for_orders_under_way_are_at_stake(token):
    agent = an_agent()
    factories.make_loss_limit(agent, exposure="1.5")
    Balance.objects.filter(wallet=factories.wallet_of(agent), mint=SOL_MINT).update(amount=9, held=1)

    assert_refused(agent, token, "MAX_EXPOSURE_REACHED")


def test_nothing_is_bought_for_a_while_after_a_stop_loss_and_then_again(token):
    agent = an_agent()
    limit = factories.make_loss_limit(agent, cooldown=600)
    lose(agent, "0.1", seconds_ago=5)
    lose(agent, "0.1", reason="stop_loss", seconds_ago=100)

    inputs = assert_refused(agent, token, "COOLDOWN_AFTER_STOP")
    assert inputs["cooldownSeconds"] == 600
    assert 100 <= inputs["secondsSinceStop"] < 160

    LossLimit.objects.filter(pk=limit.pk).update(cooldown_seconds=60)
    assert hand_buys.buy_by_hand(agent=agent, token_address=token.mint, actor=None).input_amount > 0


def test_the_desks_limit_counts_every_agent_and_bars_every_agent(market):
    loser, other = an_agent(), an_agent()
    factories.make_loss_limit(daily_loss="1")
    lose(loser, "1")
    token = market.add_token()

    inputs = assert_refused(other, token, "DAILY_LOSS_REACHED")

    assert inputs["limitOf"] == "desk"
    assert set(loss_limits.entry_refusals([loser.pk, other.pk])) == {loser.pk, other.pk}


def test_agents_of_one_signal_share_what_the_desk_may_have_at_stake(token):
    user = factories.make_user()
    for _ in range(4):
        an_agent(user=user)
    factories.make_loss_limit(exposure="3")
    signal = signals.create_signal(
        user=user, api_key=None, token_address=token.mint, symbol=token.symbol, signal_type="M", signal_strength=3
    )

    report = entries.process_signal(signal.pk)

    assert (report.executed, report.skipped, report.failed) == (3, 1, 0)
    assert loss_limits.use_of([(None, "simulation")])[None, "simulation"].exposure_sol == 3
    assert differences() == []


def test_two_bookings_at_once_cannot_both_take_the_last_of_the_desks_limit(token):
    agents = [an_agent() for _ in range(2)]
    factories.make_loss_limit(exposure="1")
    barrier = threading.Barrier(2)

    def buy(agent) -> None:
        barrier.wait(timeout=60)
        try:
            signalled(agent, token)
        finally:
            connection.close()

    threads = [threading.Thread(target=buy, args=[agent]) for agent in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert Position.objects.count() == 1
    assert sorted(SignalExecution.objects.values_list("verdict", "code")) == [
        ("executed", ""),
        ("skipped", "MAX_EXPOSURE_REACHED"),
    ]


def test_a_limit_bars_adding_to_a_position_and_no_exit(market):
    position = holding(market, adding())
    factories.make_loss_limit(position.agent, daily_loss="0.5")
    lose(position.agent, "0.5")
    intent = fire_at(market, position, "dca", "-25")
    before = Position.objects.get(pk=position.pk)

    exit_runner.run_due()

    intent = ExitIntent.objects.get(pk=intent.pk)
    assert (intent.status, intent.last_error) == ("cancelled", "DAILY_LOSS_REACHED")
    after = Position.objects.get(pk=position.pk)
    assert (after.generation, after.remaining_cost_sol) == (before.generation, before.remaining_cost_sol)
    exits.request_close(position=after, reason="stop_loss", actor=None)
    exit_runner.run_due()
    assert Position.objects.get(pk=position.pk).close_reason == "stop_loss"
    assert differences() == []


def test_owners_hear_once_that_a_limit_bars_buying(market):
    agent = an_agent()
    factories.make_loss_limit(agent, daily_loss="1")
    lose(agent, "1")
    for token in market.add_tokens(2):
        signalled(agent, token)

    (told,) = OutboxMessage.objects.filter(kind="alert")

    assert told.stream == f"user:{agent.user_id}"
    assert told.payload == {
        "code": "LOSS_LIMIT_REACHED",
        "reason": "DAILY_LOSS_REACHED",
        "message": "Today's losses have reached the limit: nothing is bought until midnight UTC.",
        "agentId": str(agent.pk),
        "limitOf": "agent",
        "maxDailyLossSol": "1",
        "realisedTodaySol": "-1",
    }
    LossLimit.objects.update(told_at=timezone.now() - timedelta(hours=2))
    signalled(agent, market.add_token())
    assert OutboxMessage.objects.filter(kind="alert").count() == 2


def test_limits_are_set_and_lifted_with_an_entry_of_before_and_after():
    agent, actor = an_agent(), factories.make_operator()
    bounds = Bounds(Decimal("1.5"), None, 60)

    loss_limits.set_limit(agent=agent, trading_mode="live", bounds=bounds, actor=actor)
    loss_limits.set_limit(agent=agent, trading_mode="live", bounds=bounds, actor=actor)
    loss_limits.set_limit(agent=agent, trading_mode="live", bounds=Bounds(), actor=actor)

    assert not LossLimit.objects.exists()
    written = AuditEntry.objects.filter(action="loss_limit.changed").order_by("id")
    assert [(entry.before["max_daily_loss_sol"], entry.after["max_daily_loss_sol"]) for entry in written] == [
        (None, "1.5"),
        ("1.500000000", None),
    ]
    assert {(entry.object_id, entry.actor_id) for entry in written} == {(str(agent.pk), actor.pk)}


@pytest.mark.parametrize("bounds", [Bounds(Decimal(0)), Bounds(None, Decimal(-1)), Bounds(None, None, 0)])
def test_a_limit_that_bounds_nothing_is_refused(bounds):
    agent = an_agent()
    with pytest.raises(Invalid) as refusal:
        loss_limits.set_limit(agent=agent, trading_mode="live", bounds=bounds, actor=None)
    assert refusal.value.code == "INVALID_LOSS_LIMIT"
    assert not LossLimit.objects.exists()
    assert not AuditEntry.objects.filter(action="loss_limit.changed").exists()

"""From a signal to booked positions: verdicts, balances, limits, repeats."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from apps.core import bulk
from apps.core.money import SOL_MINT, quantize_price
from apps.signals import queue
from apps.signals import services as signals
from apps.signals.models import TradingSignal
from apps.trading.errors import EntryRefused
from apps.trading.models import Position, SignalExecution, State
from apps.trading.services import entries, hand_buys, trading_state
from apps.wallets.models import Balance, LedgerEntry, Transaction
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

FIXED_SIZE = {
    "positionCalculator": {
        "positionSizes": {name: {"min": 1, "max": 1} for name in ("small", "medium", "large")},
        "randomization": {"enabled": False},
    }
}


def send(user, token, **changes) -> TradingSignal:
    values = {"signal_type": "Momentum", "signal_strength": 3, **changes}
    return signals.create_signal(user=user, api_key=None, token_address=token.mint, symbol=token.symbol, **values)


def verdict(signal, agent) -> SignalExecution:
    return SignalExecution.objects.get(signal=signal, agent=agent)


def balance(agent, mint: str = SOL_MINT) -> Decimal:
    row = Balance.objects.filter(wallet=factories.wallet_of(agent), mint=mint).first()
    return Decimal(0) if row is None else row.amount


def assert_books_balance() -> None:
    wrong = bulk.fetch_all(
        "SELECT b.wallet_id, b.mint, b.amount, sum(l.delta) FROM balance b JOIN wallet w ON w.id = b.wallet_id"
        " LEFT JOIN ledger_entry l ON l.wallet_id = b.wallet_id AND l.mint = b.mint AND l.epoch = w.epoch"
        " GROUP BY b.id HAVING b.amount <> COALESCE(sum(l.delta), 0)"
    )
    assert wrong == []


@pytest.fixture
def token(market):
    return market.add_token()


def test_a_signal_opens_a_position_for_every_agent_that_wants_it(token):
    user = factories.make_user()
    keen, choosy = (
        factories.make_agent(user, config=FIXED_SIZE),
        factories.make_agent(user, config={"signals": {"minScore": 5, "allowedSignalTypes": ["Whale"]}}),
    )
    signal = send(user, token)

    report = entries.process_signal(signal.pk)

    assert (report.executed, report.skipped, report.failed) == (1, 1, 0)
    assert verdict(signal, choosy).reasons == ["score", "type"]
    executed = verdict(signal, keen)
    position = Position.objects.get(agent=keen)
    assert executed.verdict == "executed"
    assert executed.position_id == position.pk
    assert executed.transaction_id == position.purchase_transaction_id
    assert position.total_invested_sol == Decimal(1)
    assert position.remaining_amount == position.purchase_amount == balance(keen, token.mint)
    assert position.stop_percent == Decimal(-32)
    assert position.stop_price_sol == quantize_price(position.purchase_price * Decimal("0.68"))
    assert balance(keen) == Decimal(9)
    assert keen.state.__class__.objects.get(agent=keen).open_positions == 1
    assert TradingSignal.objects.get(pk=signal.pk).status == "done"
    assert_books_balance()


def test_fees_are_ledger_lines_of_their_own(token):
    agent = factories.make_agent(config=FIXED_SIZE)
    entries.process_signal(send(agent.user, token).pk)

    bought = Transaction.objects.get(agent=agent, transaction_type="swap")
    lines = dict(LedgerEntry.objects.filter(transaction=bought, mint=SOL_MINT).values_list("reason", "delta"))
    assert bought.protocol_fee_sol > 0
    assert lines["protocol_fee"] == -bought.protocol_fee_sol
    assert lines["swap"] == -(Decimal(1) - bought.protocol_fee_sol)


def test_processing_a_signal_twice_books_once(token):
    agent = factories.make_agent(config=FIXED_SIZE)
    signal = send(agent.user, token)
    entries.process_signal(signal.pk)
    TradingSignal.objects.filter(pk=signal.pk).update(status="due")

    entries.process_signal(signal.pk)

    assert Position.objects.filter(agent=agent).count() == 1
    assert SignalExecution.objects.filter(signal=signal).count() == 1
    assert balance(agent) == Decimal(9)


def test_a_lease_that_ran_out_is_taken_over_and_a_running_one_is_not(token):
    agent = factories.make_agent(config=FIXED_SIZE)
    signal = send(agent.user, token)
    assert queue.lease(signal.pk) is not None

    assert entries.process_signal(signal.pk) is None
    TradingSignal.objects.filter(pk=signal.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert queue.due_ids() == [signal.pk]
    assert entries.process_signal(signal.pk).executed == 1


def test_a_signal_too_old_is_never_bought_late(token):
    agent = factories.make_agent(config=FIXED_SIZE)
    signal = send(agent.user, token)
    TradingSignal.objects.filter(pk=signal.pk).update(created_at=timezone.now() - timedelta(minutes=10))
    type(agent).objects.filter(pk=agent.pk).update(created_at=timezone.now() - timedelta(hours=1))

    report = entries.process_signal(signal.pk)

    assert (report.executed, report.skipped) == (0, 1)
    assert verdict(signal, agent).code == "SIGNAL_EXPIRED"
    assert balance(agent) == Decimal(10)


def test_a_second_signal_for_a_held_token_opens_no_second_position(token):
    agent = factories.make_agent(config=FIXED_SIZE)
    entries.process_signal(send(agent.user, token).pk)
    second = send(agent.user, token, signal_type="Breakout")

    entries.process_signal(second.pk)

    assert (verdict(second, agent).verdict, verdict(second, agent).code) == ("skipped", "POSITION_EXISTS")
    assert Position.objects.filter(agent=agent).count() == 1


@pytest.mark.parametrize(("state", "code"), [(State.HALTED, "TRADING_HALTED"), (State.REDUCING, "TRADING_REDUCING")])
def test_a_closed_gate_lets_no_entry_through(token, state, code):
    agent = factories.make_agent(config=FIXED_SIZE)
    trading_state.set_state(state=state, actor=None, reason="test")
    signal = send(agent.user, token)
    try:
        entries.process_signal(signal.pk)
    finally:
        trading_state.set_state(state=State.ACTIVE, actor=None)

    assert verdict(signal, agent).code == code
    assert balance(agent) == Decimal(10)


def test_a_paused_agent_is_skipped_and_a_buy_by_hand_still_works(token):
    agent = factories.make_agent(config=FIXED_SIZE, automated_trading_simulation=False)
    signal = send(agent.user, token)
    entries.process_signal(signal.pk)
    assert verdict(signal, agent).reasons == ["paused"]

    result = hand_buys.buy_by_hand(
        agent=agent, token_address=token.mint, actor=agent.user, position_size_sol=Decimal("0.5")
    )

    assert result.input_amount == Decimal("0.5")
    assert result.stop_loss_percentage == Decimal(-32)
    assert Position.objects.get(pk=result.position_id).purchase_transaction_id == result.transaction_id
    assert_books_balance()


@pytest.mark.parametrize(
    ("size", "code"),
    [("0", "INVALID_POSITION_SIZE"), ("11", "POSITION_SIZE_EXCEEDS_BALANCE"), ("3", "EXCEEDS_MAX_PURCHASE")],
)
def test_a_buy_by_hand_is_refused_with_the_code_of_the_rule(token, size, code):
    agent = factories.make_agent(config=FIXED_SIZE)
    with pytest.raises(EntryRefused) as refused:
        hand_buys.buy_by_hand(agent=agent, token_address=token.mint, actor=agent.user, position_size_sol=Decimal(size))
    assert refused.value.code == code
    assert not Position.objects.filter(agent=agent).exists()


def test_a_mint_nobody_quotes_fails_each_execution(market):
    agent = factories.make_agent(config=FIXED_SIZE)
    signal = signals.create_signal(
        user=agent.user,
        api_key=None,
        token_address=factories.mint_of("nobody quotes this"),
        signal_type="Momentum",
        signal_strength=3,
    )
    entries.process_signal(signal.pk)
    assert (verdict(signal, agent).verdict, verdict(signal, agent).code) == ("failed", "TOKEN_NOT_TRADABLE")


def test_a_price_impact_over_the_limit_is_retried_smaller_and_then_refused(market):
    thin = market.add_token(liquidity_sol="4")
    agent = factories.make_agent(config={**FIXED_SIZE, "purchaseLimits": {"maxPriceImpact": 0.0001}})
    signal = send(agent.user, thin)
    entries.process_signal(signal.pk)
    assert verdict(signal, agent).code == "PRICE_IMPACT_TOO_HIGH"


def test_a_provider_that_is_away_gives_the_signal_back_and_the_sweep_trades_it(market, token):
    agent = factories.make_agent(config=FIXED_SIZE)
    signal = send(agent.user, token)
    market.fault("jupiter_quote", "server_error", count=50)

    assert entries.process_signal(signal.pk) is None
    assert not SignalExecution.objects.filter(signal=signal).exists()
    market.clear_faults()
    TradingSignal.objects.filter(pk=signal.pk).update(due_at=timezone.now())

    report = None
    until = timezone.now() + timedelta(seconds=10)
    while report is None and timezone.now() < until:
        TradingSignal.objects.filter(pk=signal.pk, status="due").update(due_at=timezone.now())
        report = entries.process_signal(signal.pk)
    assert report.executed == 1


def together(*calls) -> None:
    """Run calls at the same time, each on a connection of its own, and raise what any of them raised."""
    barrier, raised = threading.Barrier(len(calls)), []

    def run(call) -> None:
        barrier.wait()
        try:
            call()
        except Exception as error:  # noqa: BLE001 - handed to the test
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def test_two_signals_for_one_token_at_once_open_one_position(token):
    agent = factories.make_agent(config=FIXED_SIZE)
    first, second = send(agent.user, token), send(agent.user, token, signal_type="Breakout")

    together(lambda: entries.process_signal(first.pk), lambda: entries.process_signal(second.pk))

    assert Position.objects.filter(agent=agent).count() == 1
    assert sorted(SignalExecution.objects.filter(agent=agent).values_list("verdict", flat=True)) == [
        "executed",
        "skipped",
    ]
    assert balance(agent) == Decimal(9)
    assert_books_balance()


def test_two_signals_for_one_agent_at_once_never_overspend(market):
    tokens = market.add_tokens(6)
    agent = factories.make_agent(sol="2.7", config=FIXED_SIZE)
    sent = [send(agent.user, token) for token in tokens]

    together(*[lambda signal=signal: entries.process_signal(signal.pk) for signal in sent])

    assert balance(agent) >= Decimal("0.5")
    assert Position.objects.filter(agent=agent).count() == 3
    assert SignalExecution.objects.filter(agent=agent).count() == 6
    assert_books_balance()


def test_the_limit_on_open_positions_holds_under_any_race(market):
    tokens = market.add_tokens(6)
    agent = factories.make_agent(sol="100", config=FIXED_SIZE, max_open_positions=2)
    sent = [send(agent.user, token) for token in tokens]

    together(*[lambda signal=signal: entries.process_signal(signal.pk) for signal in sent])

    assert Position.objects.filter(agent=agent).count() == 2
    assert sorted(SignalExecution.objects.filter(agent=agent).values_list("code", flat=True)) == [
        "",
        "",
        *["MAX_POSITIONS_EXCEEDED"] * 4,
    ]


def test_the_same_signal_in_two_workers_gives_one_verdict_each(token):
    user = factories.make_user()
    agents = [factories.make_agent(user, config=FIXED_SIZE) for _ in range(30)]
    signal = send(user, token)
    leased = queue.lease(signal.pk)
    assert leased is not None

    together(lambda: entries._trade(leased), lambda: entries._trade(leased))

    assert SignalExecution.objects.filter(signal=signal, verdict="executed").count() == len(agents)
    assert Position.objects.filter(agent__in=agents).count() == len(agents)
    assert_books_balance()


def test_one_agents_bad_row_never_costs_anothers_trade(token):
    user = factories.make_user()
    agents = [factories.make_agent(user, config=FIXED_SIZE) for _ in range(9)]
    broken = agents[4]
    with connection.cursor() as cursor:  # a constraint of this agent's own, as a data error nobody foresaw
        cursor.execute("ALTER TABLE position ADD CONSTRAINT unforeseen CHECK (agent_id <> %s)", [broken.pk])
    try:
        signal = send(user, token)
        report = entries.process_signal(signal.pk)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE position DROP CONSTRAINT unforeseen")

    assert (report.executed, report.failed) == (8, 1)
    assert verdict(signal, broken).code == "EXECUTION_FAILED"
    assert balance(broken) == Decimal(10)
    assert_books_balance()


def test_a_thousand_sizes_cost_at_most_six_quotes(market, token):
    user = factories.make_user()
    for number in range(12):
        size = 0.2 + number / 10
        span = {"min": size, "max": size + 0.05}
        factories.make_agent(
            user, config={"positionCalculator": {"positionSizes": dict.fromkeys(("small", "medium", "large"), span)}}
        )
    signal = send(user, token)
    report = entries.process_signal(signal.pk)
    assert report.executed == 12
    quoted = {row.inputs["quotedLamports"] for row in SignalExecution.objects.filter(signal=signal)}
    assert len(quoted) <= 3
    assert_books_balance()

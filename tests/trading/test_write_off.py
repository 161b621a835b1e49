"""Writing dead tokens off: exact losses, once, under the locks of a sale; never by itself unless told to."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from apps.accounts.models import AuditEntry
from apps.agents.models import AgentState
from apps.core import bulk, outbox
from apps.core.models import OutboxMessage
from apps.prices.models import Token
from apps.trading import errors
from apps.trading.models import ClosedTrade, DeadToken, ExitIntent, Position
from apps.trading.services import (
    exit_intents,
    exit_runner,
    exits,
    trading_state,
    wallet_reset,
    write_off,
    write_off_booking,
)
from apps.trading.services.exit_outcomes import Outcome
from apps.wallets.models import Balance, LedgerEntry, Transaction
from tests import factories
from tests.trading import closing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def automatic(settings):
    """Let the desk write off by itself what was dead for ten minutes, in three checks."""
    settings.WRITE_OFF_AFTER_MINUTES = 10
    settings.WRITE_OFF_MINIMUM_CHECKS = 3


@pytest.fixture
def token() -> Token:
    return factories.make_token()


def dead_for(token: Token, minutes: float, checks: int = 5, **fields) -> DeadToken:
    return factories.make_dead_token(token, checks=checks, seconds=minutes * 60, **fields)


def hold(token: Token, invested: str = "1", **fields) -> Position:
    return factories.make_position(factories.make_agent(), token, invested=invested, price="0.001", **fields)


def reload(position: Position) -> Position:
    return Position.objects.get(pk=position.pk)


def burn_of(outcome: Outcome) -> Transaction:
    assert outcome.transaction_id is not None
    return Transaction.objects.get(pk=outcome.transaction_id)


def token_balance(position: Position) -> Decimal:
    return Balance.objects.get(wallet_id=position.wallet_id, mint=position.mint).amount


# The booking


def test_a_written_off_position_ends_with_its_whole_cost_as_loss(automatic, token):
    position = hold(token, "1.5", network_fee="0.000005")
    dead_for(token, 12)

    (outcome,) = write_off.run()

    assert (outcome.code, outcome.reason) == ("", "write_off")
    burn = burn_of(outcome)
    assert (burn.transaction_type, burn.input_mint, burn.input_amount) == ("burn", token.mint, position.purchase_amount)
    assert (burn.value_usd, burn.input_price, burn.output_mint, burn.output_amount) == (Decimal(0), None, None, None)
    assert (burn.network_fee_sol, burn.protocol_fee_sol) == (None, None)
    (line,) = LedgerEntry.objects.filter(transaction=burn)
    assert (line.reason, line.mint, line.delta) == ("burn", token.mint, -position.purchase_amount)
    assert token_balance(position) == 0

    ended = reload(position)
    assert ended.close_reason == "write_off"
    assert (ended.remaining_amount, ended.remaining_cost_sol) == (Decimal(0), Decimal(0))
    assert (ended.proceeds_sol, ended.realized_profit_sol, ended.generation) == (Decimal(0), Decimal("-1.5"), 2)
    trade = ClosedTrade.objects.get()
    assert (trade.profit_sol, trade.change_percent, trade.sale_price) == (Decimal("-1.5"), Decimal(-100), Decimal(0))
    assert (trade.close_reason, trade.sale_transaction_id, trade.position_id) == ("write_off", burn.pk, position.pk)
    assert (trade.sale_time, trade.sale_time) == (ended.closed_at, burn.transaction_time)
    assert AgentState.objects.get(agent_id=position.agent_id).open_positions == 0
    assert closing.differences() == []


def test_the_loss_after_a_partial_sale_is_what_was_paid_minus_what_came_in(automatic, token):
    position = hold(token, "2")
    factories.take_profit(position, tokens="500", proceeds="0.75")
    position = reload(position)
    assert position.remaining_amount < position.purchase_amount and closing.differences() == []
    dead_for(token, 12)

    (outcome,) = write_off.run()

    burn = burn_of(outcome)
    assert burn.input_amount == position.remaining_amount == Decimal(1500)
    ended, trade = reload(position), ClosedTrade.objects.get()
    assert trade.profit_sol == Decimal("0.75") - Decimal(2) == ended.realized_profit_sol
    assert trade.amount == Decimal(2000) and trade.sale_price == Decimal("0.000375")
    assert ended.proceeds_sol == Decimal("0.75")
    assert closing.differences() == []


def test_tokens_that_came_from_elsewhere_are_not_burned(automatic, token):
    position = hold(token)
    factories.fund(position.wallet, "7", mint=token.mint, symbol=token.symbol)
    dead_for(token, 12)
    write_off.run()
    assert token_balance(position) == 7
    assert closing.differences() == []


def test_the_holders_feeds_are_told_and_the_intent_keeps_the_figures(automatic, token):
    position = hold(token)
    row = dead_for(token, 12, checks=7)
    write_off.run()
    kinds = {(message.stream, message.kind) for message in OutboxMessage.objects.all()}
    assert kinds == {
        (f"agent:{position.agent_id}", "position_update"),
        (f"user:{position.agent.user_id}", "trade_closed"),
    }
    told = OutboxMessage.objects.get(kind="trade_closed").payload
    assert told["trade"]["closeReason"] == "write_off" and told["trade"]["profitLossSol"] == "-1"
    intent = ExitIntent.objects.get()
    assert (intent.kind, intent.reason, intent.status, intent.last_error) == ("close", "write_off", "done", "")
    assert intent.transaction_id == ClosedTrade.objects.get().sale_transaction_id
    assert intent.details["evidence"]["checks"] == 7 and intent.details["evidence"]["code"] == "TOKEN_NOT_TRADABLE"
    assert intent.details["evidence"]["requested"] is False
    assert intent.details["booked"]["burnedTokens"] == "1000" and intent.details["booked"]["profitSol"] == "-1"
    row.refresh_from_db()
    assert (row.cleared_code, row.cleared_at) == ("written_off", ClosedTrade.objects.get().sale_time)


def test_every_position_of_the_token_is_written_off_and_no_other(automatic, token):
    positions = [hold(token, str(n)) for n in (1, 2, 3)]
    other = hold(factories.make_token())
    dead_for(token, 12)
    assert len(write_off.run()) == 3
    assert {trade.position_id: trade.profit_sol for trade in ClosedTrade.objects.all()} == {
        position.pk: -position.total_invested_sol for position in positions
    }
    assert reload(other).closed_at is None
    assert closing.differences() == []


def test_more_than_a_chunk_is_written_off(automatic, token):
    user = factories.make_user()
    for _ in range(260):
        factories.make_position(factories.make_agent(user), token, invested="0.1")
    dead_for(token, 12)
    assert len(write_off.run()) == 260
    assert ClosedTrade.objects.filter(close_reason="write_off").count() == 260
    assert DeadToken.objects.get().cleared_code == "written_off"
    assert closing.differences() == []


def test_writing_off_twice_at_once_books_each_position_once(automatic, token):
    positions = [hold(token) for _ in range(12)]
    dead_for(token, 12)
    barrier, outcomes, failures = threading.Barrier(3), [], []

    def work() -> None:
        try:
            barrier.wait(60)
            for _ in range(3):
                outcomes.extend(write_off.run())
        except Exception as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert Transaction.objects.filter(transaction_type="burn").count() == 12
    assert Counter(trade.position_id for trade in ClosedTrade.objects.all()) == Counter(p.pk for p in positions)
    assert sum(outcome.booked for outcome in outcomes) == 12
    assert write_off.run() == []
    assert closing.differences() == []


def test_a_write_off_and_a_sale_at_once_end_each_position_once(automatic, market):
    token = market.add_token(liquidity_sol="100000")
    user = factories.make_user()
    positions = [closing.hold(factories.make_agent(user), token, invested="0.1") for _ in range(30)]
    for position in positions[::2]:
        factories.make_intent(position)
    dead_for(closing.stored(token), 12)
    failures: list[Exception] = []

    def work(run) -> None:
        try:
            for _ in range(4):
                run()
        except Exception as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(run,)) for run in (write_off.run, exit_runner.run_due) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    write_off.run()

    assert failures == []
    ended = ClosedTrade.objects.values_list("position_id", flat=True)
    assert sorted(ended) == sorted(position.pk for position in positions)
    assert not ExitIntent.objects.filter(status__in=["due", "leased"]).exists()
    assert closing.differences() == []


def test_a_booking_that_breaks_at_its_last_write_leaves_nothing_behind(automatic, token, monkeypatch):
    positions = [hold(token) for _ in range(3)]
    dead_for(token, 12)

    def break_off(_messages: object) -> None:
        raise OperationalError("the connection went away")

    with monkeypatch.context() as broken:
        broken.setattr(outbox, "append", break_off)
        with pytest.raises(OperationalError):
            write_off.run()
    assert not Transaction.objects.filter(transaction_type="burn").exists()
    assert not ClosedTrade.objects.exists() and all(reload(position).closed_at is None for position in positions)
    assert write_off.run() == []

    ExitIntent.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert [outcome.booked for outcome in write_off.run()] == [True] * 3
    assert Transaction.objects.filter(transaction_type="burn").count() == 3
    assert closing.differences() == []


def test_a_booker_that_lost_its_lease_books_nothing(automatic, token):
    hold(token)
    dead_for(token, 12)
    write_off.fire_due()
    slow = exit_intents.lease_due(write_offs=True)
    ExitIntent.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    (booked,) = write_off_booking.book_due()
    (late,) = write_off_booking.book(slow, sol_usd=None)
    assert (booked.booked, late.booked, late.code) == (True, False, "LEASE_LOST")
    assert Transaction.objects.filter(transaction_type="burn").count() == 1
    assert closing.differences() == []


def test_a_wallet_short_of_tokens_waits_alone_with_its_code(automatic, token):
    positions = [hold(token) for _ in range(4)]
    short = positions[1]
    bulk.execute(
        "WITH gone AS (INSERT INTO ledger_entry (wallet_id, epoch, mint, delta, reason)"
        " VALUES (%(wallet)s, 1, %(mint)s, -1, 'adjustment'))"
        " UPDATE balance SET amount = amount - 1 WHERE wallet_id = %(wallet)s AND mint = %(mint)s",
        {"wallet": short.wallet_id, "mint": short.mint},
    )
    dead_for(token, 12)
    write_off.run()
    assert [reload(position).closed_at is None for position in positions] == [False, True, False, False]
    intent = ExitIntent.objects.get(position=short)
    assert (intent.status, intent.last_error) == ("due", "INSUFFICIENT_BALANCE")
    assert DeadToken.objects.get().cleared_at is None
    assert closing.differences() == []


# When


def test_nothing_is_written_off_by_itself_with_default_settings(token, settings):
    position = hold(token)
    dead_for(token, 60 * 24 * 30, checks=10_000)
    assert write_off.run() == []
    assert settings.WRITE_OFF_AFTER_MINUTES == 0
    assert not ExitIntent.objects.exists() and reload(position).closed_at is None


@pytest.mark.parametrize(
    ("minutes", "checks", "allowed"), [(10, 3, True), (9.9, 3, False), (60, 2, False), (10.1, 30, True), (0, 1, False)]
)
def test_evidence_needs_its_time_and_its_checks(automatic, token, minutes, checks, allowed):
    hold(token)
    dead_for(token, minutes, checks)
    assert len(write_off.run()) == allowed
    assert ExitIntent.objects.exists() == allowed


def test_old_evidence_waits_for_another_check(automatic, token):
    hold(token)
    row = dead_for(token, 60)
    row.last_seen_at = timezone.now() - timedelta(minutes=11)
    row.save()
    assert write_off.run() == []
    row.last_seen_at = timezone.now()
    row.save()
    assert len(write_off.run()) == 1


def test_a_price_after_the_last_check_fires_nothing(automatic, token):
    hold(token)
    dead_for(token, 60)
    factories.make_tick(token, "0.001")
    assert write_off.run() == []
    assert not ExitIntent.objects.exists()


def test_tokens_of_a_live_wallet_stay_in_the_books(automatic, token):
    agent = factories.make_agent()
    live = factories.make_wallet(agent, wallet_type="live")
    factories.fund(live, "5")
    position = factories.make_position(agent, token, wallet=live)
    dead_for(token, 60)
    assert write_off.run() == []
    assert reload(position).closed_at is None and DeadToken.objects.get().cleared_at is None
    with pytest.raises(errors.NothingToWriteOff):
        write_off.request(mint=token.mint, actor=None)


# Between firing and booking


def fired(token: Token, position: Position) -> ExitIntent:
    write_off.fire_due()
    return ExitIntent.objects.get(position=position, kind="close")


@pytest.mark.parametrize("how", ["price", "cleared"])
def test_a_token_that_lives_between_firing_and_booking_is_not_written_off(automatic, token, how):
    position = hold(token)
    row = dead_for(token, 12)
    intent = fired(token, position)
    if how == "price":
        factories.make_tick(token, "0.002")
    else:
        DeadToken.objects.filter(pk=row.pk).update(cleared_at=timezone.now(), cleared_code="quote")

    (outcome,) = write_off.run()

    intent.refresh_from_db()
    assert (outcome.code, intent.status, intent.last_error) == ("TOKEN_LIVES", "cancelled", "TOKEN_LIVES")
    assert reload(position).closed_at is None
    assert write_off.run() == []
    assert closing.differences() == []


def test_a_stop_that_nobody_bought_becomes_the_write_off(automatic, token):
    position = hold(token)
    stop = factories.make_intent(
        position, attempts=9, details={"stopPriceSol": "0.00068"}, last_error="TOKEN_NOT_TRADABLE"
    )
    dead_for(token, 12)
    (outcome,) = write_off.run()
    assert outcome.booked
    stop.refresh_from_db()
    assert (stop.reason, stop.status, stop.details["insteadOf"]["reason"]) == ("write_off", "done", "stop_loss")
    assert ExitIntent.objects.count() == 1
    assert reload(position).close_reason == "write_off"
    assert closing.differences() == []


def test_a_stop_that_was_taken_over_goes_on_when_the_token_lives(automatic, market):
    agent, (position,) = closing.agent_holding(market)
    token = closing.stored_by_mint(position.mint)
    details = {"stopPriceSol": "0.00068", "source": "jupiter"}
    stop = factories.make_intent(position, details=details, requested_by_id=agent.user_id)
    dead_for(token, 12)
    assert fired(token, position).reason == "write_off"
    factories.make_tick(token, "0.00001")

    write_off.run()

    stop.refresh_from_db()
    assert (stop.reason, stop.status, stop.details, stop.requested_by_id) == (
        "stop_loss",
        "due",
        details,
        agent.user_id,
    )
    assert [outcome.booked for outcome in exit_runner.run_due()] == [True]
    assert reload(position).close_reason == "stop_loss"
    assert closing.differences() == []


def test_a_sale_that_is_being_tried_is_not_taken_over(automatic, token):
    position = hold(token)
    factories.make_intent(position)
    (leased,) = exit_intents.lease_due()
    dead_for(token, 12)
    assert write_off.run() == []
    exit_intents.give_back([leased], "TOKEN_NOT_TRADABLE")
    assert [outcome.booked for outcome in write_off.run()] == [True]


def test_a_write_off_is_never_offered_for_sale(automatic, market):
    _, (position,) = closing.agent_holding(market)
    token = closing.stored_by_mint(position.mint)
    dead_for(token, 12)
    intent = fired(token, position)
    assert exit_runner.run_due() == [] and exit_runner.run_due(intent_ids=[intent.pk]) == []
    assert exit_runner.start_due() == 0
    intent.refresh_from_db()
    assert (intent.status, intent.attempts) == ("due", 0)


def test_an_open_adjust_is_barred_by_a_write_off(automatic, token):
    position = hold(token)
    adjust = factories.make_intent(position, kind="adjust", reason="take_profit")
    dead_for(token, 12)
    write_off.run()
    adjust.refresh_from_db()
    assert (adjust.status, adjust.last_error) == ("cancelled", "BARRED_BY_CLOSE")


def test_a_position_that_is_gone_or_whose_wallet_was_reset_is_left_alone(automatic, token):
    sold, reset = hold(token), hold(token)
    dead_for(token, 12)
    intents = [fired(token, sold), fired(token, reset)]
    leased = exit_intents.lease_due(write_offs=True)
    factories.close_position(reload(sold), proceeds="0.5")
    wallet_reset.reset_wallet(wallet=reset.wallet, actor=None)
    outcomes = {outcome.exit.position_id: outcome for outcome in write_off_booking.book(leased, sol_usd=None)}
    assert outcomes[sold.pk].code == "POSITION_CLOSED" and not outcomes[reset.pk].booked
    for intent in intents:
        intent.refresh_from_db()
    assert [intent.status for intent in intents] == ["cancelled", "cancelled"]
    assert not Transaction.objects.filter(transaction_type="burn").exists()
    assert closing.differences() == []


def test_halted_exits_hold_write_offs_back(automatic, token):
    position = hold(token)
    dead_for(token, 12)
    trading_state.set_state(state="halted", exits_enabled=False, actor=None)
    assert write_off.run() == []
    assert ExitIntent.objects.get().status == "due"
    trading_state.set_state(state="active", actor=None)
    assert [outcome.booked for outcome in write_off.run()] == [True]
    assert reload(position).close_reason == "write_off"


def test_a_halt_between_lease_and_booking_books_nothing(automatic, token):
    hold(token)
    dead_for(token, 12)
    write_off.fire_due()
    leased = exit_intents.lease_due(write_offs=True)
    trading_state.set_state(state="halted", exits_enabled=False, actor=None)
    (outcome,) = write_off_booking.book(leased, sol_usd=None)
    assert (outcome.booked, outcome.code) == (False, "EXITS_HALTED")


# By hand


def test_an_operator_writes_off_with_one_check_and_the_audit_log_says_so(token):
    operator = factories.make_operator()
    first, second = hold(token, "1"), hold(token, "2")
    dead_for(token, 0, checks=1)

    stake = write_off.request(mint=token.mint, actor=operator)

    assert (stake.positions, stake.cost_sol) == (2, Decimal(3))
    entry = AuditEntry.objects.get(action="dead_token.write_off_requested")
    assert (entry.actor_id, entry.object_id, entry.before["checks"]) == (operator.pk, token.mint, 1)
    assert entry.after == {"positions": 2, "cost_sol": "3.000000000"}
    assert reload(first).closed_at is None
    assert all(outcome.booked for outcome in write_off.run())
    assert {reload(position).close_reason for position in (first, second)} == {"write_off"}
    intents = ExitIntent.objects.all()
    assert {(i.requested_by_id, i.details["evidence"]["requested"]) for i in intents} == {(operator.pk, True)}
    assert closing.differences() == []


def test_nothing_is_written_off_by_hand_without_evidence(token):
    hold(token)
    for row in (None, dead_for(token, 0, checks=0)):
        with pytest.raises(errors.TokenNotDead) as refused:
            write_off.request(mint=token.mint, actor=None)
        assert (refused.value.code, refused.value.details) == ("TOKEN_NOT_DEAD", {"reason": "NOT_DEAD"})
        assert row is None or DeadToken.objects.get().write_off_requested_at is None
    assert not AuditEntry.objects.exists() and write_off.run() == []


def test_nothing_is_written_off_by_hand_on_old_or_ended_evidence(token):
    hold(token)
    row = dead_for(token, 20)
    row.last_seen_at = timezone.now() - timedelta(minutes=11)
    row.save()
    with pytest.raises(errors.TokenNotDead) as refused:
        write_off.request(mint=token.mint, actor=None)
    assert refused.value.details == {"reason": "EVIDENCE_TOO_OLD"}
    DeadToken.objects.update(last_seen_at=timezone.now(), cleared_at=timezone.now(), cleared_code="price")
    with pytest.raises(errors.TokenNotDead):
        write_off.request(mint=token.mint, actor=None)


def test_the_operators_wish_ends_with_the_evidence(token):
    position = hold(token)
    dead_for(token, 1)
    write_off.request(mint=token.mint, actor=None)
    factories.make_tick(token, "0.001")
    assert write_off.run() == []
    assert reload(position).closed_at is None


def test_who_waits_for_a_manual_close_gets_the_write_off(automatic, token):
    position = hold(token)
    dead_for(token, 12)
    write_off.fire_due()
    joined = exits.request_close(position=position, reason="manual", actor=None)
    write_off.run()
    result = exits.wait_for_close(intent=joined, timeout_seconds=1)
    assert (result.input_amount, result.output_amount) == (Decimal(1000), Decimal(0))
    assert result.profit_loss_sol == -1


def test_the_audit_finds_a_write_off_that_left_tokens(automatic, token):
    position = hold(token)
    dead_for(token, 12)
    write_off.run()
    Position.objects.filter(pk=position.pk).update(remaining_amount=1)
    assert any("nothing left of a sold position" in difference for difference in closing.differences())

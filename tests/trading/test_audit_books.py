"""The audit finds what is wrong, each kind of it, and nothing where nothing is."""

from __future__ import annotations

import io
import json
import re
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from apps.core import bulk, relay
from apps.trading.services import audit_books, book_checks
from apps.wallets.models import LedgerReason, Transaction
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def desk():
    """One agent with a position open, one sold with a fee, one finished signal, and everything in order."""
    agent = factories.make_agent(sol="10")
    token, other = factories.make_token(decimals=6), factories.make_token(decimals=6)
    opened = timezone.now() - timedelta(minutes=5)
    signal = factories.make_signal(
        agent.user, token, status="done", finished_at=timezone.now(), created_at=timezone.now()
    )
    position = factories.make_position(agent, token, invested="1.000005", network_fee="0.000005", signal=signal)
    factories.make_execution(signal, agent, verdict="executed", position=position)
    sold = factories.make_position(agent, other, invested="2", opened_at=opened)
    factories.close_position(sold, proceeds="2.5")
    return {"agent": agent, "position": position, "sold": sold, "signal": signal}


def found() -> dict[str, list[str]]:
    report = audit_books.audit_books()
    return {check.name: [str(item) for item in check.differences] for check in report.checks if check.differences}


def alter(statement: str, *parameters: object) -> None:
    """Change rows behind the books' back, past the triggers that forbid it."""
    table = re.search(r"(?:UPDATE|FROM) (\w+)", statement)[1]
    with transaction.atomic():
        bulk.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        bulk.execute(statement, parameters)
        bulk.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def test_books_in_order_have_no_difference(desk):
    assert found() == {}


def test_a_balance_that_is_not_its_ledger_is_found(desk):
    alter("UPDATE balance SET amount = amount + 0.000000001 WHERE symbol = 'SOL'")
    (difference,) = found()["balances"]
    assert "amount should be 9.499995, is 9.499995001" in difference


def test_a_ledger_entry_without_a_balance_is_found(desk):
    wallet = factories.wallet_of(desk["agent"])
    alter("DELETE FROM balance WHERE wallet_id = %s AND symbol <> 'SOL' AND amount > 0", wallet.pk)
    assert list(found()) == ["balances"]


def test_a_row_taken_back_whose_entries_stand_is_found(desk):
    alter("UPDATE transaction SET deleted_at = now() WHERE origin = 'hand'")
    (difference,) = found()["transactions"]
    assert "effect should be 0, is 10" in difference


def test_a_past_epoch_that_was_not_closed_is_found(desk):
    alter("UPDATE wallet SET epoch = 2")
    differences = found()
    assert len(differences["past_epochs"]) == 2
    assert "balances" in differences


def test_held_without_an_order_is_found(desk):
    alter("UPDATE balance SET held = 1, amount = amount - 1 WHERE symbol = 'SOL'")
    assert list(found()) == ["held"]


def test_a_transaction_that_moved_something_else_is_found(desk):
    alter("UPDATE transaction SET output_amount = output_amount + 1 WHERE position_id = %s", desk["position"].pk)
    differences = found()
    assert len(differences["transactions"]) == 1
    assert any("bought" in item for item in differences["positions"])


def test_a_fee_that_is_no_line_of_its_own_is_found(desk):
    alter("UPDATE ledger_entry SET reason = 'swap' WHERE reason = 'network_fee'")
    assert list(found()) == ["fees"]


def test_a_ledger_entry_in_another_epoch_than_its_transaction_is_found(desk):
    alter("UPDATE transaction SET epoch = 7 WHERE position_id IS NULL")
    assert list(found()) == ["ledger"]


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ("purchase_amount", "bought"),
        ("remaining_amount", "remaining"),
        ("total_invested_sol", "invested"),
        ("remaining_cost_sol", "remaining cost"),
        ("proceeds_sol", "proceeds"),
        ("realized_profit_sol", "realised"),
        ("generation", "fills"),
        ("purchase_price", "average"),
    ],
)
def test_a_position_that_is_not_the_sum_of_its_fills_is_found(desk, column, what):
    alter(f"UPDATE position SET {column} = {column} + 1 WHERE id = %s", desk["position"].pk)
    assert any(f": {what} should be" in item for item in found()["positions"])


def test_a_profit_that_is_not_the_cash_that_flowed_is_found(desk):
    alter("UPDATE closed_trade SET profit_sol = profit_sol + 0.000000001")
    differences = found()["closed_trades"]
    assert any("profit should be 0.5, is 0.500000001" in item for item in differences)


def test_a_sold_position_without_a_closed_trade_is_found(desk):
    alter("DELETE FROM closed_trade")
    assert any("one closed trade should be 1, is 0" in item for item in found()["closed_trades"])


def test_a_miscounted_slot_is_found(desk):
    alter("UPDATE agent_state SET open_positions = 2")
    assert any("open positions should be 1, is 2" in item for item in found()["counters"])


def test_an_agent_without_a_verdict_on_a_finished_signal_is_found(desk):
    alter("DELETE FROM signal_execution")
    assert any("verdicts should be 1, is 0" in item for item in found()["verdicts"])


def test_agents_made_after_or_archived_before_a_signal_need_no_verdict(desk):
    user = desk["agent"].user
    factories.make_agent(user)
    assert found() == {}


def test_the_cost_of_what_is_left_after_partial_sales_is_replayed(desk):
    position = desk["position"]
    sell_part(position, tokens="400", proceeds="0.5")
    assert found() == {}
    alter(
        "UPDATE position SET remaining_cost_sol = remaining_cost_sol - 0.000000001,"
        " realized_profit_sol = realized_profit_sol - 0.000000001 WHERE id = %s",
        position.pk,
    )
    assert any("remaining cost" in item for item in found()["positions"])


def test_a_fill_that_its_position_does_not_count_is_found(desk):
    position = desk["position"]
    factories.add_to(position, invested="0.5", price="0.0005")
    factories.take_profit(position, tokens="100", proceeds="0.2")
    assert found() == {}
    alter("UPDATE position SET dca_count = 2 WHERE id = %s", position.pk)
    assert [": DCA buys should be 1, is 2" in item for item in found()["positions"]] == [True]
    alter("UPDATE position SET dca_count = 1, take_profit_levels_hit = 0 WHERE id = %s", position.pk)
    assert [": take profit begun should be 1, is 0" in item for item in found()["positions"]] == [True]


def test_an_open_position_that_sold_from_its_moon_bag_is_found(desk):
    position = desk["position"]
    alter("UPDATE position SET moon_bag_activated = true, moon_bag_amount = 1000 WHERE id = %s", position.pk)
    assert found() == {}
    alter("UPDATE position SET moon_bag_amount = 1001 WHERE id = %s", position.pk)
    assert any(
        "at least its moon bag while it is open should be 1001, is 1000" in item for item in found()["positions"]
    )


def test_a_done_adjust_without_a_fill_of_its_kind_is_found(desk):
    position = desk["position"]
    sale = factories.take_profit(position, tokens="100", proceeds="0.2")
    done = {"kind": "adjust", "status": "done", "transaction": sale, "finished_at": sale.transaction_time}
    intent = factories.make_intent(position, reason="take_profit", **done)
    assert found() == {}
    alter("UPDATE exit_intent SET reason = 'dca' WHERE id = %s", intent.pk)
    assert any("filled its position so" in item for item in found()["exits"])
    alter("UPDATE exit_intent SET reason = 'take_profit' WHERE id = %s", intent.pk)
    factories.make_intent(position, reason="take_profit", **done)
    assert any("exit intents should be 1, is 2" in item for item in found()["exits"])


def sell_part(position, *, tokens: str, proceeds: str) -> None:
    """Book a partial sale as its fills would be: the sold share of the cost, rounded down to the lamport."""
    amount, got = Decimal(tokens), Decimal(proceeds)
    sale = Transaction.objects.create(
        agent_id=position.agent_id,
        wallet=position.wallet,
        epoch=1,
        transaction_type="swap",
        position=position,
        transaction_time=timezone.now(),
        input_mint=position.mint,
        input_symbol="T",
        input_amount=amount,
        output_mint=factories.SOL_MINT,
        output_symbol="SOL",
        output_amount=got,
        network_fee_sol=0,
        protocol_fee_sol=0,
    )
    factories._post(position.wallet, position.mint, "T", -amount, LedgerReason.SWAP, sale)
    factories._post(position.wallet, factories.SOL_MINT, "SOL", got, LedgerReason.SWAP, sale)
    cost = (position.total_invested_sol * amount / position.purchase_amount).quantize(
        Decimal("1e-9"), rounding="ROUND_DOWN"
    )
    position.remaining_amount -= amount
    position.remaining_cost_sol -= cost
    position.realized_profit_sol += got - cost
    position.proceeds_sol += got
    position.generation += 1
    position.save()


def test_the_command_prints_zero_differences_and_succeeds(desk):
    out = io.StringIO()
    call_command("audit", stdout=out)
    assert "0 differences" in out.getvalue()


def test_the_command_fails_and_names_what_differs(desk):
    alter("UPDATE agent_state SET open_positions = 2")
    out = io.StringIO()
    with pytest.raises(SystemExit) as exit_code:
        call_command("audit", json=True, stdout=out)
    assert exit_code.value.code == 1
    document = json.loads(out.getvalue())
    assert document["differences"] == 1
    (counters,) = [check for check in document["checks"] if check["name"] == "counters"]
    assert counters["differences"][0]["what"] == "open positions"


def test_the_audit_is_not_confused_by_what_is_booked_meanwhile(desk, monkeypatch):
    def book_between(query: str, parameters=()):
        if query == book_checks.CHECKS[1].rows:
            with another_connection() as other:
                other.execute("UPDATE agent_state SET open_positions = open_positions + 1")
        return fetch_all(query, parameters)

    fetch_all = bulk.fetch_all
    monkeypatch.setattr(bulk, "fetch_all", book_between)
    assert found() == {}
    monkeypatch.undo()
    assert "counters" in found()


@contextmanager
def another_connection():
    other = relay.open_connection("test")
    try:
        yield other
    finally:
        other.close()

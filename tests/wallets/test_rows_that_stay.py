"""What the database itself refuses: to change what the engine wrote, to delete anything, to move a row elsewhere."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from apps.core import bulk
from apps.wallets.models import Transaction
from tests import factories

pytestmark = pytest.mark.django_db


def refused(statement: str, *parameters: object) -> bool:
    try:
        with transaction.atomic():
            bulk.execute(statement, parameters)
    except IntegrityError:
        return True
    return False


def test_rows_of_the_engine_are_never_updated_nor_deleted() -> None:
    row = factories.make_position(factories.make_agent(), factories.make_token()).purchase_transaction
    for statement in (
        "UPDATE transaction SET value_usd = 1 WHERE id = %s",
        "UPDATE transaction SET deleted_at = now() WHERE id = %s",
        "UPDATE transaction SET origin = 'hand' WHERE id = %s",
        "DELETE FROM transaction WHERE id = %s",
        "UPDATE ledger_entry SET delta = 0 WHERE transaction_id = %s",
        "DELETE FROM ledger_entry WHERE transaction_id = %s",
    ):
        assert refused(statement, row.pk), statement


def test_a_row_entered_by_hand_may_change_what_it_says_but_not_whose_it_is() -> None:
    wallet = factories.wallet_of(factories.make_agent(sol=None))
    other = factories.wallet_of(factories.make_agent(sol=None))
    row = factories.fund(wallet, "1")
    assert not refused("UPDATE transaction SET value_usd = 1 WHERE id = %s", row.pk)
    for column, value in (
        ("wallet_id", other.pk),
        ("agent_id", other.agent_id),
        ("epoch", 2),
        ("origin", "engine"),
        ("created_at", "2020-01-01T00:00:00Z"),
    ):
        assert refused(f"UPDATE transaction SET {column} = %s WHERE id = %s", value, row.pk), column
    assert refused("DELETE FROM transaction WHERE id = %s", row.pk)
    assert Transaction.objects.get(pk=row.pk).value_usd == 1


def test_a_row_that_was_taken_back_does_not_return() -> None:
    row = factories.fund(factories.wallet_of(factories.make_agent(sol=None)), "1")
    assert not refused("UPDATE transaction SET deleted_at = now() WHERE id = %s", row.pk)
    assert refused("UPDATE transaction SET deleted_at = NULL WHERE id = %s", row.pk)
    assert refused("UPDATE transaction SET value_usd = 1 WHERE id = %s", row.pk)


def test_a_closed_trade_of_the_engine_is_never_updated_nor_deleted() -> None:
    position = factories.make_position(factories.make_agent(), factories.make_token())
    trade = factories.close_position(position, proceeds="2")
    assert refused("UPDATE closed_trade SET deleted_at = now() WHERE id = %s", trade.pk)
    assert refused("DELETE FROM closed_trade WHERE id = %s", trade.pk)

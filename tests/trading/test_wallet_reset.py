"""A reset ends an epoch: positions gone without a trade, intents cancelled, slots free, balances out, history kept."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from django.db import connection

from apps.accounts.models import AuditEntry
from apps.agents import services as agents
from apps.agents.models import AgentState
from apps.core.models import OutboxMessage
from apps.trading import errors
from apps.trading.models import ClosedTrade, ExitIntent, Position
from apps.trading.services import exit_runner, exits, hand_buys, wallet_reset
from apps.wallets.errors import WalletReleased
from apps.wallets.models import Balance, LedgerEntry, Transaction, Wallet
from tests import factories
from tests.trading import closing

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_reset_ends_the_epoch_and_counts_what_it_held(market):
    agent, (sold, held) = closing.agent_holding(market, 2)
    factories.close_position(sold, proceeds="1.5")
    factories.make_snapshot(held.wallet)
    intent = factories.make_intent(held)

    counts = wallet_reset.reset_wallet(wallet=held.wallet, actor=agent.user)

    assert counts == wallet_reset.ResetCounts(
        positions=1, historical_swaps=1, balances=3, transactions=4, balance_snapshots=1
    )
    wallet = Wallet.objects.get(pk=held.wallet_id)
    assert wallet.epoch == 2
    assert not Balance.objects.filter(wallet=wallet).exists()
    closed = Position.objects.get(pk=held.pk)
    assert closed.close_reason == "reset" and closed.closed_at is not None
    assert ClosedTrade.objects.count() == 1
    intent.refresh_from_db()
    assert (intent.status, intent.last_error) == ("cancelled", "WALLET_RESET")
    assert AgentState.objects.get(agent=agent).open_positions == 0
    assert Transaction.objects.filter(wallet=wallet, epoch=1).count() == 4
    assert LedgerEntry.objects.filter(wallet=wallet, reason="reset").count() == 2
    assert AuditEntry.objects.get(action="wallet.reset").before["epoch"] == 1
    told = OutboxMessage.objects.get(stream=f"agent:{agent.pk}").payload
    assert told == {"eventType": "position_closed", "positionId": str(held.pk)}
    assert OutboxMessage.objects.get(stream=f"user:{agent.user_id}").payload["epoch"] == 2
    assert closing.differences() == []


def test_a_wallet_trades_again_after_a_reset(market):
    agent = factories.make_agent(sol="10")
    token = market.add_token()
    closing.hold(agent, token)
    wallet_reset.reset_wallet(wallet=factories.wallet_of(agent), actor=None)
    factories.fund(factories.wallet_of(agent), "5")

    bought = hand_buys.buy_by_hand(agent=agent, token_address=token.mint, actor=None, position_size_sol=Decimal(1))

    position = Position.objects.get(pk=bought.position_id)
    assert position.epoch == 2
    exits.close_position(position=position, reason="manual", actor=None)
    assert ClosedTrade.objects.get().epoch == 2
    assert closing.differences() == []


def test_a_reset_while_the_position_is_being_sold_ends_in_one_of_both(market):
    _, positions = closing.agent_holding(market, 6)
    for position in positions:
        factories.make_intent(position)

    def sell() -> None:
        try:
            exit_runner.run_due()
        finally:
            connection.close()

    seller = threading.Thread(target=sell)
    seller.start()
    wallet_reset.reset_wallet(wallet=positions[0].wallet, actor=None)
    seller.join()

    assert not Position.objects.filter(closed_at=None).exists()
    assert closing.differences() == []


def test_a_released_wallet_is_not_reset():
    agent = factories.make_agent()
    wallet = factories.wallet_of(agent)
    agents.archive_agent(agent=agent, actor=None)
    with pytest.raises(WalletReleased):
        wallet_reset.reset_wallet(wallet=wallet, actor=None)


def test_archiving_an_agent_closes_its_simulation_and_releases_its_wallet(market):
    agent, (position,) = closing.agent_holding(market)
    factories.make_intent(position)

    agents.archive_agent(agent=agent, actor=agent.user)

    assert Position.objects.get(pk=position.pk).close_reason == "reset"
    assert ExitIntent.objects.get().status == "cancelled"
    wallet = Wallet.objects.get(pk=position.wallet_id)
    assert wallet.released_at is not None and wallet.epoch == 2
    assert AgentState.objects.get(agent=agent).open_positions == 0
    assert exit_runner.run_due() == []
    assert closing.differences() == []


def test_archiving_is_refused_while_live_positions_are_open_and_changes_nothing(market):
    agent, (simulated,) = closing.agent_holding(market)
    live = factories.make_wallet(agent, wallet_type="live")
    factories.fund(live, "5")
    closing.hold(agent, market.add_token(), wallet=live)

    with pytest.raises(errors.PositionsOpen):
        agents.archive_agent(agent=agent, actor=None)

    agent.refresh_from_db()
    assert agent.archived_at is None
    assert Position.objects.get(pk=simulated.pk).closed_at is None
    assert Wallet.objects.filter(agent=agent, released_at=None).count() == 2
    assert closing.differences() == []

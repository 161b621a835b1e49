"""Whatever ends a wallet while its agent trades: each trade is in the old books whole, or refused; none is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection

from apps.agents import services as agents
from apps.agents.models import Agent, AgentState
from apps.core.errors import SoldeskError
from apps.trading.errors import PositionsOpen
from apps.trading.models import ExitIntent, Position
from apps.trading.services import exit_runner, exits, hand_buys, wallet_release, wallet_reset
from apps.wallets.models import Transaction, Wallet
from apps.wallets.services import assignments
from tests import factories
from tests.trading import closing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _sellers_at_rest():
    yield
    exit_runner.stop()


def reset(agent: Agent) -> None:
    wallet_reset.reset_wallet(wallet=factories.wallet_of(agent), actor=None)


def archive(agent: Agent) -> None:
    agents.archive_agent(agent=agent, actor=None)


def replace(agent: Agent) -> None:
    """Give the agent another simulation wallet; its open positions may forbid it."""
    try:
        assignments.assign_wallet(
            agent=agent, address="sim_Another", wallet_type="simulation", actor=factories.make_operator()
        )
    except PositionsOpen:
        return


ENDERS = [reset, archive, replace]
#: What a buyer or seller may be told when the wallet is gone or empty all at once.
REFUSALS = {
    "WALLET_RESET",
    "AGENT_NOT_FOUND",
    "INSUFFICIENT_BALANCE",
    "BELOW_MINIMUM_THRESHOLD",
    "POSITION_CALCULATION_ERROR",
    "POSITION_NOT_FOUND",
    "POSITION_CLOSED",
    "CLOSE_CANCELLED",
}


@pytest.mark.parametrize("end", ENDERS)
def test_a_wallet_that_ends_amid_entries_and_exits_leaves_books_that_add_up(market, end):
    agent, held = closing.agent_holding(market, 3)
    old = factories.wallet_of(agent)
    wanted = market.add_tokens(3)
    started = threading.Barrier(len(wanted) + len(held) + 1)
    told: list[str] = []

    def buy(token) -> None:
        hand_buys.buy_by_hand(agent=agent, token_address=token.mint, actor=None)

    def sell(position: Position) -> None:
        exits.close_position(position=position, reason="manual", actor=None)

    def run(work: Callable[[], object]) -> None:
        try:
            started.wait(60)
            work()
        except SoldeskError as refusal:
            told.append(refusal.code)
        finally:
            connection.close()

    works = [*(lambda token=token: buy(token) for token in wanted), *(lambda row=row: sell(row) for row in held)]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    started.wait(60)
    end(agent)
    for thread in threads:
        thread.join(60)

    assert set(told) <= REFUSALS
    old.refresh_from_db()
    left = Position.objects.filter(agent=agent, closed_at=None)
    assert not left.exclude(wallet__released_at=None).exists()
    assert not left.filter(wallet=old).exclude(epoch=old.epoch).exists()
    assert AgentState.objects.get(agent=agent).open_positions == left.count()
    assert not ExitIntent.objects.filter(position__closed_at__isnull=False, status__in=["due", "leased"]).exists()
    assert closing.differences() == []


@pytest.mark.parametrize("end", ENDERS)
def test_a_buy_that_was_decided_before_the_wallet_ended_books_nothing(market, monkeypatch, end):
    agent, token = factories.make_agent(), market.add_token()
    quote = hand_buys._share

    def quoted_late(*arguments):
        share = quote(*arguments)
        end(agent)
        return share

    monkeypatch.setattr(hand_buys, "_share", quoted_late)
    with pytest.raises(SoldeskError) as refused:
        hand_buys.buy_by_hand(agent=agent, token_address=token.mint, actor=None)
    assert (refused.value.code, refused.value.status) in {("WALLET_RESET", 409), ("AGENT_NOT_FOUND", 404)}
    assert not Position.objects.exists()
    assert Transaction.objects.count() == 1
    assert closing.differences() == []


def test_what_was_due_in_a_live_wallet_that_is_given_back_is_cancelled(market):
    agent = factories.make_agent()
    live = factories.make_wallet(agent, wallet_type="live")
    factories.fund(live, "5")
    position = closing.hold(agent, market.add_token(), wallet=live)
    intent = factories.make_intent(position)
    wallet_release.unassign_wallet(wallet=live, actor=None)
    assert exit_runner.run_due() == []
    intent.refresh_from_db()
    assert (intent.status, intent.last_error) == ("cancelled", "WALLET_RESET")
    assert Wallet.objects.get(pk=live.pk).released_at is not None
    assert AgentState.objects.get(agent=agent).open_positions == 0
    assert closing.differences() == []


def test_two_enders_at_once_end_it_once(market):
    agent, (position,) = closing.agent_holding(market)
    told: list[str] = []

    def run(end: Callable[[Agent], None]) -> None:
        try:
            end(agent)
        except SoldeskError as refusal:
            told.append(refusal.code)
        except Wallet.DoesNotExist:
            told.append("WALLET_RELEASED")
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(end,)) for end in (archive, archive, reset)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told.count("AGENT_NOT_FOUND") == 1
    assert set(told) <= {"AGENT_NOT_FOUND", "WALLET_RELEASED"}
    assert Wallet.objects.get(pk=position.wallet_id).epoch in (2, 3)
    assert AgentState.objects.get(agent=agent).open_positions == 0
    assert closing.differences() == []

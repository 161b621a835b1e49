"""Every button: asks first, runs on POST only, calls the service the API calls, says what came of it, leaves a log."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from apps.accounts.models import AuditEntry, User
from apps.agents.models import Agent
from apps.core.money import SOL_MINT
from apps.signals.models import TradingSignal
from apps.trading.models import ExitIntent, Position, State, TradingState
from apps.wallets.models import Balance, LedgerEntry, Transaction, Wallet
from tests import factories
from tests.admin.rows import Desk

DIALOG = {"HX-Request": "true", "HX-Current-URL": "http://testserver/admin/agents/agent/?p=2"}


def press(client: Client, name: str, *args: Any, **values: Any) -> list[str]:
    """Open the button's form, answer it, and return what the operator is told."""
    url = reverse(f"admin:{name}", args=args)
    before = AuditEntry.objects.count()
    assert client.get(url).status_code == 200
    assert AuditEntry.objects.count() == before, "asking changed something"
    answer = client.post(url, values)
    assert answer.status_code == 302, answer.content.decode()
    return [str(message) for message in get_messages(answer.wsgi_request)]


def refused(client: Client, name: str, *args: Any, **values: Any) -> str:
    """Answer the button's form and return the page, which must not have gone on."""
    answer = client.post(reverse(f"admin:{name}", args=args), values)
    assert answer.status_code == 200
    return answer.content.decode()


def logged(action: str, operator: User) -> AuditEntry:
    return AuditEntry.objects.get(action=action, actor_id=operator.pk)


def sol_of(agent: Agent) -> Decimal:
    return Balance.objects.get(wallet__agent=agent, mint=SOL_MINT).amount


def test_pausing_and_resuming_automation_switches_the_present_mode(client: Client, desk: Desk) -> None:
    assert "is paused" in press(client, "agents_agent_pause", desk.agent.pk)[0]
    desk.agent.refresh_from_db()
    assert (desk.agent.automated_trading_simulation, desk.agent.automated_trading_live) == (False, True)
    entry = AuditEntry.objects.filter(action="agent.updated", actor_id=desk.operator.pk)[0]
    assert (entry.before["automated_trading_simulation"], entry.after["automated_trading_simulation"]) == (True, False)
    assert "trades signals again" in press(client, "agents_agent_resume", desk.agent.pk)[0]
    desk.agent.refresh_from_db()
    assert desk.agent.automated_trading_simulation


def test_several_agents_are_paused_at_once(client: Client, operator: User) -> None:
    agents = [factories.make_agent() for _ in range(3)]
    marked = {"action": "pause_selected", "_selected_action": [str(agent.pk) for agent in agents]}
    answer = client.post(reverse("admin:agents_agent_changelist"), marked)
    assert [str(message) for message in get_messages(answer.wsgi_request)] == [
        "3 agents paused; their stops and other exits go on."
    ]
    assert not Agent.objects.filter(automated_trading_simulation=True).exists()


@pytest.mark.parametrize("button", ["agents_agent_deposit", "wallets_wallet_deposit"])
def test_a_deposit_credits_the_wallet_and_its_ledger(button: str, client: Client, operator: User) -> None:
    agent = factories.make_agent(sol="1")
    target = agent.pk if "agent" in button else factories.wallet_of(agent).pk
    told = press(client, button, target, amount="2.5")
    assert "2.5 SOL" in told[0]
    assert sol_of(agent) == Decimal("3.5")
    assert [entry.delta for entry in LedgerEntry.objects.order_by("id")] == [Decimal(1), Decimal("2.5")]
    assert logged("wallet.deposited", operator).after["amount"] == "2.5"


@pytest.mark.parametrize("amount", ["0", "-1", "abc", "", "NaN", "1e-12", "99999999999"])
def test_a_deposit_of_nonsense_books_nothing(amount: str, client: Client, operator: User) -> None:
    agent = factories.make_agent(sol="1")
    refused(client, "agents_agent_deposit", agent.pk, amount=amount)
    assert sol_of(agent) == 1
    assert Transaction.objects.count() == 1


def test_a_live_wallet_takes_no_simulated_deposit_and_the_page_says_why(client: Client, operator: User) -> None:
    wallet = factories.make_wallet(factories.make_agent(), wallet_type="live")
    assert "LIVE_WALLET" in refused(client, "wallets_wallet_deposit", wallet.pk, amount="1")
    assert not wallet.transactions.exists()


def test_a_wallet_reset_starts_a_new_epoch(client: Client, desk: Desk) -> None:
    wallet = factories.wallet_of(desk.agent)
    told = press(client, "wallets_wallet_reset", wallet.pk)
    assert "starts over" in told[0]
    wallet.refresh_from_db()
    assert wallet.epoch == 2
    assert not Position.objects.filter(wallet=wallet, closed_at=None).exists()
    assert logged("wallet.reset", desk.operator).object_id == str(wallet.pk)


def test_a_test_signal_is_recorded_for_its_user(client: Client, desk: Desk) -> None:
    values = {"user": desk.owner.pk, "token": desk.token.mint, "signal_type": "Manual", "signal_strength": 5}
    told = press(client, "signals_tradingsignal_send_test_signal", **values)
    signal = TradingSignal.objects.latest("id")
    assert told[0].startswith(f"Signal #{signal.pk}")
    assert (signal.user, signal.token_address, signal.signal_strength) == (desk.owner, desk.token.mint, 5)
    assert signal.source == "admin" and desk.operator.email in (signal.activation_reason or "")
    assert "SIGNAL_DUPLICATE" in refused(client, "signals_tradingsignal_send_test_signal", **values)
    assert TradingSignal.objects.latest("id") == signal


def test_the_agents_signal_button_proposes_its_owner(client: Client, desk: Desk) -> None:
    page = client.get(reverse("admin:agents_agent_send_test_signal", args=[desk.agent.pk]))
    assert page.context["form"]["user"].value() == desk.owner.pk


def test_the_desk_is_halted_with_a_reason_and_switched_back(client: Client, operator: User) -> None:
    button = "trading_tradingstate_switch_desk"
    assert "Say why" in refused(client, button, state="halted", exits_enabled="on")
    told = press(client, button, state="halted", reason="odd prices")
    row = TradingState.objects.get(agent=None)
    assert (row.state, row.exits_enabled, row.reason) == (State.HALTED, False, "odd prices")
    assert told == ["The desk is halted now, exits off."]
    entry = AuditEntry.objects.get(action="trading_state.changed")
    assert (entry.actor_id, entry.before["state"], entry.after["state"]) == (operator.pk, "active", "halted")
    press(client, button, state="active", exits_enabled="on")
    assert TradingState.objects.get(agent=None).state == State.ACTIVE


@pytest.mark.parametrize("state", [State.REDUCING, State.HALTED])
def test_one_agent_is_switched_from_its_own_page(state: State, client: Client, operator: User) -> None:
    agent, other = factories.make_agent(), factories.make_agent()
    press(client, "agents_agent_switch_trading", agent.pk, state=state, exits_enabled="on", reason="look")
    assert TradingState.objects.get(agent=agent).state == state
    assert not TradingState.objects.filter(agent=other).exists()
    assert TradingState.objects.get(agent=None).state == State.ACTIVE


def test_archiving_takes_an_agent_out_of_use(client: Client, operator: User) -> None:
    agent = factories.make_agent()
    press(client, "agents_agent_archive", agent.pk)
    agent.refresh_from_db()
    assert agent.archived_at is not None
    assert "AGENT_NOT_FOUND" in refused(client, "agents_agent_pause", agent.pk)
    assert agent not in client.get(reverse("admin:agents_agent_changelist")).context["cl"].result_list
    assert client.get(reverse("admin:agents_agent_change", args=[agent.pk])).status_code == 200


def test_a_position_that_is_closed_already_cannot_be_closed(client: Client, desk: Desk) -> None:
    closed = Position.objects.exclude(closed_at=None)[0]
    assert "POSITION_NOT_FOUND" in refused(client, "trading_position_close_position", closed.pk)
    assert not ExitIntent.objects.filter(position=closed).exists()


def test_selected_positions_are_closed_after_one_question(client: Client, operator: User) -> None:
    agent = factories.make_agent()
    positions = [factories.make_position(agent, factories.make_token()) for _ in range(2)]
    url = reverse("admin:trading_position_changelist")
    marked = {"action": "close_selected", "_selected_action": [str(position.pk) for position in positions]}
    question = client.post(url, marked)
    assert question.status_code == 200 and b"Sell everything" in question.content
    assert not ExitIntent.objects.exists()
    answer = client.post(url, {**marked, "confirmed": "yes"})
    assert [str(message) for message in get_messages(answer.wsgi_request)] == ["2 positions are being sold."]
    intents = ExitIntent.objects.all()
    assert {(intent.position_id, intent.reason, intent.requested_by_id) for intent in intents} == {
        (position.pk, "manual", operator.pk) for position in positions
    }


def test_positions_are_closed_from_the_agents_own_tab(client: Client, operator: User) -> None:
    position = factories.make_position(factories.make_agent(), factories.make_token())
    url = reverse("admin:agents_agent_change", args=[position.agent_id])
    marked = {"dataset": "AgentPositionsTab", "action": "close_selected", "_selected_action": [str(position.pk)]}
    assert b'name="dataset" value="AgentPositionsTab"' in client.post(url, marked).content
    client.post(url, {**marked, "confirmed": "yes"})
    assert ExitIntent.objects.get().position == position


def test_a_dialog_is_a_fragment_and_leads_back_to_where_it_lay(client: Client, operator: User) -> None:
    agent = factories.make_agent(sol="1")
    url = reverse("admin:agents_agent_deposit", args=[agent.pk])
    fragment = client.get(url, headers=DIALOG).content.decode()
    assert fragment.lstrip().startswith('<div id="dialog">') and "<html" not in fragment
    form = client.post(url, {"amount": "0"}, headers=DIALOG)
    assert form.status_code == 200 and b'id="dialog-form"' in form.content
    done = client.post(url, {"amount": "1", "next": DIALOG["HX-Current-URL"]}, headers=DIALOG)
    assert (done.status_code, done["HX-Redirect"]) == (204, DIALOG["HX-Current-URL"])


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_a_button_leads_nowhere_else(elsewhere: str, client: Client, operator: User) -> None:
    agent = factories.make_agent(sol="1")
    url = reverse("admin:agents_agent_deposit", args=[agent.pk])
    assert elsewhere not in client.get(url, {"next": elsewhere}).content.decode()
    answer = client.post(url, {"amount": "1", "next": elsewhere})
    assert answer["Location"] == reverse("admin:agents_agent_change", args=[agent.pk])


def test_a_button_of_an_object_that_does_not_exist_is_404(client: Client, operator: User) -> None:
    wallet = factories.wallet_of(factories.make_agent())
    for name in ("no-such-id", str(wallet.pk)):
        assert client.get(reverse("admin:agents_agent_deposit", args=[name])).status_code == 404
    assert Wallet.objects.count() == 1

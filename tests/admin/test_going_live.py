"""Switching an agent to live asks, shows what is at stake, and happens only with a wallet whose key is loaded."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import AuditEntry, User
from apps.agents.models import Agent
from apps.chain import cluster
from apps.chain.cluster import Cluster, Standing
from apps.core.errors import Conflict
from apps.trading.services import going_live
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _mainnet(monkeypatch, settings) -> None:
    settings.SOLANA_RPC_URLS = ["http://127.0.0.1:9"]
    monkeypatch.setattr(going_live, "CHAIN_SECONDS", 0.05)
    monkeypatch.setattr(cluster, "standing", lambda: Standing(Cluster.MAINNET, {"node": "hash"}, {}))


def ready(*, loaded: bool = True) -> Agent:
    """Return an agent with a live wallet."""
    agent = factories.make_agent()
    key = factories.make_live_key(loaded=loaded)
    factories.make_wallet(agent, wallet_type="live", address=key.address)
    return agent


def press(client: Client, agent: Agent, **values: str):
    return client.post(reverse("admin:agents_agent_go_live", args=[agent.pk]), values)


def page(client: Client, agent: Agent) -> str:
    return client.get(reverse("admin:agents_agent_go_live", args=[agent.pk])).content.decode()


def test_the_page_shows_wallet_balance_caps_limits_and_cluster(client: Client):
    agent = ready()
    factories.fund(factories.wallet_of(agent, "live"), "1.25")
    factories.make_loss_limit(agent, trading_mode="live", daily_loss="0.5", cooldown=90)
    factories.make_loss_limit(trading_mode="live", exposure="3")

    shown = page(client, agent)

    for text in (
        factories.wallet_of(agent, "live").address,
        "1.2500 SOL",
        "MAINNET: Solana mainnet: live orders spend real money.",
        "at most 0.5 SOL lost a day, 90 s of rest after a stop loss",
        "at most 3 SOL at stake",
        "the signer does not answer",
        "no node told",
    ):
        assert text in shown, text


def test_typing_the_cluster_switches_and_keeps_what_was_seen(client: Client, operator: User):
    agent = ready()
    assert press(client, agent, place="MAINNET").status_code == 302
    agent.refresh_from_db()
    assert agent.trading_mode == "live"
    entry = AuditEntry.objects.get(action="agent.went_live")
    assert (entry.actor_id, entry.before) == (operator.pk, {"trading_mode": "simulation"})
    assert entry.after["seen"]["Wallet"] == factories.wallet_of(agent, "live").address
    assert entry.after["seen"]["Cluster"].startswith("MAINNET")


def assert_nothing_changed(agent: Agent) -> None:
    agent.refresh_from_db()
    assert agent.trading_mode == "simulation"
    assert not AuditEntry.objects.filter(action__in=("agent.went_live", "agent.updated")).exists()


@pytest.mark.parametrize("typed", ["", "mainnet", "SANDBOX"])
def test_another_word_switches_nothing(client: Client, typed: str):
    agent = ready()
    assert press(client, agent, place=typed).status_code == 200
    assert_nothing_changed(agent)


def test_nobody_goes_live_before_a_node_has_told_where(client: Client, monkeypatch):
    monkeypatch.setattr(cluster, "standing", lambda: None)
    agent = ready()
    assert "No node has told yet" in press(client, agent, place="UNKNOWN").content.decode()
    assert_nothing_changed(agent)


def test_without_a_loaded_wallet_it_is_refused_with_its_code(client: Client):
    walletless, locked = factories.make_agent(), ready(loaded=False)
    for agent, code in ((walletless, "LIVE_WALLET_MISSING"), (locked, "WALLET_NOT_LOADED")):
        assert code in page(client, agent)
        assert code in press(client, agent, place="MAINNET").content.decode()
        with pytest.raises(Conflict) as refusal:
            going_live.go_live(agent=agent, actor=None, seen={})
        assert refusal.value.code == code
        assert_nothing_changed(agent)


def test_the_agents_form_cannot_change_the_mode(client: Client):
    agent = ready()
    url = reverse("admin:agents_agent_change", args=[agent.pk])
    assert 'name="trading_mode"' not in client.get(url).content.decode()


def test_an_agent_that_a_program_made_live_without_a_wallet_says_so_on_its_page_and_at_home(client: Client):
    agent = factories.make_agent(trading_mode="live")
    there = reverse("admin:agents_agent_change", args=[agent.pk])
    said = "This agent is live and buys nothing. The agent has no live wallet: assign one first."

    assert said in client.get(there).content.decode()
    at_home = client.get(reverse("admin:index")).content.decode()
    assert there in at_home.partition("Agents that are live and buy nothing")[2]

    key = factories.make_live_key(loaded=False)
    factories.make_wallet(agent, wallet_type="live", address=key.address)
    assert "The signer has no key for the agent&#x27;s live wallet" in client.get(there).content.decode()

    key.loaded = True
    key.save()
    assert "buys nothing" not in client.get(there).content.decode()
    assert "buy nothing" not in client.get(reverse("admin:index")).content.decode()

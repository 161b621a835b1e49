"""The demo's live agent: made once the signer has a key, funded from the faucet, and left alone afterwards."""

from __future__ import annotations

import pytest
from solders.keypair import Keypair

from apps.agents import services as agents
from apps.agents.models import Agent
from apps.chain import nodes
from apps.console import demo, demo_live
from apps.core.money import SOL_MINT
from apps.wallets.models import Balance, Transaction
from tests import factories
from tests.chain_market import chain_market, shared_chain_market
from tests.trading.closing import differences

__all__ = ["chain_market", "shared_chain_market"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owner(chain_market, settings):
    settings.SOLANA_RPC_URLS, settings.SOLANA_WS_URLS = list(chain_market.rpc_urls), list(chain_market.ws_urls)
    nodes.forget_nodes()
    owner = factories.make_operator()
    demo.ensure(owner)
    yield owner
    nodes.forget_nodes()


def finish(owner) -> Agent:
    for _ in range(50):
        if demo_live.ensure(owner):
            return Agent.objects.get(name=demo_live.NAME)
    raise AssertionError("the demo's live agent was never funded")


def test_nothing_is_made_before_the_signer_has_a_key(owner):
    assert demo_live.ensure(owner) is False
    assert not Agent.objects.filter(name=demo_live.NAME).exists()


def test_the_agent_is_made_funded_by_what_the_chain_holds_and_trades_live(owner, chain_market):
    key = Keypair()
    factories.make_live_key(address=str(key.pubkey()))
    agent = finish(owner)
    wallet = factories.wallet_of(agent, "live")
    assert (wallet.address, agent.trading_mode, agent.automated_trading_live) == (str(key.pubkey()), "live", True)
    assert Balance.objects.get(wallet=wallet, mint=SOL_MINT).amount == demo_live.SOL
    assert chain_market.balance(key.pubkey()) == int(demo_live.SOL * 10**9)
    assert differences() == []


def test_what_a_person_makes_of_it_afterwards_stays(owner):
    factories.make_live_key(address=str(Keypair().pubkey()))
    agent = finish(owner)
    agents.update_agent(agent=agent, actor=owner, trading_mode="simulation")
    assert demo_live.ensure(owner) is True
    agent.refresh_from_db()
    assert agent.trading_mode == "simulation"
    assert Transaction.objects.filter(wallet=factories.wallet_of(agent, "live")).count() == 1


def test_a_desk_of_somebodys_own_gets_none():
    owner = factories.make_operator()
    factories.make_agent(owner)
    factories.make_live_key()
    assert demo_live.ensure(owner) is True
    assert Agent.objects.count() == 1

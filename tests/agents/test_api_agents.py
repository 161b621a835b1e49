"""Agents over HTTP: made, listed, changed, archived; and whose they are."""

import pytest

from apps.accounts.models import AuditEntry
from apps.agents.events import AgentArchiving
from apps.agents.models import Agent, AgentState
from apps.core import events
from apps.core.errors import Conflict
from apps.wallets.models import Wallet
from tests.apiclient import api_of
from tests.factories import make_agent, make_position, make_token, make_user

pytestmark = pytest.mark.django_db

FIELDS = {
    "id",
    "userId",
    "name",
    "tradingMode",
    "automatedTradingSimulation",
    "automatedTradingLive",
    "createdAt",
    "updatedAt",
}


@pytest.fixture
def user():
    return make_user()


@pytest.fixture
def api(user):
    return api_of(user)


def test_a_new_agent_has_its_defaults_its_state_and_a_simulation_wallet(api, user, settings):
    answer = api.post("/agents", {"name": "  Scout  "})
    assert answer.status == 201
    assert set(answer.json) == FIELDS
    assert answer.json["name"] == "Scout"
    assert answer.json["userId"] == str(user.pk)
    assert answer.json["tradingMode"] == "simulation"
    assert answer.json["automatedTradingSimulation"] is answer.json["automatedTradingLive"] is True
    agent = Agent.objects.get(pk=answer.json["id"])
    assert AgentState.objects.get(agent=agent).max_open_positions == settings.MAX_OPEN_POSITIONS
    wallet = Wallet.objects.get(agent=agent)
    assert wallet.wallet_type == "simulation"
    assert wallet.address.startswith("sim_") and len(wallet.address) == 44
    assert AuditEntry.objects.filter(action="agent.created", object_id=agent.pk, actor=user).exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "ab"}, "name"),
        ({"name": "x" * 51}, "name"),
        ({"name": "     "}, "name"),
        ({"name": None}, "name"),
        ({"name": 123}, "name"),
        ({"name": "a\0bc"}, "name"),
        ({"name": "\ud800abc"}, "name"),
        ({"name": "Scout", "tradingMode": "paper"}, "tradingMode"),
        ({"name": "Scout", "tradingMode": 1}, "tradingMode"),
    ],
)
def test_a_malformed_agent_names_the_field_and_makes_nothing(api, body, field):
    answer = api.post("/agents", body)
    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
    assert answer.json["success"] is False
    assert answer.json["details"]["errors"][0]["field"] == field
    assert not Agent.objects.exists()


def test_the_name_is_measured_before_it_is_trimmed(api):
    assert api.post("/agents", {"name": " a "}).json["name"] == "a"


def test_agents_are_listed_newest_first_without_paging(api, user):
    for index in range(5):
        make_agent(user, name=f"Agent {index}", sol=None)
    make_agent(sol=None)
    answer = api.get("/agents?userId=ignored&limit=1")
    assert [agent["name"] for agent in answer.json] == [f"Agent {index}" for index in (4, 3, 2, 1, 0)]
    assert answer.headers["X-Total-Count"] == "5"


def test_another_users_agent_is_not_found(api):
    foreign = make_agent(sol=None)
    for method, path, body in [
        ("GET", "", None),
        ("PUT", "", {"name": "Mine"}),
        ("DELETE", "", None),
        ("GET", "/config", None),
        ("PUT", "/config", {"config": None}),
        ("GET", "/positions", None),
        ("GET", "/performance", None),
        ("GET", f"/balance-history?walletAddress={Wallet.objects.get(agent=foreign).address}", None),
    ]:
        answer = api.call(method, f"/agents/{foreign.pk}{path}", body)
        assert (answer.status, answer.code) == (404, "AGENT_NOT_FOUND"), path
    foreign.refresh_from_db()
    assert foreign.archived_at is None


def test_what_is_given_changes_and_nothing_else(api, user):
    agent = make_agent(user, name="Before", sol=None)
    answer = api.put(f"/agents/{agent.pk}", {"automatedTradingSimulation": False})
    assert answer.status == 200
    assert answer.json["automatedTradingSimulation"] is False
    assert (answer.json["name"], answer.json["tradingMode"]) == ("Before", "simulation")
    answer = api.put(
        f"/agents/{agent.pk}", {"name": " After ", "tradingMode": "live", "automatedTradingSimulation": True}
    )
    assert (answer.json["name"], answer.json["tradingMode"]) == ("After", "live")
    entry = AuditEntry.objects.filter(action="agent.updated").latest("id")
    assert entry.before["name"] == "Before" and entry.after["name"] == "After"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"colour": "blue"}, "body"),
        ({"name": "ab"}, "name"),
        ({"name": None}, "name"),
        ({"automatedTradingLive": "true"}, "automatedTradingLive"),
        ({"automatedTradingLive": 1}, "automatedTradingLive"),
        ({"automatedTradingSimulation": None}, "automatedTradingSimulation"),
        ({"tradingMode": "LIVE"}, "tradingMode"),
    ],
)
def test_a_malformed_change_names_the_field_and_changes_nothing(api, user, body, field):
    agent = make_agent(user, name="Before", sol=None)
    answer = api.put(f"/agents/{agent.pk}", body)
    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
    assert answer.json["details"]["errors"][0]["field"] == field
    agent.refresh_from_db()
    assert agent.name == "Before"


def test_a_deleted_agent_is_gone_for_every_route_and_its_row_stays(api, user):
    agent = make_agent(user)
    answer = api.delete(f"/agents/{agent.pk}")
    assert answer.status == 200
    assert answer.json["success"] is True and answer.json["message"]
    assert api.get("/agents").json == []
    for path in (
        f"/agents/{agent.pk}",
        f"/agents/{agent.pk}/config",
        f"/agents/{agent.pk}/positions",
        f"/agent-balances?agentId={agent.pk}",
        f"/agent-transactions?agentId={agent.pk}",
        f"/agent-historical-swaps?agentId={agent.pk}",
        f"/wallets/agent/{agent.pk}",
    ):
        assert api.get(path).code == "AGENT_NOT_FOUND", path
    assert api.delete(f"/agents/{agent.pk}").status == 404
    agent.refresh_from_db()
    assert agent.archived_at is not None
    assert AuditEntry.objects.filter(action="agent.archived", object_id=agent.pk).exists()


def test_whoever_must_may_refuse_the_deletion(api, user):
    agent = make_agent(user, sol=None)

    def refuse(event):
        if event.agent.pk == agent.pk:
            raise Conflict("POSITIONS_OPEN", "Not yet.")

    events.subscribe(AgentArchiving, refuse)
    try:
        answer = api.delete(f"/agents/{agent.pk}")
    finally:
        events._handlers[AgentArchiving].remove(refuse)
    assert (answer.status, answer.code) == (409, "POSITIONS_OPEN")
    agent.refresh_from_db()
    assert agent.archived_at is None


def test_open_simulated_positions_do_not_keep_an_agent_from_being_deleted(api, user):
    agent = make_agent(user)
    position = make_position(agent, make_token())
    assert api.delete(f"/agents/{agent.pk}").status == 200
    position.refresh_from_db()
    assert position.closed_at is not None
    assert AgentState.objects.get(agent=agent).open_positions == 0

"""The doctor tells what is missing and what to do about it, whatever else is missing too."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from apps.accounts.models import AuditEntry
from apps.accounts.services import audit
from apps.chain import nodes
from apps.chain.cluster import Cluster, Standing
from apps.chain.errors import NodeUnavailable
from apps.console.backup.making import MADE
from apps.console.doctor import chain, desk, keys, run
from apps.console.doctor.chain import Look
from apps.console.doctor.findings import Finding, Level
from apps.wallets.signer_client import HeldKey, Signer, SignerStatus
from tests import factories

pytestmark = pytest.mark.django_db


def levels(found) -> dict[str, set[str]]:
    told: dict[str, set[str]] = {}
    for item in found:
        told.setdefault(item.area, set()).add(str(item.level))
    return told


def only(found, area: str, level: Level) -> Finding:
    (item,) = [item for item in found if item.area == area and item.level is level]
    return item


def seen(**changes) -> Look:
    healthy = {
        "standing": Standing(Cluster.DEVNET, {"a": "x", "b": "x"}, {}),
        "slots": {"a": 1_000, "b": 998},
        "chain_time": int(time.time()),
        "fees": [10, 20],
    }
    return Look(**{**healthy, **changes})


def test_nodes_that_agree_are_fine(settings):
    settings.DEMO_DESK = False
    assert levels(chain.findings(seen(), live=True)) == {
        "nodes": {"ok"},
        "cluster": {"ok"},
        "clock": {"ok"},
        "fees": {"ok"},
    }


@pytest.mark.parametrize(
    ("changes", "area", "level"),
    [
        ({"slots": {"a": 1_000, "b": NodeUnavailable("b", "away")}}, "nodes", "fail"),
        ({"slots": {"a": 1_000}}, "nodes", "warn"),
        ({"slots": {"a": 1_000, "b": 960}}, "nodes", "warn"),
        ({"slots": {"a": 1_000, "b": 100}}, "nodes", "fail"),
        ({"standing": Standing(None, {"a": "x", "b": "y"}, {})}, "cluster", "fail"),
        ({"standing": Standing(None, {}, {"a": "NODE_UNAVAILABLE"})}, "cluster", "warn"),
        ({"chain_time": 30}, "clock", "warn"),
        ({"chain_time": -90}, "clock", "fail"),
        ({"chain_time": None}, "clock", "warn"),
        ({"fees": [10**9] * 20}, "fees", "warn"),
        ({"fees": []}, "fees", "warn"),
    ],
)
def test_what_is_wrong_with_the_nodes_is_said_with_a_remedy(changes, area, level):
    if changes.get("chain_time") is not None:
        changes = {"chain_time": int(time.time()) - changes["chain_time"]}
    found = list(chain.findings(seen(**changes), live=True))
    assert level in levels(found)[area]
    assert all(item.remedy for item in found if item.level is not Level.OK)


def test_a_demo_desk_on_mainnet_fails(settings):
    settings.DEMO_DESK = True
    found = chain.findings(seen(standing=Standing(Cluster.MAINNET, {"a": "x", "b": "x"}, {})), live=False)
    assert only(found, "cluster", Level.FAIL).sentence == "A demo desk points at mainnet."


def test_no_node_is_in_the_way_only_of_live_agents():
    assert levels(chain.findings(None, live=False)) == {"nodes": {"warn"}}
    assert levels(chain.findings(None, live=True)) == {"nodes": {"fail"}}


def test_a_real_chain_is_looked_at(chain_market, settings):
    settings.SOLANA_RPC_URLS = list(chain_market.rpc_urls)
    nodes.forget_nodes()
    found = list(chain.findings(chain.look(), live=True))
    assert levels(found)["nodes"] == {"ok"}
    assert levels(found)["cluster"] == {"ok"}
    assert not any("No node told" in item.sentence for item in found if item.area == "clock")


def status(**changes) -> SignerStatus:
    values = {
        "keys": (HeldKey("x", "one", "file", locked=False),),
        "network": "devnet",
        "max_trade_lamports": 100_000_000,
        "max_day_lamports": 1_000_000_000,
        "spent_day_lamports": 0,
        "risked_day_lamports": 0,
        "max_slippage_bps": 1_000,
        "max_fee_lamports": 10_000_000,
        "nodes": 2,
        "programs": 9,
        "notes": (),
    }
    return SignerStatus(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "area", "level"),
    [
        ({}, "signer", "ok"),
        ({"keys": ()}, "signer", "fail"),
        ({"keys": (HeldKey("x", "one", "file", locked=True),)}, "signer", "warn"),
        ({"spent_day_lamports": 1_000_000_000}, "caps", "warn"),
        ({"max_fee_lamports": 5_000}, "caps", "warn"),
        ({"programs": 0}, "programs", "fail"),
        ({"notes": ("JUP6… is not on the provider's list",)}, "programs", "warn"),
        ({"nodes": 0}, "signer", "fail"),
    ],
)
def test_what_the_signer_lacks_is_said(monkeypatch, settings, changes, area, level):
    settings.SIGNER_SOCKET, settings.DEMO_DESK = "/nowhere", False
    monkeypatch.setattr(Signer, "status", lambda self: status(**changes))
    assert level in levels(keys.signer(live=True))[area]


def test_a_signer_that_is_away_is_in_the_way_only_of_live_agents(settings, tmp_path):
    settings.SIGNER_SOCKET = str(tmp_path / "s")
    assert levels(keys.signer(live=True)) == {"signer": {"fail"}}
    assert levels(keys.signer(live=False)) == {"signer": {"warn"}}


def test_live_agents_need_a_loaded_wallet_and_a_limit():
    bare, ready = factories.make_agent(trading_mode="live"), factories.make_agent(trading_mode="live")
    key = factories.make_live_key()
    factories.make_wallet(ready, wallet_type="live", address=key.address)
    agents = keys.live_agents()
    assert levels(keys.wallets(agents)) == {"wallets": {"ok", "fail"}}
    assert [item.sentence for item in keys.limits(agents)] == [
        f"Nothing bounds what {agent} may lose live." for agent in (bare, ready)
    ]
    factories.make_loss_limit(trading_mode="live", daily_loss="1")
    assert levels(keys.limits(agents)) == {"limits": {"ok"}}


def test_a_backup_grows_old():
    assert levels(desk.backups()) == {"backup": {"warn"}}
    entry = audit.record(actor=None, action=MADE, object_type="desk", object_id="desk", after={"target": "/b/1"})
    assert levels(desk.backups()) == {"backup": {"ok"}}
    assert timezone.now() - entry.at < timedelta(minutes=1)
    assert AuditEntry.objects.count() == 1


def test_everything_is_looked_at_with_parts_missing(settings, monkeypatch):
    factories.make_agent(trading_mode="live")
    settings.SIGNER_SOCKET = None
    monkeypatch.setattr(chain, "look", lambda: None)

    found = run.examine()

    assert {"database", "redis", "processes", "orders", "nodes", "signer", "wallets", "limits", "backup"} <= {
        item.area for item in found
    }
    assert only(found, "nodes", Level.FAIL).remedy.startswith("Set SOLANA_RPC_URLS")


def test_a_look_that_breaks_hides_no_other(monkeypatch):
    def broken():
        raise OSError("gone")

    monkeypatch.setattr(chain, "look", broken)
    found = run.examine()
    assert only(found, "nodes", Level.FAIL).sentence == "This could not be looked at (OSError)."
    assert any(item.area == "backup" for item in found)


def test_the_command_ends_with_one_when_something_is_in_the_way(monkeypatch):
    monkeypatch.setattr(run, "examine", lambda: [Finding("nodes", Level.FAIL, "No node.", "Set one.")])
    said = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json", stdout=said)
    assert ended.value.code == 1
    assert json.loads(said.getvalue())["findings"] == [
        {"area": "nodes", "level": "fail", "sentence": "No node.", "remedy": "Set one."}
    ]
    monkeypatch.setattr(run, "examine", lambda: [Finding("nodes", Level.WARN, "One node.", "Add one.")])
    said = StringIO()
    call_command("doctor", stdout=said)
    assert "0 ok, 1 to look at, 0 in the way." in said.getvalue()

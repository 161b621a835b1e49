"""An agent's figures over HTTP: what is wrong is told in the contract's order, and windows are as wide as it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from tests.factories import (
    close_position,
    make_agent,
    make_position,
    make_snapshot,
    make_token,
    make_wallet,
    wallet_of,
)

pytestmark = pytest.mark.django_db


def test_performance_names_what_is_wrong(api, agent):
    for path, status, code in (
        (f"/agents/{agent.pk}/performance?timeframe=7d", 400, "INVALID_TIMEFRAME"),
        (f"/agents/{agent.pk}/performance?timeframe=ALL", 400, "INVALID_TIMEFRAME"),
        ("/agents/7/performance", 400, "INVALID_AGENT_ID"),
        (f"/agents/{make_agent().pk}/performance", 404, "AGENT_NOT_FOUND"),
        (f"/agents/{agent.pk}/performance?timeframe=", 200, None),
    ):
        answer = api.get(path)
        assert (answer.status, answer.code) == (status, code), path


def test_a_history_without_a_wallet_is_refused_before_anything_else(api, agent):
    for path, status, code in (
        ("/agents/7/balance-history?timeframe=7d", 400, "INVALID_WALLET_ADDRESS"),
        ("/agents/7/balance-history?walletAddress=x&timeframe=7d", 400, "INVALID_TIMEFRAME"),
        ("/agents/7/balance-history?walletAddress=x", 400, "INVALID_AGENT_ID"),
        (f"/agents/{make_agent().pk}/balance-history?walletAddress=x", 404, "AGENT_NOT_FOUND"),
        (f"/agents/{agent.pk}/balance-history?walletAddress=x", 404, "WALLET_NOT_FOUND"),
    ):
        answer = api.get(path)
        assert (answer.status, answer.code) == (status, code), path


def test_the_last_day_reaches_back_25_hours_in_the_chart_and_24_in_the_trades(api, agent):
    wallet, now = wallet_of(agent), datetime.now(UTC)
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    kept = [hours for hours in range(30) if this_hour - timedelta(hours=hours) > now - timedelta(hours=25)]
    for hours in range(30):
        make_snapshot(wallet, portfolio=str(hours + 1), hour=this_hour - timedelta(hours=hours))
    path = f"/agents/{agent.pk}/balance-history?walletAddress={wallet.address}&timeframe=24h"
    shown = [row["portfolioBalanceSol"] for row in api.get(path).json["snapshots"]]
    assert shown == [str(hours + 1) for hours in reversed(kept)]
    assert len(kept) == 25
    for minutes in (23 * 60 + 59, 24 * 60 + 1):
        at = timezone.now() - timedelta(minutes=minutes)
        close_position(make_position(agent, make_token(), opened_at=at), proceeds="1.5", at=at)
    assert api.get(f"/agents/{agent.pk}/performance?timeframe=24h").json["totalClosedTrades"] == 1


def test_the_history_of_before_a_reset_is_history(api, agent):
    wallet = wallet_of(agent)
    make_snapshot(wallet)
    path = f"/agents/{agent.pk}/balance-history?walletAddress={wallet.address}"
    assert len(api.get(path).json["snapshots"]) == 1
    api.post(f"/wallets/{wallet.address}/reset", {"confirm": True})
    assert api.get(path).json["snapshots"] == []
    assert api.get(f"/agents/{agent.pk}/performance").json["portfolioBalanceSol"] == 0


def test_positions_of_a_wallet_that_is_not_the_agents_are_not_found(api, agent):
    foreign = wallet_of(make_agent())
    for path in (f"/agent-positions/{agent.pk}", f"/agents/{agent.pk}/positions"):
        answer = api.get(f"{path}?walletAddress={foreign.address}")
        assert (answer.status, answer.code) == (404, "WALLET_NOT_FOUND")
        assert api.get(f"{path}?walletAddress={wallet_of(agent).address}").json == []
        assert api.get(f"{path}?walletAddress=").json == []


def test_both_modes_keep_their_positions_when_the_mode_changes(api, agent):
    make_position(agent, make_token("SIM"))
    live = make_wallet(agent, wallet_type="live")
    answer = api.put(f"/agents/{agent.pk}", {"tradingMode": "live", "automatedTradingSimulation": False})
    assert answer.status == 200
    shown = api.get(f"/agent-positions/{agent.pk}").json
    assert [(row["tokenSymbol"], row["walletAddress"]) for row in shown] == [("SIM", wallet_of(agent).address)]
    assert api.get(f"/agent-positions/{agent.pk}?walletAddress={live.address}").json == []


def test_sources_are_limited_per_address(api, settings):
    settings.DATA_SOURCES_PER_MINUTE = 3
    answers = [api.get("/data-sources/status") for _ in range(9)]
    assert 429 in {answer.status for answer in answers}
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.code == "RATE_LIMITED" and refused.json["retryAfter"] >= 1

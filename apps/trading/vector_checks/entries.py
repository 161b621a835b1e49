"""Adapters for eligibility, position_size and trade_validation."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.agents.domain import merge, reading, trading_config
from apps.trading.domain import eligibility as rules
from apps.trading.domain import entry_rules, sizing
from apps.trading.vector_checks.values import number, optional_number

_HEALTHY_BALANCE_SOL = Decimal(5)


def eligibility(given: dict[str, Any]) -> dict[str, Any]:
    if not rules.reaches(
        signal_has_user=given.get("signalHasUser", True),
        owner_is_signal_user=given.get("ownerIsSignalUser", True),
        active=given.get("active", True),
    ):
        return {"eligible": False, "failedChecks": []}
    signal, section = given["signal"], given.get("signals")
    decision = rules.decide(
        rules.SignalView(signal["tokenAddress"], signal["signalType"], signal["signalStrength"]),
        None if section is None else reading.signal_rules(section),
        _metrics(given.get("metrics")),
        automated=given.get("automatedTrading", True),
    )
    return {"eligible": decision.allowed, "failedChecks": list(decision.reasons)}


def _metrics(given: dict[str, Any] | None) -> rules.TokenMetrics | None:
    if given is None:
        return None
    holders = optional_number(given.get("holderCount", given.get("holders")))
    return rules.TokenMetrics(
        market_cap_usd=optional_number(given.get("mcap")),
        liquidity_usd=optional_number(given.get("liquidity")),
        holder_count=None if holders is None else int(holders),
    )


def position_size(given: dict[str, Any]) -> dict[str, Any]:
    decision = sizing.position_size(
        number(given["balanceSol"]),
        reading.position_calculator(given["positionCalculator"]),
        reading.purchase_limits(given["purchaseLimits"]),
        number(given.get("random", 0)),
    )
    if not decision.allowed:
        return {"error": decision.code}
    return {"size": decision.size_sol, "category": decision.category, "randomized": decision.randomized}


def trade_validation(given: dict[str, Any]) -> dict[str, Any]:
    document = merge.merge(
        trading_config.DEFAULTS,
        {
            "positionCalculator": {"randomization": {"enabled": False}},
            "purchaseLimits": given.get("purchaseLimits", {}),
        },
    )
    decision = entry_rules.decide(
        entry_rules.EntryRequest(
            config=None if given.get("configInvalid", False) else reading.trading_config(document),
            balance_sol=optional_number(given.get("balance", _HEALTHY_BALANCE_SOL)),
            size_sol=optional_number(given.get("positionSize")),
            agent_exists=given.get("agentExists", True),
            agent_mode=given.get("agentMode", entry_rules.SIMULATION),
            wallet_exists=given.get("walletExists", True),
            wallet_belongs=given.get("walletBelongs", True),
            wallet_type=given.get("walletType", entry_rules.SIMULATION),
            wallet_loaded=given.get("walletLoaded", False),
            has_position=given.get("hasPosition", False),
            open_positions=given.get("openPositions", 0),
        )
    )
    if decision.allowed:
        return {"valid": True, "currentSolBalance": decision.balance_sol, "positionSize": decision.size_sol}
    outcome = {"valid": False, "code": decision.code}
    return outcome if decision.cause is None else {**outcome, "cause": decision.cause}

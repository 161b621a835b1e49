"""Which agents a signal concerns, with every reason of those that refuse."""

from __future__ import annotations

import time
from decimal import Decimal

from apps.agents.domain.model import SignalRules
from apps.agents.domain.trading_config import load
from apps.trading.domain import eligibility, entry_rules, sizing
from apps.trading.domain.eligibility import REASONS, SignalView, TokenMetrics, decide
from apps.trading.domain.entry_rules import EntryRequest

SIGNAL = SignalView("Mint1", "buy", 3)


def test_all_conditions_are_judged_and_every_reason_is_kept_in_order() -> None:
    rules = SignalRules(
        min_score=5,
        allowed_signal_types=("sell",),
        token_filter_mode="whitelist",
        liquidity_min_usd=Decimal(10),
        market_cap_max_usd=Decimal(5),
    )
    decision = decide(SIGNAL, rules, TokenMetrics(market_cap_usd=Decimal(6), liquidity_usd=Decimal(1)))
    assert decision.reasons == ("score", "type", "not_whitelisted", "mcap_above")
    assert (decision.allowed, decision.code) == (False, "score")


def test_every_reason_has_a_sentence() -> None:
    bounds = {
        f"{key}_{code}"
        for key in ("mcap", "liquidity", "holders")
        for code in ("below", "above", "unknown_min", "unknown_max")
    }
    assert bounds <= set(REASONS)
    assert all(text.endswith(".") for text in REASONS.values())


def test_mints_and_types_are_compared_exactly() -> None:
    assert decide(SIGNAL, SignalRules(token_filter_mode="blacklist", token_list=("mint1",)), None).allowed
    assert not decide(SIGNAL, SignalRules(allowed_signal_types=("Buy",)), None).allowed


def test_metrics_are_asked_for_only_when_a_bound_is_set() -> None:
    assert not SignalRules(min_score=5).bounded
    assert SignalRules(holder_count_min=0).bounded
    assert decide(SIGNAL, SignalRules(), None).allowed
    assert decide(SIGNAL, SignalRules(holder_count_min=0), None).reasons == ("metrics_unavailable",)


def test_an_unknown_figure_is_not_zero() -> None:
    assert decide(SIGNAL, SignalRules(market_cap_max_usd=Decimal(5)), TokenMetrics()).reasons == ("mcap_unknown_max",)
    assert decide(SIGNAL, SignalRules(holder_count_min=0), TokenMetrics(holder_count=0)).allowed


def test_a_signal_reaches_only_active_agents_of_its_owner() -> None:
    assert eligibility.reaches(signal_has_user=True, owner_is_signal_user=True, active=True)
    assert not eligibility.reaches(signal_has_user=True, owner_is_signal_user=False, active=True)


def test_a_thousand_agents_are_decided_in_a_fraction_of_a_second() -> None:
    documents = [
        {"signals": {"minScore": 1 + n % 3, "tokenList": [f"{n:032d}"], "liquidityMin": 100 + n}} for n in range(1_000)
    ]
    configs = [load(document) for document in documents]
    metrics = TokenMetrics(Decimal(10**6), Decimal(10**6), 500)

    def decide_all() -> float:
        started = time.perf_counter()
        for number, config in enumerate(configs):
            decide(SIGNAL, config.signals, metrics)
            draw = sizing.draw("signal", number)
            entry_rules.decide(EntryRequest(config, Decimal(7), random=draw))
        return time.perf_counter() - started

    def load_all() -> float:
        started = time.perf_counter()
        for document in documents:
            load(document)
        return time.perf_counter() - started

    # Ten to thirty milliseconds on a quiet machine; something that grows with their square would take many seconds.
    assert min(decide_all() for _ in range(5)) < 1
    assert min(load_all() for _ in range(5)) < 1

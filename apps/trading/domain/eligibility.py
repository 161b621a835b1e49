"""Which agents a signal concerns, and why the others refuse it.

Order and codes follow trading.md 2.3: all conditions are judged and every reason is kept, except that a paused or
unconfigured agent is not judged further, and that only the first violated metric bound is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from apps.agents.domain.model import SignalRules, TokenFilterMode

PAUSED = "paused"
NO_CONFIG = "no_config"
SCORE = "score"
TYPE = "type"
BLACKLISTED = "blacklisted"
NOT_WHITELISTED = "not_whitelisted"
METRICS_UNAVAILABLE = "metrics_unavailable"
SIGNAL_DELETED = "signal_deleted"
SIGNAL_EXPIRED = "SIGNAL_EXPIRED"

#: Every reason, with the sentence a person reads.
REASONS: dict[str, str] = {
    PAUSED: "Automated trading is paused.",
    NO_CONFIG: "The agent has no usable configuration.",
    SCORE: "The signal is weaker than the lowest score.",
    TYPE: "The signal's type is not one the agent trades.",
    BLACKLISTED: "The token is on the agent's list of tokens never to trade.",
    NOT_WHITELISTED: "The token is not on the agent's list of tokens to trade.",
    METRICS_UNAVAILABLE: "The token's figures are unknown and the agent bounds them.",
    SIGNAL_DELETED: "The signal was deleted before it was traded.",
    SIGNAL_EXPIRED: "The signal was too old, or the price had moved too far since it came.",
    **{
        f"{key}_{code}": f"The token's {name} {text}"
        for key, name in (("mcap", "market cap"), ("liquidity", "liquidity"), ("holders", "number of holders"))
        for code, text in (
            ("below", "is below the lower bound."),
            ("above", "is above the upper bound."),
            ("unknown_min", "is unknown and has a lower bound."),
            ("unknown_max", "is unknown and has an upper bound."),
        )
    },
}


@dataclass(frozen=True, slots=True)
class SignalView:
    """What eligibility looks at: the mint, the type (both compared exactly) and the strength (1-5)."""

    token_address: str
    signal_type: str
    strength: int


@dataclass(frozen=True, slots=True)
class TokenMetrics:
    """A token's figures at signal time; None is unknown, never zero."""

    market_cap_usd: Decimal | None = None
    liquidity_usd: Decimal | None = None
    holder_count: int | None = None


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Whether an agent trades a signal; `reasons` are the codes of what failed, in the order of judging."""

    allowed: bool
    reasons: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """The first reason, or "eligible"."""
        return self.reasons[0] if self.reasons else "eligible"


ELIGIBLE = Eligibility(allowed=True)


def reaches(*, signal_has_user: bool, owner_is_signal_user: bool, active: bool) -> bool:
    """Tell whether a signal concerns an agent at all; one that it does not reach gets no verdict."""
    return signal_has_user and owner_is_signal_user and active


def decide(
    signal: SignalView, rules: SignalRules | None, metrics: TokenMetrics | None, *, automated: bool = True
) -> Eligibility:
    """Decide whether an agent trades a signal, with every reason against it.

    `rules` None means the agent's configuration could not be loaded; `metrics` None that nobody knew the figures.

    >>> signal = SignalView("Mint1", "buy", 2)
    >>> decide(signal, SignalRules(min_score=3, allowed_signal_types=("sell",)), None).reasons
    ('score', 'type')
    >>> decide(signal, SignalRules(liquidity_min_usd=Decimal(500)), TokenMetrics(liquidity_usd=Decimal(500))).allowed
    True
    """
    if not automated:
        return Eligibility(False, (PAUSED,))
    if rules is None:
        return Eligibility(False, (NO_CONFIG,))
    reasons = []
    if signal.strength < rules.min_score:
        reasons.append(SCORE)
    if rules.allowed_signal_types and signal.signal_type not in rules.allowed_signal_types:
        reasons.append(TYPE)
    if rules.token_filter_mode == TokenFilterMode.BLACKLIST and signal.token_address in rules.tokens:
        reasons.append(BLACKLISTED)
    elif rules.token_filter_mode == TokenFilterMode.WHITELIST and signal.token_address not in rules.tokens:
        reasons.append(NOT_WHITELISTED)
    violated = violated_bound(rules, metrics) if rules.bounded else None
    if violated is not None:
        reasons.append(violated)
    return Eligibility(False, tuple(reasons)) if reasons else ELIGIBLE


def violated_bound(rules: SignalRules, metrics: TokenMetrics | None) -> str | None:
    """Return the code of the first metric bound that fails; bounds are inclusive, an unknown figure fails its bound."""
    if metrics is None:
        return METRICS_UNAVAILABLE
    return (
        _outside("mcap", metrics.market_cap_usd, rules.market_cap_min_usd, rules.market_cap_max_usd)
        or _outside("liquidity", metrics.liquidity_usd, rules.liquidity_min_usd, rules.liquidity_max_usd)
        or _outside("holders", metrics.holder_count, rules.holder_count_min, rules.holder_count_max)
    )


def _outside(
    key: str, value: Decimal | int | None, low: Decimal | int | None, high: Decimal | int | None
) -> str | None:
    if low is not None:
        if value is None:
            return f"{key}_unknown_min"
        if value < low:
            return f"{key}_below"
    if high is not None:
        if value is None:
            return f"{key}_unknown_max"
        if value > high:
            return f"{key}_above"
    return None

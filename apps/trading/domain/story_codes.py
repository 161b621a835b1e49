"""Stable codes of exits as clauses: why a fired rule ended without a trade, why a sale failed, why a price is doubted.

A code nobody has put into words yet is shown as its words. Codes of buys are `entry_rules`' and `gate`'s.
"""

from __future__ import annotations

#: `last_error` of a cancelled intent.
CANCELLATIONS: dict[str, str] = {
    "BAD_TICK": "a sell quote disproved the price",
    "DCA_AFTER_STOP": "a DCA bought meanwhile and set a new average, so this stop no longer holds",
    "GENERATION_CHANGED": "another fill changed the position first; the rules look at it anew",
    "POSITION_CHANGED": "another fill changed the position first; the rules look at it anew",
    "LAPSED": "it could not be done within 10 seconds; the rules look at the next price anew",
    "NOT_REACHED": "at the quote's own price the level was not reached",
    "BELOW_NEXT_LEVEL": "at the quote's own price the level was not reached",
    "AMOUNT_CHANGED": "the position changed while it was quoted; the rules look at it anew",
    "INVALID_POSITION_SIZE": "the buy would be less than a lamport",
    "TOKEN_LIVES": "the token has a price or a buyer again",
    "NOT_DEAD": "nothing speaks for the token being dead",
    "EVIDENCE_TOO_OLD": "the evidence against the token is too old",
    "BARRED_BY_CLOSE": "the whole position was being closed",
    "POSITION_CLOSED": "the position was closed already",
    "WALLET_RESET": "the wallet was reset",
    "WALLET_NOT_RECONCILED": "the chain holds another amount than the wallet's books say",
    "INSUFFICIENT_BALANCE": "the wallet holds too little SOL",
    "VIOLATES_MINIMUM_BALANCE": "the buy would leave less than the minimum balance",
    "BELOW_MINIMUM_THRESHOLD": "the wallet holds less SOL than the minimum balance",
    "PRICE_IMPACT_TOO_HIGH": "the buy would move the price more than the agent allows",
    "NOTHING_TO_SELL": "nothing is left to sell but the moon bag",
    "ONLY_MOON_BAG": "only the moon bag is left, and nothing is added to it",
    "MAX_COUNT": "the position has had as many DCA buys as it may",
    "LEVELS_EXHAUSTED": "every DCA level has been used",
    "NO_LEVELS": "the configuration has no DCA levels any more",
    "COOLDOWN": "the last DCA is too short ago",
    "DISABLED": "the rule was switched off meanwhile",
    "EXHAUSTED": "every take-profit level has been sold",
    "BATCH_EXHAUSTED": "every take-profit level has been sold",
    "CORRUPT_TAKE_PROFIT": "the take-profit progress contradicts itself",
    "PAUSED": "the agent is paused: no DCA",
    "AUTOMATION_PAUSED": "the agent is paused: no DCA",
    "TRADING_HALTED": "trading is halted",
    "TRADING_REDUCING": "trading is reducing: nothing is bought",
    "DAILY_LOSS_REACHED": "today's losses have reached the limit",
    "MAX_EXPOSURE_REACHED": "the buy would put more at stake than the limit allows",
    "COOLDOWN_AFTER_STOP": "a stop loss was sold a moment ago",
    "CONFIG_ERROR": "the agent's configuration cannot be read",
}

#: `last_error` of an intent that stays due.
FAILURES: dict[str, str] = {
    "PROVIDER_TIMEOUT": "the provider did not answer in time",
    "PROVIDER_UNAVAILABLE": "the provider is away",
    "PROVIDER_ERROR": "the provider failed",
    "PROVIDER_MALFORMED": "the provider's answer made no sense",
    "PROVIDER_REJECTED": "the provider refused the request",
    "PROVIDER_RATE_LIMITED": "the provider allows no more requests for now",
    "PROVIDER_BUDGET_EXHAUSTED": "the budget of calls is used up for now",
    "PROVIDER_BREAKER_OPEN": "the provider failed too often and is given a rest",
    "TOKEN_NOT_TRADABLE": "nobody quotes the token",
    "QUOTE_FAILED": "no quote could be had",
    "CONTROL_QUOTE_FAILED": "no second quote could be had to measure the price impact",
    "DATABASE_BUSY": "other work held what it needed in the database",
    "DATABASE_UNAVAILABLE": "the database did not answer",
    "INSUFFICIENT_BALANCE": "the wallet holds less than the position says",
    "ZERO_BALANCE": "nothing is left to sell",
    "EXITS_HALTED": "selling is switched off",
    "AMOUNT_CHANGED": "the amount changed and was quoted again",
    "LEASE_LOST": "another process took it over",
    "INVALID_TRANSACTION": "the quote could not be booked",
    "INVALID_SALE_PRICE": "the quote gives nothing for the tokens",
    "EXECUTION_FAILED": "the booking failed",
}

#: `doubt` of a price (`prices.domain.trust`).
DOUBTS: dict[str, str] = {
    "wild_without_second_source": "it moved by more than half, and no second source could confirm it",
    "wild_and_second_source_disagrees": "it moved by more than half, and a second source disagreed",
}


def words(code: str) -> str:
    """Return a code as words.

    >>> words("SOME_NEW_CODE")
    'some new code'
    """
    return code.replace("_", " ").lower()


def cancellation(code: str) -> str:
    """Return why a fired rule ended without a trade.

    >>> cancellation("BAD_TICK"), cancellation("below_next_level"), cancellation("")
    ('a sell quote disproved the price', "at the quote's own price the level was not reached", 'it was called off')
    """
    return CANCELLATIONS.get(code.upper()) or FAILURES.get(code.upper()) or words(code) or "it was called off"


def failure(code: str) -> str:
    """Return why a sale failed."""
    return FAILURES.get(code.upper()) or CANCELLATIONS.get(code.upper()) or words(code) or "something went wrong"

"""Why nothing was bought, or an order failed: a sentence for whose money it is, by the code in the row."""

from __future__ import annotations

from apps.trading.domain import eligibility, entry_rules, exit_decision, loss_limits, price_impact, token_safety
from apps.trading.services import gate

SENTENCES: dict[str, str] = {
    **eligibility.REASONS,
    **entry_rules.MESSAGES,
    **gate.MESSAGES,
    **loss_limits.MESSAGES,
    **token_safety.MESSAGES,
    price_impact.PRICE_IMPACT_TOO_HIGH: "The buy would move the price more than the agent allows, at every size tried.",
    exit_decision.WALLET_RESET: "The wallet was reset meanwhile; nothing was booked.",
    "TOKEN_NOT_TRADABLE": "Nobody quotes this token.",
    # What became of it on its way to the chain.
    "SLIPPAGE_EXCEEDED": "The price moved further than the slippage allows: the swap was undone on the chain.",
    "FAILED_ON_CHAIN": "The chain undid the transaction; only its fees were paid.",
    "SIMULATION_FAILED": "Tried on a node it would have failed, so it was not signed.",
    "BUILD_REFUSED": "The aggregator did not build this swap.",
    "EXPIRED": "It did not land in time and can land no more.",
    "NOT_SENT_IN_TIME": "It could not be sent before it ran out.",
    "DECLARED_EXPIRED": "An operator ended it: it never landed.",
    "REVERSED": "It landed, and a fork of the chain took it back; whether it lands after all is not known yet.",
    "BARRED_BY_CLOSE": "The whole position was being closed.",
    "PARTLY_SOLD": "A part was sold; the rest is still due.",
    "NOTHING_ON_CHAIN": "The wallet holds none of these tokens on the chain.",
    # What the signer said no to.
    "TRADE_CAP": "It is more than the signer lets one trade spend (SIGNER_MAX_TRADE_SOL).",
    "DAY_CAP": "The signer has let out as much as it may within 24 hours (SIGNER_MAX_DAY_SOL).",
    "FEE_TOO_HIGH": "Its fees are higher than the signer allows (SIGNER_MAX_FEE_LAMPORTS).",
    "KEY_LOCKED": "The wallet's key is locked: unlock it with its passphrase.",
    "KEY_UNKNOWN": "The signer has no such key.",
    "BELOW_OWN_PRICE": "The swap promises much less than the signer's own price says.",
    "NO_PRICE": "The signer's own price source knows no price of this token.",
    "PROGRAM_NOT_ALLOWED": "The swap goes over a program that is not on the signer's list.",
    "ROUTE_UNREADABLE": "It goes over a venue the signer cannot read past, and no API built it differently.",
    "INSTRUCTION_NOT_ALLOWED": "The transaction does something that has no place in a swap.",
    "FOREIGN_ACCOUNT": "The transaction names an account that is not the wallet's own of this trade.",
    "FOREIGN_FEE_PAYER": "Every way offered wants somebody else's signature.",
    "FEE_ABOVE_CAP": "Its fees are higher than the order allows.",
    "TOO_LITTLE_IN": "Less would come in than was promised.",
    "TOO_MUCH_OUT": "More would leave the wallet than the swap needs.",
    "FEE_PAYER": "Somebody else would have paid for the transaction.",
    "OTHER_SIGNERS": "Somebody else would have had to sign, too.",
    "ORDER_SIGNED": "The signer had signed other bytes for it, which died unsent with their process.",
}


def sentence(code: str) -> str:
    """Return what a code means, or nothing where no sentence says more than the code."""
    return SENTENCES.get(code, "")

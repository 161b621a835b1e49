"""Why a tagged case may differ from its expectation: the codes of trading.md 12, one sentence each.

docs/vectors.md tells the same at length. A code that is not here is still counted, and named as unexplained.
"""

from __future__ import annotations

FLOAT_SENSITIVE = "floatSensitive"

EXPLANATIONS: dict[str, str] = {
    FLOAT_SENSITIVE: "The decision sits within binary rounding of a threshold; exact decimals decide (decision 12).",
    "W1": "A DCA starts the stop over (peak = fill price, stop = default), so the old peak cannot sell at once.",
    "W3": "Amounts are whole base units and lamports; the original multiplies doubles and keeps fractions of a unit.",
    "W4": "Any rise of the peak is stored, not only one above 0.0001 SOL.",
    "W5": "Take-profit presets resolve levels and moon bag from the mode.",
    "W6": "The balance is read from the books, never from a cache that may be empty.",
    "W7": "A stop is kept exactly and has no upper limit; the original rounds to two places and overflows at 1000 %.",
    "W8": "A position is always created, whichever exits are on.",
    "W9": "Profit is measured against remaining cost, so that the costs of all sales add up to what was invested.",
    "W10": "One definition of cost, all fees in, on the tokens that remain.",
    "W11": "A sale needs no price request besides its quote.",
    "W14": "Pausing stops entries and DCA; exits go on.",
    "W24": "A position that take profit closed is not looked at again in the same tick.",
    "W27": "A null price-impact limit clears it; only a loss counts as impact.",
    "W28": "DCA honours the minimum balance, the largest buy and the price-impact limit.",
    "W29": "A balance is SOL, however large; nothing guesses lamports.",
    "W30": "No tolerance on balances: what is short is short.",
    "W31": "A sale takes the position's tokens, not others of the wallet.",
    "W33": "SOL is kept to the lamport: rounded down coming in, up going out.",
    "W38": "Unknown keys are dropped: the stored document is the validated one.",
}

#: What a tag may change. A difference in any other key of such a case is a failure; tags not listed may change all.
#: A trade closed by take profit has its `salePrice` from the drifted profit (W9); a tick ended in an error (W24).
_PROFIT_KEYS = frozenset({"profitLossSol", "profitLossUsd", "realizedProfitSol", "changePercent", "salePrice"})
SCOPES: dict[str, frozenset[str]] = {"W9": _PROFIT_KEYS, "W24": frozenset({"error", "transaction"})}


def covers(codes: tuple[str, ...], path: str) -> bool:
    """Tell whether a case's tags allow a difference at this path of its outcome."""
    key = path.rpartition(".")[2]
    return any(code not in SCOPES or key in SCOPES[code] for code in codes)


def explain(code: str) -> str:
    """Return why cases with this tag may differ."""
    return EXPLANATIONS.get(code, "Not explained here: see section 12 of the trading contract.")

"""A position's story in words a trader understands: small functions from facts to a clause, a title or a sentence.

Pure English. A clause begins small and has no full stop; `sentence` joins clauses. Figures are written as
`core.formatting` writes them, without zeros at the end; times are UTC and say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from apps.core import formatting
from apps.trading.domain import story_codes as codes
from apps.trading.domain.fill_history import FillResult
from apps.trading.domain.story import (
    DCA,
    MANUAL,
    RESET,
    STALE_TRADE,
    STOP_LOSS,
    TAKE_PROFIT,
    WRITE_OFF,
    ClosedResult,
    FiredRule,
    StopRise,
)
from apps.trading.domain.story_figures import clock, percent, price, profit, share, sol, tokens

_RULES = {
    STOP_LOSS: "Stop loss",
    TAKE_PROFIT: "Take profit",
    STALE_TRADE: "Stale trade",
    DCA: "DCA",
    MANUAL: "Close by hand",
    WRITE_OFF: "Write-off",
    RESET: "Wallet reset",
}
_DAY_SECONDS = 86_400


def rule_name(rule: str | None) -> str:
    """Return the name of a rule.

    >>> rule_name("stale_trade"), rule_name("something_new"), rule_name(None)
    ('Stale trade', 'Something new', 'Sale')
    """
    if rule is None:
        return "Sale"
    return _RULES.get(rule) or rule.replace("_", " ").capitalize()


def sentence(*clauses: str) -> str:
    """Return clauses as one sentence; empty ones are left out.

    >>> sentence("price fell", "", "sold everything")
    'Price fell; sold everything.'
    """
    text = "; ".join(clause for clause in clauses if clause)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


# Opening


@dataclass(frozen=True, slots=True)
class Opening:
    """Why a position was opened. `signal` None: by hand. `draw` is the number in [0, 1) the size was drawn with."""

    signal: int | None = None
    signal_type: str = ""
    strength: int | None = None
    source: str = ""
    balance_sol: Decimal | None = None
    size_sol: Decimal | None = None
    category: str | None = None
    draw: Decimal | None = None
    stop_percent: Decimal | None = None
    stop_sol: Decimal | None = None


def opening_title(bought: FillResult) -> str:
    return f"Bought {tokens(bought.fill.tokens)} for {sol(bought.fill.moved_sol)}"


def opening(why: Opening, bought: FillResult) -> str:
    """Return why and how a position was opened."""
    impact = bought.fill.price_impact
    moved = f", moving the price {share(impact * 100)}" if impact is not None and impact > 0 else ""
    average = f"average {price(bought.average_sol)}"
    stands = "" if why.stop_percent is None else f", stop at {_level(why.stop_percent, why.stop_sol)}"
    return sentence(_asked_for(why), _size(why), f"{_bought(bought)}{moved}", f"{average}{stands}")


def _asked_for(why: Opening) -> str:
    if why.signal is None:
        return "asked for by hand"
    strength = "" if why.strength is None else f"strength {why.strength} of 5"
    told = ", ".join(part for part in (why.signal_type, strength, why.source and f"from {why.source}") if part)
    return f"signal {why.signal}{f' ({told})' if told else ''}"


def _size(why: Opening) -> str:
    if why.size_sol is None:
        return ""
    if why.balance_sol is None or why.category is None:
        return f"size {sol(why.size_sol)}"
    drawn = "" if why.draw is None else f", drawn at {share(why.draw * 100)} of its range"
    return f"a balance of {sol(why.balance_sol)} is {why.category}: size {sol(why.size_sol)}{drawn}"


def _bought(result: FillResult) -> str:
    fill = result.fill
    at = "" if fill.price_sol is None else f" at {price(fill.price_sol)}"
    fees = f", {sol(fill.fees_sol)} of it fees" if fill.fees_sol > 0 else ""
    return f"bought {tokens(fill.tokens)}{at} for {sol(fill.moved_sol)}{fees}"


# The stop


def _level(stop_percent: Decimal, stop_sol: Decimal | None) -> str:
    return percent(stop_percent) + ("" if stop_sol is None else f" ({price(stop_sol)})")


def stop_title(rise: StopRise) -> str:
    return f"Stop raised to {percent(rise.stop_percent)}"


def stop_raised(rise: StopRise) -> str:
    """Return what raised the stop, and to where."""
    gain = rise.peak_percent
    peak = f"peak {price(rise.peak_sol)}" + ("" if gain is None else f" ({percent(gain)})")
    return sentence(f"{peak} set the stop at {_level(rise.stop_percent, rise.stop_sol)}")


# Why something fired


def trigger(fired: FiredRule) -> str:
    """Return the rule, the level and the price that fired, with the time."""
    if fired.by_hand:
        who = "" if fired.requested_by is None else f" by {fired.requested_by}"
        as_rule = "" if fired.rule == MANUAL else f" as {rule_name(fired.rule).lower()}"
        return f"a sale was asked for{who}{as_rule} at {clock(fired.at)}"
    explain = {
        STOP_LOSS: _stop_loss,
        TAKE_PROFIT: _take_profit,
        DCA: _dca,
        STALE_TRADE: _stale,
        WRITE_OFF: _write_off,
    }.get(fired.rule)
    return f"{rule_name(fired.rule).lower()} fired at {clock(fired.at)}" if explain is None else explain(fired)


def _stop_loss(fired: FiredRule) -> str:
    fell = f"price fell to {price(fired.price_sol)}" if fired.price_sol is not None else "it fired"
    return "; ".join(part for part in (_stop_stood(fired), f"{fell} at {clock(fired.at)}") if part)


def _stop_stood(fired: FiredRule) -> str:
    if fired.stop_percent is None:
        return "" if fired.stop_sol is None else f"the stop stood at {price(fired.stop_sol)}"
    gain = fired.peak_percent
    if fired.stop_percent > 0 and gain is not None and fired.peak_sol is not None:
        return f"peak {price(fired.peak_sol)} ({percent(gain)}) set the stop at {percent(fired.stop_percent)}"
    return f"the stop stood at {_level(fired.stop_percent, fired.stop_sol)}"


def _priced(fired: FiredRule) -> str:
    if fired.price_sol is None:
        return "the price"
    change = "" if fired.change_percent is None else f" ({percent(fired.change_percent)})"
    return f"price {price(fired.price_sol)}{change}"


def _take_profit(fired: FiredRule) -> str:
    return f"{_priced(fired)} reached {_levels(fired)} at {clock(fired.at)}"


def _levels(fired: FiredRule) -> str:
    if not fired.levels:
        return "a take-profit level"
    first = (fired.first_level or 0) + 1
    numbers = [str(first + place) for place in range(len(fired.levels))]
    targets = ", ".join(percent(level.target_percent) for level in fired.levels)
    sells = share(sum((level.sell_percent for level in fired.levels), Decimal(0)))
    named = f"level {numbers[0]}" if len(numbers) == 1 else f"levels {_listed(numbers)}"
    return f"take-profit {named} ({targets}: sell {sells})"


def _dca(fired: FiredRule) -> str:
    if fired.drop_percent is None:
        return f"{_priced(fired)} reached a DCA level at {clock(fired.at)}"
    number = "" if fired.dca_number is None else f" {fired.dca_number}"
    buys = "" if fired.buy_percent is None else f": add {share(fired.buy_percent)} of its value"
    return f"{_priced(fired)} reached DCA level{number} ({percent(fired.drop_percent)}{buys}) at {clock(fired.at)}"


def _stale(fired: FiredRule) -> str:
    held = "" if fired.held_minutes is None else f"held for {formatting.duration(int(fired.held_minutes * 60))}"
    return "; ".join(
        part for part in (held, f"{_priced(fired)} was within the stale range at {clock(fired.at)}") if part
    )


def _write_off(fired: FiredRule) -> str:
    who = "" if fired.requested_by is None else f" by {fired.requested_by}"
    if fired.evidence is None:
        return f"the token was written off{who}"
    checks, since = fired.evidence.checks, fired.evidence.since
    seen = f"{checks} checks" if checks != 1 else "1 check"
    began = "" if since is None else f" since {clock(since)}"
    return f"{seen}{began} found no price and no buyer for the token; it was written off{who}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


# What came of it


def doubted(fired: FiredRule, *, confirmed: bool) -> str:
    """Return what was wrong with the price, and that the quote decided."""
    if fired.doubt is None:
        return ""
    why = codes.DOUBTS.get(fired.doubt, codes.words(fired.doubt))
    return f"the price was doubted ({why})" + (" and the sell quote confirmed it" if confirmed else "")


def attempts(count: int) -> str:
    """Return how often it was tried, if more than once.

    >>> attempts(1), attempts(3)
    ('', 'it took 3 attempts')
    """
    return f"it took {count} attempts" if count > 1 else ""


def sold(result: FillResult) -> str:
    """Return what a sale brought: net of its fees, against what the sold tokens had cost."""
    fill = result.fill
    fees = f" after {sol(fill.fees_sol)} fees" if fill.fees_sol > 0 else ""
    return f"sold {tokens(fill.tokens)} for {sol(fill.moved_sol)}, {profit(result.profit_sol)}{fees}"


def left(result: FillResult, moon_bag: Decimal | None) -> str:
    """Return what a partial sale leaves, and the bag it set aside."""
    bag = "" if moon_bag is None else f", {tokens(moon_bag)} of it set aside as moon bag"
    return f"{tokens(result.remaining_tokens)} left{bag}"


def sale_title(rule: str | None, result: FillResult) -> str:
    return f"{rule_name(rule)}: sold {tokens(result.fill.tokens)}, {profit(result.profit_sol)}"


def added(result: FillResult, stop_percent: Decimal | None, stop_sol: Decimal | None) -> str:
    """Return what a DCA bought, and what it made of average and stop."""
    average = f"average {price(result.former_average_sol)} → {price(result.average_sol)}"
    stop = "" if stop_percent is None else f"the stop starts over at {_level(stop_percent, stop_sol)}"
    return "; ".join(part for part in (_bought(result), average, stop) if part)


def added_title(number: int | None, result: FillResult) -> str:
    which = "" if number is None else f" {number}"
    return f"DCA{which}: bought {tokens(result.fill.tokens)} for {sol(result.fill.moved_sol)}"


def burned_title(result: FillResult) -> str:
    return f"Written off: {profit(result.profit_sol)}"


def burned(result: FillResult) -> str:
    """Return what was given up without a sale."""
    return f"{tokens(result.fill.tokens)} given up, {profit(result.profit_sol)}"


def pending(fired: FiredRule) -> str:
    """Return what is being done about a fired rule."""
    if fired.rule == TAKE_PROFIT:
        return "a part is being sold"
    if fired.rule == DCA:
        return "more is being bought"
    if fired.rule == WRITE_OFF:
        return "what is left is being given up"
    return "everything left is being sold" if fired.doubt is None else "its sell quote decides"


def failing(count: int, code: str, due_at: datetime | None) -> str:
    """Return how often a sale failed, why the last time, and when it is tried again."""
    tries = "1 attempt failed" if count <= 1 else f"{count} attempts failed, the last"
    again = "" if due_at is None else f", again at {clock(due_at)}"
    return f"{tries} because {codes.failure(code)}; it stays due{again}"


def halted() -> str:
    """Return why nothing is sold although it fired."""
    return "selling is halted: it stays due and is sold when exits are switched on again"


def called_off(code: str) -> str:
    """Return why a fired rule ended without a trade."""
    return f"nothing was traded: {codes.cancellation(code)}"


# The end


def closed_title(result: ClosedResult) -> str:
    return f"Closed: {profit(result.profit_sol)} ({percent(result.change_percent)})"


def closed(result: ClosedResult) -> str:
    """Return how the position ended as a whole."""
    dollars = "" if result.profit_usd is None else f", {formatting.usd(result.profit_usd, signed=True)}"
    return sentence(
        f"closed after {formatting.duration(result.held_seconds)}",
        f"{sol(result.invested_sol)} went in, {sol(result.received_sol)} came out",
        f"{profit(result.profit_sol)} ({percent(result.change_percent)}{dollars})",
    )


def reset(remaining: Decimal, cost_sol: Decimal) -> str:
    """Return what a wallet's reset ended without a sale."""
    return sentence(
        "the wallet was started over",
        f"the position ended without a sale: {tokens(remaining)} were left, which had cost {sol(cost_sol)}",
    )


def repeated(text: str, count: int, first_at: datetime, last_at: datetime, *, rises: bool) -> str:
    """Return the text of the last of `count` like events, saying that there were more."""
    what = "rises" if rises else "times"
    date = f"{first_at.astimezone(UTC):%d %b} " if (last_at - first_at).total_seconds() >= _DAY_SECONDS else ""
    return f"{text} {count} {what} since {date}{clock(first_at)}."

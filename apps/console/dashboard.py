"""The home page: is it healthy, are we making money, what needs me, stop it now. Unfold calls `home` for each visit.

Figures come from `apps.console.figures` and `exit_figures`; here they become cards with words, units and a colour.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from apps.agents.models import TradingMode
from apps.console import exit_figures, figures, health, place, signer_watch
from apps.core import formatting, heartbeats
from apps.core.http.usage import calls_left
from apps.prices import selectors as prices
from apps.prices.selectors import Polling
from apps.trading.models import CloseReason, State
from apps.trading.selectors import marks
from apps.trading.services import going_live
from apps.wallets import selectors as wallets

PRICE_LATE_SECONDS = 10
FEED_LATE_SECONDS = 5
SIGNAL_LATE_SECONDS = 15
#: Of each kind of thing that needs a person, the home page names this many.
ROWS = 6


@dataclass(frozen=True, slots=True)
class Card:
    """One figure with its name, what it is measured by, and how it is: ok, warning, danger or plain."""

    title: str
    value: str
    unit: str = ""
    note: str = ""
    tone: str = ""
    link: str = ""
    exact: str = ""


@dataclass(frozen=True, slots=True)
class ClosedForReason:
    """Today's trades that one rule closed; `link` lists them."""

    reason: CloseReason | None
    count: int
    wins: int
    profit_sol: Decimal
    link: str


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the desk, how it is, and the badge's colour."""

    name: str
    state: str
    colour: str


def home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the home page's figures to the template's context."""
    held = marks.worth_by_token()
    money = figures.money(held=held)
    switched = figures.switched()
    desk = next((row for row in switched if row.agent_id is None), None)
    attention = {
        "failures": figures.failures(),
        "stuck": exit_figures.stuck(),
        "unwatchable": exit_figures.unwatchable(held)[:ROWS],
        "dead": exit_figures.dead_tokens(limit=ROWS),
        "unexplained": list(wallets.list_unexplained()[:ROWS]),
        "unready": going_live.list_unready()[:ROWS],
        "switched": [row for row in switched if row.agent_id is not None],
    }
    return {
        **context,
        **attention,
        "title": "Home",
        "needs_me": any(attention.values()),
        "work": exit_figures.work(),
        "exits_off": [row for row in switched if row.exits_off],
        "health": [polling_card(prices.polling()), *health_cards(figures.health(held))],
        "processes": processes(),
        "money": [(TradingMode(row.mode).label, money_cards(row), closed_today(row.mode)) for row in money],
        "sol_usd": _sol_usd(),
        "profit_chart": _profit_chart(money[0].mode),
        "portfolio_chart": _portfolio_chart(money[0].mode),
        "desk": desk,
        "desk_state": State(desk.state) if desk else State.ACTIVE,
        "states": _states(request, desk),
        "may_switch": request.user.has_perm("trading.change_tradingstate"),
    }


def environment(request: HttpRequest) -> list[Any]:
    """The badge in the header: whose money is it? The strip above the page has its colour (soldesk.css)."""
    where = place.here()
    name = where.word.lower().replace(" ", "-")
    markup = '<span class="sd-place" data-place="{}" data-tone="{}" title="{}">{}</span>'
    return [format_html(markup, name, where.tone, where.sentence, where.word), "place"]


def title_prefix(request: HttpRequest) -> str:
    """What the browser's tab begins with."""
    return f"[{place.here().word}]"


def health_cards(health: figures.Health) -> list[Card]:
    """Return the cards that answer "is it healthy"."""
    stale, tokens = health.stale_tokens, _count(health.held_tokens, "token")
    return [
        _lateness(
            "Newest price",
            health.newest_tick_seconds,
            PRICE_LATE_SECONDS,
            note=f"{stale} of {health.held_tokens} held tokens stale" if stale else f"{tokens} held",
            link=_list("prices_tick"),
            bad=bool(stale),
        ),
        _queue(
            "Signals due",
            health.due_signals,
            health.oldest_signal_seconds,
            SIGNAL_LATE_SECONDS,
            "signals_tradingsignal",
        ),
        _queue(
            "Exits due",
            health.open_intents,
            health.oldest_intent_seconds,
            exit_figures.STUCK_SECONDS,
            "trading_exitintent",
        ),
        _queue("Feed waiting", health.outbox_waiting, health.outbox_seconds, FEED_LATE_SECONDS, "core_outboxmessage"),
    ]


def polling_card(polling: Polling | None) -> Card:
    """Return how often held tokens' prices are fetched, from whom, and what that costs of the plan."""
    if polling is None or polling.polled_at is None:
        return Card("Prices every", formatting.UNKNOWN, note="no token is held" if polling else "no poll is known")
    now = timezone.now()
    late = (now - polling.polled_at).total_seconds() - polling.interval_seconds
    oldest = None if polling.oldest_at is None else max(0.0, (now - polling.oldest_at).total_seconds())
    calls = calls_left(polling.source)
    notes = [
        f"not polled for {formatting.duration(late)}" if late > PRICE_LATE_SECONDS else "",
        "no price yet" if oldest is None else f"oldest {oldest:.1f} s",
        f"{polling.source}, {polling.plan}",
        "" if calls is None or calls.left is None else f"{calls.left} of {calls.limit} calls left",
        f"{polling.doubted} in doubt" if polling.doubted else "",
        f"{polling.missing} without a price" if polling.missing else "",
    ]
    tone = "danger" if late > PRICE_LATE_SECONDS else "warning" if polling.missing or polling.doubted else "ok"
    return Card(
        "Prices every",
        f"{polling.interval_seconds:.1f}",
        "s",
        " · ".join(filter(None, notes)),
        tone,
        _list("prices_tick"),
    )


def processes() -> list[Process] | None:
    """Return every process the desk needs and whether it lives; None when there is no sign at all."""
    youngest: dict[str, float] = {}
    for sign in heartbeats.signs():
        youngest[sign.name] = min(sign.age_seconds, youngest.get(sign.name, sign.age_seconds))
    if not youngest:
        return None
    names = [*health.needed_workers(), heartbeats.BEAT, "relay", "streams", "orders", "web"]
    found = [_process(name, youngest.get(name)) for name in [*names, *(sorted(set(youngest) - set(names)))]]
    return [*found, *_signer()]


def _signer() -> list[Process]:
    """The signer beats in no Redis; it is asked."""
    seen = signer_watch.glance()
    if seen is None:
        return []
    if seen.error or seen.value is None:
        return [Process("signer", "does not answer: nothing is traded live", "danger")]
    if not seen.value.keys_loaded:
        locked = seen.value.keys_locked
        return [Process("signer", "all keys locked" if locked else "holds no key", "warning")]
    return [Process("signer", "alive", "success")]


def _process(name: str, age: float | None) -> Process:
    if age is None:
        return Process(name, "not there", "danger")
    if age > heartbeats.GONE_SECONDS:
        return Process(name, f"silent for {formatting.duration(age)}", "danger")
    return Process(name, "alive", "success")


def money_cards(money: figures.Money) -> list[Card]:
    """Return the cards that answer "are we making money"."""
    unpriced = money.unpriced_positions
    trades = reverse("admin:trading_closedtrade_changelist")
    return [
        Card("Portfolio", formatting.sol(money.portfolio_sol), "SOL", f"{formatting.sol(money.cash_sol)} in cash"),
        _gain(
            "Realised today", money.realized_today_sol, f"{_count(money.trades_today, 'trade')} since 00:00 UTC", trades
        ),
        _gain("Realised, 7 days", money.realized_days_sol, _count(money.trades_days, "trade"), trades),
        _gain(
            "Unrealised",
            money.unrealized_sol,
            f"{_count(money.open_positions, 'position')}" + (f", {unpriced} without a price" if unpriced else ""),
            _list("trading_position"),
        ),
        Card(
            "Win rate, 7 days",
            formatting.percent(money.win_rate_percent, signed=False),
            note=f"{money.wins_days} of {money.trades_days} trades gained",
            link=trades,
        ),
    ]


def closed_today(mode: str) -> list[ClosedForReason]:
    """Return today's closed trades of a mode by what closed them, the most frequent first."""
    now = timezone.now()
    day = f"sale_time__year={now.year}&sale_time__month={now.month}&sale_time__day={now.day}"
    trades = f"{reverse('admin:trading_closedtrade_changelist')}?{day}"
    return [
        ClosedForReason(
            reason=CloseReason(row.reason) if row.reason else None,
            count=row.count,
            wins=row.wins,
            profit_sol=row.profit_sol,
            link=f"{trades}&close_reason__exact={row.reason}",
        )
        for row in exit_figures.closed_today(mode=mode)
    ]


def _lateness(title: str, seconds: float | None, limit: float, *, note: str, link: str, bad: bool = False) -> Card:
    if seconds is None:
        return Card(title, formatting.UNKNOWN, note="nothing yet", tone="warning", link=link)
    tone = "danger" if seconds > 6 * limit else "warning" if bad or seconds > limit else "ok"
    return Card(title, formatting.duration(seconds), note=note, tone=tone, link=link)


def _queue(title: str, count: int, oldest: float | None, limit: float, model: str) -> Card:
    late = oldest is not None and oldest > limit
    tone = "danger" if oldest is not None and oldest > 4 * limit else "warning" if late else "ok"
    note = "nothing waits" if not count else f"oldest {formatting.duration(oldest)}"
    return Card(title, formatting.count(count), note=note, tone=tone, link=_list(model))


def _gain(title: str, value: Any, note: str, link: str) -> Card:
    tone = "gain" if value > 0 else "loss" if value < 0 else ""
    return Card(title, formatting.sol(value, signed=True), "SOL", note, tone, link, formatting.exact(value))


def _sol_usd() -> dict[str, Any] | None:
    price = prices.sol_usd()
    return (
        None
        if price is None
        else {"text": formatting.usd(price.value), "source": price.source, "stale": price.is_stale}
    )


def _states(request: HttpRequest, desk: figures.Switched | None) -> list[dict[str, Any]]:
    """The three buttons of the desk's switch, each a dialog with its state filled in."""
    url = reverse("admin:trading_tradingstate_switch_desk")
    present = desk.state if desk else State.ACTIVE
    return [
        {
            "label": str(state.label).partition(":")[0],
            "value": state.value,
            "colour": state.colour,
            "pressed": state.value == present,
            "url": f"{url}?state={state.value}",
        }
        for state in State
    ]


def _profit_chart(mode: str) -> str | None:
    days = figures.profit_by_day(mode)
    if not any(profit for _, profit in days):
        return None
    colours = ["var(--color-red-500)" if profit < 0 else "var(--color-green-500)" for _, profit in days]
    return json.dumps(
        {
            "labels": [f"{day:%a %d}" for day, _ in days],
            "datasets": [
                {
                    "label": "Realised, SOL",
                    "data": [float(profit) for _, profit in days],
                    "backgroundColor": colours,
                    "borderRadius": 4,
                    "maxBarThickness": 28,
                    "displayYAxis": True,
                }
            ],
        }
    )


def _portfolio_chart(mode: str) -> str | None:
    hours = figures.portfolio_by_hour(mode)
    if len(hours) < 2:
        return None
    return json.dumps(
        {
            "labels": [f"{hour:%d %b %H:00}" for hour, _ in hours],
            "datasets": [
                {
                    "label": "Portfolio, SOL",
                    "data": [float(value) for _, value in hours],
                    "borderColor": "var(--color-primary-500)",
                    "displayYAxis": True,
                    "maxTicksXLimit": 6,
                }
            ],
        }
    )


def _list(model: str) -> str:
    return reverse(f"admin:{model}_changelist")


def _count(number: int, thing: str) -> str:
    return f"{formatting.count(number)} {thing}{'' if number == 1 else 's'}"

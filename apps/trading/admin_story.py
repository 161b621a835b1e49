"""A position's story on its admin page: what its rules hold now as figures, then what happened, oldest first."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.core import formatting
from apps.core.adminkit import cells
from apps.trading.domain import story_codes
from apps.trading.domain.exit_plan import DcaPlan, ExitPlan, TakeProfitPlan
from apps.trading.domain.story import StoryEvent
from apps.trading.models import Position
from apps.trading.selectors import exit_plans, story

Figure = tuple[str, SafeString]


def story_of(position: Position) -> SafeString:
    """Return the figures of an open position's plan over its timeline."""
    plan = exit_plans.of_position(position)
    figures = SafeString("") if plan is None else _figures(_plan(position, plan))
    items = format_html_join("", "{}", ((_item(event),) for event in story.of_position(position)))
    return format_html('{}<ol class="sd-story">{}</ol>', figures, items)


def _figures(figures: Iterable[Figure]) -> SafeString:
    shown = format_html_join("", "<div><dt>{}</dt><dd>{}</dd></div>", figures)
    return format_html('<dl class="sd-plan">{}</dl>', shown)


def _plan(position: Position, plan: ExitPlan) -> list[Figure]:
    ladder, adding = plan.take_profit, plan.dca
    return [
        ("Average", cells.price(position.purchase_price)),
        ("Peak", cells.price(position.peak_price_sol)),
        (f"Stop ({plan.stop_mode})", _stop(position) if plan.stop_enabled else cells.label("off")),
        (f"Take profit ({ladder.mode})", _ladder(ladder)),
        ("Moon bag", _moon_bag(ladder)),
        (f"DCA ({adding.mode})", _dca(adding)),
        ("Stale close", _stale(plan)),
    ]


def _stop(position: Position) -> SafeString:
    if position.stop_price_sol is None:
        return cells.DASH
    return cells.stacked(cells.price(position.stop_price_sol), cells.percent(position.stop_percent, toned=True))


def _ladder(plan: TakeProfitPlan) -> SafeString:
    if not plan.enabled:
        return cells.label("off")
    progress = format_html("{} of {} levels", plan.levels_hit, len(plan.levels))
    return progress if plan.next_price_sol is None else cells.stacked(progress, _next(plan.next_price_sol))


def _next(price: Decimal) -> SafeString:
    return format_html("<span>next at {}</span>", cells.price(price))


def _moon_bag(plan: TakeProfitPlan) -> SafeString:
    if not plan.moon_bag_active and not (plan.enabled and plan.moon_bag_enabled):
        return cells.label("off")
    when = "set aside" if plan.moon_bag_active else f"from {formatting.percent(plan.moon_bag_trigger_percent)} on"
    return cells.stacked(cells.amount(plan.moon_bag_tokens), format_html("<span>{}</span>", when))


def _dca(plan: DcaPlan) -> SafeString:
    if not plan.enabled:
        return cells.label("off")
    progress = format_html("{} of {} buys", plan.count, plan.maximum)
    if plan.next_price_sol is not None:
        return cells.stacked(progress, _next(plan.next_price_sol))
    return cells.stacked(progress, format_html("<span>{}</span>", story_codes.cancellation(plan.code)))


def _stale(plan: ExitPlan) -> SafeString:
    if not plan.stale.enabled:
        return cells.label("off")
    low, high = (formatting.percent(p) for p in (plan.stale.min_profit_percent, plan.stale.max_profit_percent))
    return cells.stacked(
        cells.when(plan.stale.from_at), format_html("<span>from then on at {} to {}</span>", low, high)
    )


def _item(event: StoryEvent) -> SafeString:
    return format_html(
        '<li class="sd-story-{}"><div>{}</div><div><p><strong>{}</strong></p><p>{}</p>{}</div></li>',
        event.colour,
        cells.when(event.at),
        event.title,
        event.text,
        _source(event),
    )


def _source(event: StoryEvent) -> SafeString:
    """Who told the price that decided, how old it was, and the rows behind the event."""
    parts: list[SafeString] = []
    if event.price_sol is not None:
        parts.append(cells.price(event.price_sol))
    if event.price_source is not None:
        parts.append(format_html("<span>{}</span>", _told_by(event)))
    if event.transaction_id is not None:
        parts.append(_row("wallets_transaction", event.transaction_id, "transaction"))
    if event.intent_id is not None:
        parts.append(_row("trading_exitintent", event.intent_id, f"intent #{event.intent_id}"))
    if not parts:
        return SafeString("")
    return format_html('<p class="sd-story-source">{}</p>', format_html_join("", "{}", ((part,) for part in parts)))


def _told_by(event: StoryEvent) -> str:
    if event.price_source == "fill":
        return "price of the trade"
    if event.price_age_seconds is None:
        return str(event.price_source)
    return f"{event.price_source}, {formatting.exact(event.price_age_seconds.quantize(Decimal('0.1')))} s old"


def _row(page: str, key: object, text: str) -> SafeString:
    return format_html('<a class="sd-link" href="{}">{}</a>', reverse(f"admin:{page}_change", args=[key]), text)

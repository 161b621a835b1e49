"""Shapes of a position's story: what happened, in words and in figures, and what its rules still hold."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.api.fields import Flag, Identifier, Moment, Num, WholeNumber
from apps.core.api.shapes import Query, Shape
from apps.trading.domain.story import StoryKind
from apps.trading.models import CloseReason


class StoryQuery(Query):
    folded = Flag(
        required=False,
        default=True,
        help_text="false: every rise of the stop and every vain attempt by itself, not runs of them as one event.",
    )


class Reason(serializers.ChoiceField):
    """A close reason; null while the position is open."""

    def to_representation(self, value: Any) -> Any:
        return str(value) or None


class Facts(serializers.DictField):
    """Exact figures as text, by name."""

    def to_representation(self, value: Any) -> dict[str, str]:
        return dict(value)


class StoryEventShape(Shape):
    """One decision and what came of it. `id` stays while it ripens: fired, failing, sold."""

    id = serializers.CharField()
    at = Moment()
    kind = serializers.ChoiceField(choices=[(kind.value, kind.value) for kind in StoryKind])
    title = serializers.CharField()
    text = serializers.CharField(help_text="The whole of it in a sentence; times in it are UTC.")
    price_sol = Num(allow_null=True, help_text="The price that decided.")
    price_source = serializers.CharField(
        allow_null=True, help_text="Who told it: a price source, or `fill` for the price of the trade itself."
    )
    price_age_seconds = Num(allow_null=True, help_text="How old it was when it decided.")
    rule = serializers.CharField(
        allow_null=True,
        help_text="signal, manual, stop_loss, take_profit, dca, stale_trade, write_off or reset.",
    )
    facts = Facts(child=serializers.CharField(), help_text="Every figure exactly, as text.")
    transaction_id = Identifier(allow_null=True)
    intent_id = WholeNumber(allow_null=True)
    count = WholeNumber(help_text="How many like it in a row it stands for.")
    first_at = Moment(allow_null=True, help_text="When the first of them was, if there were more than one.")


class StoryPositionShape(Shape):
    """The books of a position as they stand."""

    id = Identifier()
    agent_id = Identifier()
    wallet_address = serializers.CharField(source="wallet.address")
    token_address = serializers.CharField(source="mint")
    token_symbol = serializers.CharField(source="symbol")
    opened_at = Moment()
    closed_at = Moment(allow_null=True)
    close_reason = Reason(choices=CloseReason.choices, allow_null=True)
    average_price_sol = Num(
        source="purchase_price", help_text="Trigger average: all SOL invested by all tokens bought."
    )
    bought_tokens = Num(source="purchase_amount")
    remaining_tokens = Num(source="remaining_amount")
    invested_sol = Num(source="total_invested_sol")
    remaining_cost_sol = Num()
    proceeds_sol = Num()
    realized_profit_sol = Num()
    peak_price_sol = Num()
    lowest_price_sol = Num(allow_null=True)
    stop_percent = Num(allow_null=True)
    stop_price_sol = Num(allow_null=True)
    stop_updated_at = Moment(allow_null=True)
    dca_count = WholeNumber()
    last_dca_at = Moment(allow_null=True)
    take_profit_levels_hit = WholeNumber()
    last_take_profit_at = Moment(allow_null=True)
    moon_bag_tokens = Num(source="moon_bag_amount", allow_null=True)


class StopPlanShape(Shape):
    enabled = Flag(source="stop_enabled")
    mode = serializers.CharField(source="stop_mode")
    default_percent = Num(source="stop_default_percent")


class RungShape(Shape):
    number = WholeNumber()
    target_percent = Num()
    sell_percent = Num(help_text="Of all tokens ever bought.")
    price_sol = Num()
    tokens = Num()
    hit = Flag()


class TakeProfitPlanShape(Shape):
    enabled = Flag()
    mode = serializers.CharField()
    levels = RungShape(many=True)
    levels_hit = WholeNumber(help_text="Of these levels.")
    earlier_levels = WholeNumber(help_text="Levels sold before the last DCA started the list over.")
    next_price_sol = Num(allow_null=True)


class MoonBagPlanShape(Shape):
    enabled = Flag(source="moon_bag_enabled")
    active = Flag(source="moon_bag_active")
    trigger_percent = Num(source="moon_bag_trigger_percent")
    tokens = Num(source="moon_bag_tokens", help_text="Set aside, or what would be.")


class DcaPlanShape(Shape):
    enabled = Flag()
    mode = serializers.CharField()
    count = WholeNumber()
    maximum = WholeNumber()
    next_drop_percent = Num(allow_null=True)
    next_buy_percent = Num(allow_null=True, help_text="Of the position's value then.")
    next_price_sol = Num(allow_null=True)
    ready_at = Moment(allow_null=True, help_text="When the cooldown of the last one ends.")
    code = serializers.CharField(
        allow_blank=True, help_text="Why there will be none, e.g. max_count; empty if one may."
    )


class StalePlanShape(Shape):
    enabled = Flag()
    from_at = Moment()
    min_profit_percent = Num()
    max_profit_percent = Num()


class ExitPlanShape(Shape):
    """What the agent's rules, as they are now, hold for the position."""

    stop_loss = StopPlanShape(source="*")
    take_profit = TakeProfitPlanShape()
    moon_bag = MoonBagPlanShape(source="take_profit")
    dca = DcaPlanShape()
    stale_trade = StalePlanShape(source="stale")


class StoryShape(Shape):
    """A position, its plan (null once closed) and its story, oldest first."""

    position = StoryPositionShape()
    plan = ExitPlanShape(allow_null=True)
    events = StoryEventShape(many=True)

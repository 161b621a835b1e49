"""Shapes of the routes of trading."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.api.fields import (
    Anything,
    Choice,
    Exact,
    Flag,
    Identifier,
    Moment,
    Num,
    OptionalText,
    StrDecimal,
    Text,
    WholeNumber,
)
from apps.core.api.shapes import Body, Query, Shape
from apps.core.money import quantize_percent, quantize_sol
from apps.trading.models import CloseReason, State

TIMEFRAMES = ("24h", "all")


class FillShape(Shape):
    id = Identifier()
    hash = serializers.CharField(source="transaction_hash", allow_null=True)
    time = Moment(source="transaction_time")


class PurchaseShape(Shape):
    price_native = Num(source="position.purchase_price")
    price_usd = Num(source="purchase_price_usd", allow_null=True)
    amount = Num(source="position.purchase_amount")
    transaction = FillShape(source="position.purchase_transaction")


class CurrentShape(Shape):
    price_native = Num(source="worth.price_sol")
    price_usd = Num(source="current_price_usd", allow_null=True)
    value_native = Num(source="value_sol")
    value_usd = Num(allow_null=True)


class ProfitShape(Shape):
    native = Num(source="profit_sol")
    usd = Num(source="profit_usd", allow_null=True)
    percent = Num(source="profit_percent")
    price_change_percent = Num()


class StopLossShape(Shape):
    percentage = Num(source="position.stop_percent", allow_null=True)
    peak_price = Num(source="position.peak_price_sol")


class TakeProfitShape(Shape):
    levels_hit = WholeNumber(source="position.take_profit_levels_hit")
    total_levels = WholeNumber(source="position.take_profit_total_levels", allow_null=True)
    tp_batch_start_level = WholeNumber(source="position.take_profit_start_level")
    remaining_amount = Num(source="position.remaining_amount")
    original_amount = Num(source="position.purchase_amount")
    sold_percent = Num()
    moon_bag_activated = Flag(source="position.moon_bag_activated")
    moon_bag_amount = Num(source="position.moon_bag_amount", allow_null=True)
    last_take_profit_time = Moment(source="position.last_take_profit_at", allow_null=True)
    transaction_ids = serializers.ListField(child=Identifier(), source="take_profit_transaction_ids")


class DcaShape(Shape):
    count = WholeNumber(source="position.dca_count")
    total_invested_sol = Num(source="position.total_invested_sol")
    last_dca_time = Moment(source="position.last_dca_at", allow_null=True)


class PositionShape(Shape):
    """An open position and what it is worth; profit is value minus remaining cost, plus what was realised."""

    id = Identifier(source="position.id")
    agent_id = Identifier(source="position.agent_id")
    wallet_address = serializers.CharField(source="position.wallet.address")
    token_address = serializers.CharField(source="position.mint")
    token_symbol = serializers.CharField(source="position.symbol")
    purchase = PurchaseShape(source="*")
    current = CurrentShape(source="*")
    profit_loss = ProfitShape(source="*")
    stop_loss = StopLossShape(source="*")
    take_profit = TakeProfitShape(source="*")
    dca = DcaShape(source="*")
    created_at = Moment(source="position.created_at")
    updated_at = Moment(source="position.updated_at")


class HitPositionShape(Shape):
    id = Identifier(source="position.id")
    token_symbol = serializers.CharField(source="position.symbol")
    levels_hit = WholeNumber(source="position.take_profit_levels_hit")
    remaining_percent = Num()
    moon_bag_activated = Flag(source="position.moon_bag_activated")
    last_take_profit_time = Moment(source="position.last_take_profit_at", allow_null=True)


class TakeProfitSummaryShape(Shape):
    total_positions = WholeNumber()
    positions_with_take_profit_hit = WholeNumber()
    active_moon_bags = WholeNumber()
    total_levels_hit = WholeNumber()
    positions = HitPositionShape(many=True, required=False)


class PositionQuery(Query):
    wallet_address = Text(required=False)


class CloseBody(Body):
    reason = Choice(choices=[CloseReason.MANUAL.value, CloseReason.STOP_LOSS.value], required=False)


class CloseShape(Shape):
    """A position as it was sold."""

    transaction_id = Identifier()
    historical_swap_id = Identifier()
    position_id = Identifier()
    input_amount = Num()
    output_amount = Num()
    sale_price = Num()
    profit_loss_sol = Num()
    profit_loss_usd = Num(allow_null=True)
    change_percent = Num()
    transaction_hash = serializers.CharField(allow_null=True)


class SoldShape(CloseShape):
    success = Flag()


class ClosePendingShape(Shape):
    """A sale that takes longer; it is under way and will be finished."""

    success = Flag()
    code = serializers.ChoiceField(choices=["CLOSE_PENDING"])
    message = serializers.CharField()
    order_id = WholeNumber(source="intent_id", help_text="The sale that is under way: the position's story names it.")
    intent_id = WholeNumber(help_text="The same.")

    @classmethod
    def present(cls, row: Any) -> dict[str, Any]:
        """Present the error that says it takes longer."""
        return {
            "success": True,
            "code": row.code,
            "message": row.message,
            "orderId": row.intent_id,
            "intentId": row.intent_id,
        }


class BuyPendingShape(Shape):
    """A live buy that takes longer; its order is under way and will come to an end."""

    success = Flag()
    code = serializers.ChoiceField(choices=["BUY_PENDING"])
    message = serializers.CharField()
    order_id = Identifier(help_text="The order that is under way.")

    @classmethod
    def present(cls, row: Any) -> dict[str, Any]:
        """Present the error that says it takes longer."""
        return {"success": True, "code": row.code, "message": row.message, "orderId": str(row.order_id)}


class BuyBody(Body):
    agent_id = Identifier()
    token_address = Text(max_length=255)
    wallet_address = OptionalText(max_length=64)
    token_symbol = OptionalText(max_length=50)
    signal_id = WholeNumber(low=0, required=False, allow_null=True)
    position_size = Exact(above=0, required=False, allow_null=True)


class BuyShape(Shape):
    """A buy by hand."""

    transaction_id = Identifier()
    position_id = Identifier(allow_null=True)
    input_amount = Num()
    output_amount = Num()
    purchase_price = Num()
    transaction_hash = serializers.CharField(allow_null=True)
    stop_loss_initialized = Flag()


class BoughtShape(BuyShape):
    success = Flag()
    stop_loss_percentage = Num(required=False, help_text="Where the stop stands; absent without one.")
    signal_id = WholeNumber(required=False, help_text="The signal the buy was attributed to.")


class TradingStateQuery(Query):
    agent_id = Identifier(required=False)


@extend_schema_field({"type": "string", "enum": [*State.values, *(each.upper() for each in State.values)]})
class StateWord(Text):
    """A trading state, in small letters or capitals."""


class TradingStateBody(Body):
    state = StateWord(max_length=20)
    exits_enabled = Flag(required=False, default=True)
    reason = Text(required=False, allow_blank=True, default="", max_length=200)
    agent_id = Identifier(required=False, allow_null=True)


class TradingStateShape(Shape):
    """What trading may do; `exitsEnabled` counts while halted."""

    state = serializers.ChoiceField(choices=State.choices)
    exits_enabled = Flag()
    reason = serializers.CharField(allow_blank=True)


class PerformanceQuery(Query):
    timeframe = Choice(choices=TIMEFRAMES, required=False, default="all")
    wallet_address = Text(required=False)


class Sol(Num):
    """SOL to the lamport."""

    def to_representation(self, value: Any) -> Any:
        return quantize_sol(value)


class Percent(Num):
    """Percent to 8 places."""

    def to_representation(self, value: Any) -> Any:
        return quantize_percent(value)


class PerformanceShape(Shape):
    """The figures of an agent."""

    portfolio_balance_sol = Sol(source="portfolio_sol")
    total_profit_loss_sol = Sol(source="total_profit_sol")
    realized_profit_loss_sol = Sol(source="realised_profit_sol")
    unrealized_profit_loss_sol = Sol(source="unrealised_profit_sol")
    average_return = Percent(source="average_return_percent")
    win_rate = Percent(source="win_rate_percent")
    total_closed_trades = WholeNumber(source="closed_trades")
    total_open_positions = WholeNumber(source="open_positions")


class HistoryQuery(Query):
    wallet_address = Text()
    timeframe = Choice(choices=TIMEFRAMES, required=False, default="all")


class SnapshotShape(Shape):
    wire_names: ClassVar = {"unrealized_profit": "unrealizedPnLSol"}

    timestamp = Moment(source="hour")
    portfolio_balance_sol = StrDecimal(source="portfolio_sol")
    sol_balance = StrDecimal()
    positions_value_sol = StrDecimal()
    unrealized_profit = StrDecimal(source="unrealized_profit_sol")
    estimated = Flag(help_text="A token without a fresh price was valued at its last one.")


class HistoryShape(Shape):
    agent_id = Identifier()
    timeframe = serializers.ChoiceField(choices=TIMEFRAMES)
    snapshots = SnapshotShape(many=True)


@extend_schema_field({"type": "boolean", "const": True})
class Confirmation(Anything):
    """Only `true` confirms; whatever else came is for the view to refuse in its own words."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_null=True, help_text="true, or nothing happens.", **options)


class ResetBody(Body):
    confirm = Confirmation(required=False)


class DeletedShape(Shape):
    positions = WholeNumber()
    historical_swaps = WholeNumber()
    balances = WholeNumber()
    transactions = WholeNumber()
    balance_snapshots = WholeNumber()


class ResetShape(Shape):
    """A wallet that begins anew."""

    success = Flag()
    message = serializers.CharField()
    wallet_address = serializers.CharField()
    deleted = DeletedShape()
    duration = WholeNumber(help_text="Milliseconds.")

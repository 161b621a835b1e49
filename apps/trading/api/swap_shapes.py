"""Shapes of the routes of closed trades ("historical swaps")."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.api.fields import (
    Choice,
    Exact,
    Identifier,
    LastMoment,
    Mint,
    Moment,
    OptionalText,
    StrDecimal,
    Text,
    WholeNumber,
)
from apps.core.api.shapes import Body, Query, Shape
from apps.trading import presentation
from apps.trading.models import ClosedTrade, CloseReason
from apps.wallets.api.transaction_shapes import SignalNumber

#: What a person may give as a reason; the engine also writes take_profit and write_off.
HAND_REASONS = [CloseReason.MANUAL.value, CloseReason.STOP_LOSS.value, CloseReason.STALE_TRADE.value]


class SwapQuery(Query):
    agent_id = Identifier()
    wallet_address = Text(required=False)
    token_address = Text(required=False)
    token_symbol = Text(required=False)
    start_purchase_time = Moment(required=False)
    end_purchase_time = LastMoment(required=False)
    start_sale_time = Moment(required=False)
    end_sale_time = LastMoment(required=False)
    signal_id = WholeNumber(required=False)
    purchase_transaction_id = Identifier(required=False)
    sale_transaction_id = Identifier(required=False)
    min_profit_loss_usd = Exact(required=False)
    max_profit_loss_usd = Exact(required=False)


class SwapExportQuery(SwapQuery):
    timezone = Text(required=False, help_text="IANA name; UTC without one, or for one nobody knows.")
    currency = Text(required=False, help_text="`SOL`; anything else is US dollars.")
    sol_price = Exact(above=0, required=False, help_text="US dollars per SOL that prices are shown at; default 100.")


class SwapChangesBody(Body):
    """What is left out stays; ids and the reason may be null."""

    token_address = Mint(required=False)
    token_symbol = Text(max_length=20, required=False)
    amount = Exact(low=0, places=18, required=False)
    purchase_price = Exact(above=0, digits=16, places=24, required=False)
    sale_price = Exact(above=0, digits=16, places=24, required=False)
    change_percent = Exact(digits=12, required=False)
    profit_loss_usd = Exact(required=False)
    profit_loss_sol = Exact(required=False)
    purchase_time = Moment(required=False)
    sale_time = Moment(required=False)
    purchase_transaction_id = Identifier(required=False, allow_null=True)
    sale_transaction_id = Identifier(required=False, allow_null=True)
    signal_id = SignalNumber(required=False, allow_null=True)
    close_reason = Choice(choices=HAND_REASONS, required=False, allow_null=True)


class NewSwapBody(SwapChangesBody):
    """A trade that ended; figures are taken as they are given."""

    agent_id = Identifier()
    wallet_address = OptionalText(max_length=64)
    token_address = Mint()
    token_symbol = Text(max_length=20)
    amount = Exact(low=0, places=18)
    purchase_price = Exact(above=0, digits=16, places=24)
    sale_price = Exact(above=0, digits=16, places=24)
    change_percent = Exact(digits=12)
    profit_loss_usd = Exact()
    profit_loss_sol = Exact()
    purchase_time = Moment()
    sale_time = Moment()


class SwapShape(Shape):
    """A closed trade."""

    id = Identifier()
    agent_id = Identifier()
    wallet_address = serializers.CharField(allow_null=True)
    token_address = serializers.CharField()
    token_symbol = serializers.CharField()
    amount = StrDecimal()
    purchase_price = StrDecimal()
    sale_price = StrDecimal()
    change_percent = StrDecimal()
    profit_loss_usd = StrDecimal(allow_null=True)
    profit_loss_sol = StrDecimal()
    purchase_time = Moment()
    sale_time = Moment()
    purchase_transaction_id = Identifier(allow_null=True)
    sale_transaction_id = Identifier(allow_null=True)
    signal_id = serializers.CharField(allow_null=True)
    close_reason = serializers.ChoiceField(choices=CloseReason.choices, allow_null=True)
    created_at = Moment()

    @classmethod
    def present(cls, row: ClosedTrade) -> dict[str, Any]:
        """Present a closed trade as the feed does."""
        return presentation.closed_trade(row, None if row.wallet is None else row.wallet.address)

    @classmethod
    def columns(cls) -> list[str]:
        return [field.attname for field in ClosedTrade._meta.concrete_fields] + ["wallet__address"]

    @classmethod
    def present_columns(cls, values: Any) -> dict[str, Any]:
        return presentation.closed_trade(values, values.wallet__address)

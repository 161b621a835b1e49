"""Shapes of the routes of wallets, balances and transactions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from apps.core.api.fields import (
    Anything,
    Choice,
    Exact,
    Flag,
    Identifier,
    LastMoment,
    Mint,
    Moment,
    Num,
    OptionalText,
    StrDecimal,
    Text,
    WholeNumber,
)
from apps.core.api.shapes import Body, Query, Shape
from apps.core.money import SOL_MINT
from apps.prices.domain.points import PricePoint
from apps.wallets.models import Balance, TransactionType

TYPES = [kind.upper() for kind in TransactionType.values]


class WalletShape(Shape):
    """A wallet of an agent."""

    wallet_address = serializers.CharField(source="address")
    wallet_type = serializers.CharField()
    created_at = Moment()
    updated_at = Moment()


class AgentWalletShape(WalletShape):
    is_available = Flag(help_text="A live wallet is available while its key is loaded.")


class FreeWalletShape(Shape):
    wallet_address = serializers.CharField()
    is_assigned = Flag()


class WalletsShape(Shape):
    """The wallets of an agent, and those an operator could give it."""

    agent_wallets = AgentWalletShape(many=True)
    available_wallets = FreeWalletShape(many=True)


class BalanceQuery(Query):
    agent_id = Identifier()
    wallet_address = Text(required=False)


class NewBalanceBody(Body):
    agent_id = Identifier()
    wallet_address = OptionalText(max_length=64)
    token_address = Mint()
    token_symbol = Text(max_length=20)
    balance = Exact(low=0, places=18)


class BalanceChangesBody(Body):
    at_least_one = True
    balance = Exact(low=0, places=18, required=False)
    token_symbol = Text(max_length=20, required=False)


class BalanceShape(Shape):
    """What a wallet holds of a token, in whole tokens."""

    id = Identifier()
    agent_id = Identifier(source="wallet.agent_id")
    wallet_address = serializers.CharField(source="wallet.address")
    token_address = serializers.CharField(source="mint")
    token_symbol = serializers.CharField(source="symbol")
    balance = StrDecimal(source="amount")
    last_updated = Moment(source="updated_at")


class PricedBalanceShape(BalanceShape):
    price_sol = Num(required=False, help_text="SOL per whole token; absent while unknown.")

    @classmethod
    def priced(cls, row: Balance, prices: dict[str, PricePoint]) -> dict[str, Any]:
        """Present a balance with its price, where one is known."""
        shown = BalanceShape.present(row)
        price = Decimal(1) if row.mint == SOL_MINT else None
        if row.mint in prices and price is None:
            price = prices[row.mint].price_sol
        return shown if price is None else {**shown, "priceSol": price}


class NewTransactionBody(Body):
    agent_id = Identifier()
    transaction_type = Choice(choices=TYPES)
    transaction_value_usd = Exact(low=0)
    transaction_time = Moment()
    wallet_address = OptionalText(max_length=64)
    destination_address = OptionalText(max_length=255)
    signal_id = WholeNumber(low=1, required=False, allow_null=True)
    input_mint = Mint(required=False)
    input_symbol = Text(max_length=20, required=False)
    input_amount = Exact(above=0, places=18, required=False)
    input_price = Exact(low=0, digits=16, required=False, allow_null=True)
    # What a swap carries besides; read so that a wrong value is named, not kept for a deposit.
    fees = Exact(low=0, required=False, allow_null=True)
    output_mint = OptionalText(max_length=255)
    output_symbol = OptionalText(max_length=20)
    output_amount = Exact(low=0, required=False, allow_null=True)
    output_price = Exact(low=0, digits=16, required=False, allow_null=True)
    slippage = Exact(digits=12, required=False, allow_null=True)
    price_impact = Exact(digits=12, required=False, allow_null=True)
    is_dca = Flag(required=False)


class TransactionQuery(Query):
    agent_id = Identifier()
    wallet_address = Text(required=False)
    transaction_type = Choice(choices=TYPES, required=False)
    start_time = Moment(required=False)
    end_time = LastMoment(required=False)
    signal_id = WholeNumber(required=False)
    is_dca = Text(required=False)
    is_take_profit = Text(required=False)


class Capitals(serializers.ChoiceField):
    """A word the wire writes in capitals."""

    def to_representation(self, value: str) -> str:
        return value.upper()


class TransactionShape(Shape):
    """One movement of a wallet."""

    id = Identifier()
    agent_id = Identifier()
    wallet_address = serializers.CharField(source="wallet.address", allow_null=True)
    transaction_type = Capitals(choices=TYPES)
    transaction_value_usd = StrDecimal(source="value_usd", allow_null=True)
    transaction_time = Moment()
    destination_address = serializers.CharField(allow_null=True)
    signal_id = WholeNumber(allow_null=True)
    fees = StrDecimal(source="fees_sol", allow_null=True)
    routes = Anything(allow_null=True)
    input_mint = serializers.CharField(allow_null=True)
    input_symbol = serializers.CharField(allow_null=True)
    input_amount = StrDecimal(allow_null=True)
    input_price = StrDecimal(allow_null=True)
    output_mint = serializers.CharField(allow_null=True)
    output_symbol = serializers.CharField(allow_null=True)
    output_amount = StrDecimal(allow_null=True)
    output_price = StrDecimal(allow_null=True)
    slippage = StrDecimal(source="slippage_percent", allow_null=True)
    price_impact = StrDecimal(allow_null=True)
    is_dca = Flag()
    is_take_profit = Flag()
    transaction_hash = serializers.CharField(allow_null=True)
    protocol_fee_sol = StrDecimal(allow_null=True)
    network_fee_sol = StrDecimal(allow_null=True)
    created_at = Moment()
    updated_at = Moment()

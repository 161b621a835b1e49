"""Shapes of the routes of balances; those of wallets are in `wallet_shapes`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from apps.core.api.fields import (
    Exact,
    Identifier,
    Mint,
    Moment,
    Num,
    OptionalText,
    StrDecimal,
    Text,
)
from apps.core.api.shapes import Body, Query, Shape
from apps.core.money import SOL_MINT
from apps.prices.domain.points import PricePoint
from apps.wallets.models import Balance


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


class PlainDecimal(StrDecimal):
    """Decimal text without an exponent, however small: clients send it back as they got it."""

    def to_representation(self, value: Decimal) -> str:
        return format(value.normalize(), "f") if value else "0"


class BalanceShape(Shape):
    """What a wallet holds of a token, in whole tokens."""

    id = Identifier()
    agent_id = Identifier(source="wallet.agent_id")
    wallet_address = serializers.CharField(source="wallet.address")
    token_address = serializers.CharField(source="mint")
    token_symbol = serializers.CharField(source="symbol")
    balance = PlainDecimal(source="total")
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

"""Shapes of the routes of transactions."""

from __future__ import annotations

import json
import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.api import wire
from apps.core.api.fields import (
    Anything,
    Choice,
    Exact,
    Flag,
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
from apps.wallets.models import TransactionType

TYPES = [kind.upper() for kind in TransactionType.values]
_DIGITS = re.compile(r"\s*[+-]?\d{1,19}\s*")
# An escaped zero character, which PostgreSQL's JSON cannot hold; after a backslash that is escaped itself it is none.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class OptionalMint(Mint):
    """A Solana address that may be null or blank; blank is null."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, "allow_blank": True, **options})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return super().run_validation(data) or None


@extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d{1,19}$"}]})
class SignalNumber(WholeNumber):
    """A signal's number, sent as a number or as its digits."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str) and _DIGITS.fullmatch(data):
            data = int(data)
        return super().to_internal_value(data)


@extend_schema_field({"type": ["object", "array", "string", "number", "boolean"]})
class StoredJson(Anything):
    """Any JSON value that PostgreSQL can keep."""

    default_error_messages = {"invalid": "must be JSON without zero characters"}

    def to_internal_value(self, data: Any) -> Any:
        text = wire.encode(data).decode()
        if _NUL.search(text):
            self.fail("invalid")
        return json.loads(text)


class TransactionChangesBody(Body):
    """What is left out stays. A row stays with its agent and wallet."""

    agent_id = Identifier(required=False)
    transaction_type = Choice(choices=TYPES, required=False)
    transaction_value_usd = Exact(low=0, required=False)
    transaction_time = Moment(required=False)
    wallet_address = OptionalText(max_length=64)
    destination_address = OptionalText(max_length=255)
    signal_id = SignalNumber(required=False, allow_null=True)
    fees = Exact(low=0, required=False, allow_null=True, help_text="SOL; told, not booked.")
    routes = StoredJson(required=False, allow_null=True)
    input_mint = Mint(required=False)
    input_symbol = Text(max_length=20, required=False)
    input_amount = Exact(above=0, places=18, required=False)
    input_price = Exact(low=0, digits=16, required=False, allow_null=True)
    output_mint = OptionalMint()
    output_symbol = OptionalText(max_length=20)
    output_amount = Exact(low=0, places=18, required=False, allow_null=True)
    output_price = Exact(low=0, digits=16, required=False, allow_null=True)
    slippage = Exact(digits=12, required=False, allow_null=True)
    price_impact = Exact(digits=12, required=False, allow_null=True)
    is_dca = Flag(required=False)


class NewTransactionBody(TransactionChangesBody):
    """A deposit, swap or burn. Each needs its input side, a swap its output side too."""

    agent_id = Identifier()
    transaction_type = Choice(choices=TYPES)
    transaction_value_usd = Exact(low=0)
    transaction_time = Moment()


class TransactionQuery(Query):
    agent_id = Identifier()
    wallet_address = Text(required=False)
    transaction_type = Choice(choices=TYPES, required=False)
    start_time = Moment(required=False)
    end_time = LastMoment(required=False)
    signal_id = WholeNumber(required=False)
    is_dca = Text(required=False, help_text="`true`; anything else is false.")
    is_take_profit = Text(required=False, help_text="`true`; anything else is false.")


class TransactionExportQuery(TransactionQuery):
    timezone = Text(required=False, help_text="IANA name; UTC without one, or for one nobody knows.")


class Capitals(serializers.ChoiceField):
    """A word the wire writes in capitals."""

    def to_representation(self, value: str) -> str:
        return value.upper()


class TransactionShape(Shape):
    """One movement of a wallet."""

    from_columns = True
    id = Identifier()
    agent_id = Identifier()
    wallet_address = serializers.CharField(source="wallet.address", allow_null=True)
    transaction_type = Capitals(choices=TYPES)
    transaction_value_usd = StrDecimal(source="value_usd", allow_null=True)
    transaction_time = Moment()
    destination_address = serializers.CharField(allow_null=True)
    signal_id = WholeNumber(allow_null=True)
    fees = StrDecimal(source="fees_sol", allow_null=True)
    routes = Anything(help_text="The provider's route plan, or what was entered; may be null.")
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

"""Shapes of the routes of wallets: which there are, which could be given, assigning, looking for deposits."""

from __future__ import annotations

from rest_framework import serializers

from apps.agents.models import TradingMode
from apps.core.api.fields import Choice, Flag, Identifier, Moment, Num, Text
from apps.core.api.shapes import Body, Shape
from apps.wallets.models import Network


class WalletShape(Shape):
    """A wallet of an agent."""

    wallet_address = serializers.CharField(source="address")
    wallet_type = serializers.ChoiceField(choices=TradingMode.values)
    created_at = Moment()
    updated_at = Moment()


class AgentWalletShape(WalletShape):
    is_available = Flag(help_text="A live wallet is available while its key is loaded.")


class FreeWalletShape(Shape):
    wallet_address = serializers.CharField()
    is_assigned = Flag(help_text="Assigned to this agent; to whom else is not told.")
    network = serializers.ChoiceField(choices=Network.values)


class WalletsShape(Shape):
    """The wallets of an agent, and the loaded keys its owner could give it."""

    agent_wallets = AgentWalletShape(many=True)
    available_wallets = FreeWalletShape(many=True)


class AssignBody(Body):
    middleware_family = True
    agent_id = Identifier()
    wallet_address = Text(max_length=64)
    wallet_type = Choice(choices=TradingMode.values)


class AssignedShape(Shape):
    """The agent's wallet now."""

    success = Flag()
    wallet_address = serializers.CharField()
    wallet_type = serializers.ChoiceField(choices=TradingMode.values)
    network = serializers.ChoiceField(choices=Network.values, help_text="testnet: no real money.")
    message = serializers.CharField()


class CheckBody(Body):
    agent_id = Identifier()


class CheckShape(Shape):
    """What came to a live wallet, or left it, without the desk; SOL."""

    success = Flag()
    deposit_detected = Flag()
    previous_balance = Num()
    on_chain_balance = Num()
    deposit_amount = Num(allow_null=True)
    withdrawal_amount = Num(allow_null=True)
    transaction_id = Identifier(allow_null=True)
    message = serializers.CharField()

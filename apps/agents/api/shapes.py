"""Shapes of the routes of agents."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.agents.api import config_schema
from apps.agents.models import TradingMode
from apps.agents.services import NAME_LENGTH
from apps.core.api.fields import Anything, Choice, Flag, Identifier, Moment, Text
from apps.core.api.shapes import Body, Shape

_SHORTEST, _LONGEST = NAME_LENGTH


class AgentName(Text):
    """3 to 50 characters as sent; trimmed afterwards; not blank."""

    default_error_messages = {"blank": "must not be blank"}

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, min_length=_SHORTEST, max_length=_LONGEST, **options)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not text.strip():
            self.fail("blank")
        return text


class NewAgentBody(Body):
    middleware_family = True
    name = AgentName()
    trading_mode = Choice(choices=TradingMode.values, required=False, default=TradingMode.SIMULATION)


class AgentChangesBody(Body):
    at_least_one = True
    middleware_family = True
    name = AgentName(required=False)
    trading_mode = Choice(choices=TradingMode.values, required=False)
    automated_trading_simulation = Flag(required=False)
    automated_trading_live = Flag(required=False)


@extend_schema_field(config_schema.partial(), component_name="TradingConfigPatch")
class ConfigPatch(Anything):
    """Part of a trading configuration."""


@extend_schema_field(config_schema.whole(), component_name="TradingConfig")
class WholeConfig(Anything):
    """A whole trading configuration."""


class ConfigBody(Body):
    config = ConfigPatch(allow_null=True, help_text="Part of a configuration, laid over the present one; null resets.")


class AgentShape(Shape):
    """An agent."""

    id = Identifier()
    user_id = Identifier()
    name = serializers.CharField()
    trading_mode = serializers.ChoiceField(choices=TradingMode.values)
    automated_trading_simulation = Flag()
    automated_trading_live = Flag()
    created_at = Moment()
    updated_at = Moment()


class ConfigShape(Shape):
    """A whole configuration: what is stored, laid over the defaults."""

    config = WholeConfig()

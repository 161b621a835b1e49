"""Shapes of loss limits and of how strictly tokens are judged."""

from __future__ import annotations

from typing import ClassVar

from rest_framework import serializers

from apps.agents.models import TradingMode
from apps.core.api.fields import Choice, Exact, Flag, Num, WholeNumber
from apps.core.api.shapes import Body, Shape
from apps.trading.services.loss_limits import MAX_COOLDOWN_SECONDS

_SOL_DIGITS, _LAMPORT = 20, 9


class LossLimitBody(Body):
    """What is given is set, null takes a limit away, what is not given stays."""

    trading_mode = Choice(choices=TradingMode.choices, required=False, default=TradingMode.LIVE)
    max_daily_loss_sol = Exact(digits=_SOL_DIGITS, places=_LAMPORT, above=0, required=False, allow_null=True)
    max_exposure_sol = Exact(digits=_SOL_DIGITS, places=_LAMPORT, above=0, required=False, allow_null=True)
    cooldown_seconds = WholeNumber(low=1, high=MAX_COOLDOWN_SECONDS, required=False, allow_null=True)


class LossLimitShape(Shape):
    """The limits of one mode beside what is used of them; null is no limit. Live and simulated money are apart."""

    trading_mode = serializers.ChoiceField(choices=TradingMode.choices)
    max_daily_loss_sol = Num(allow_null=True)
    max_exposure_sol = Num(allow_null=True)
    cooldown_seconds = WholeNumber(allow_null=True)
    realised_today_sol = Num(help_text="Net result of the sales of this UTC day; below zero is a loss.")
    exposure_sol = Num(help_text="What open positions cost, with what orders under way hold.")
    seconds_since_stop = WholeNumber(
        allow_null=True, help_text="Since the last stop loss, as far back as a cooldown may reach."
    )


class LossLimitsShape(Shape):
    limits = LossLimitShape(many=True)


class TokenSafetyBody(Body):
    """What is given changes, the rest stays."""

    at_least_one: ClassVar[bool] = True

    allow_mint_authority = Flag(required=False)
    allow_freeze_authority = Flag(required=False)
    allow_permanent_delegate = Flag(required=False)
    allow_transfer_hook = Flag(required=False)
    allow_mint_close_authority = Flag(required=False)
    allow_pausable = Flag(required=False)
    allow_confidential_transfer = Flag(required=False)
    allow_unknown_extension = Flag(required=False)
    allow_single_price_source = Flag(required=False)
    allow_unsold_sale = Flag(required=False)
    max_transfer_fee_bps = WholeNumber(low=0, high=10_000, required=False)
    max_price_gap_percent = Exact(digits=3, places=8, low=0, required=False)
    max_round_trip_loss_percent = Exact(digits=3, places=8, low=0, required=False)


class TokenSafetyShape(Shape):
    """What an agent's live buys let pass of what makes a token dangerous; all off is the strictest."""

    allow_mint_authority = Flag()
    allow_freeze_authority = Flag()
    allow_permanent_delegate = Flag()
    allow_transfer_hook = Flag()
    allow_mint_close_authority = Flag()
    allow_pausable = Flag()
    allow_confidential_transfer = Flag()
    allow_unknown_extension = Flag()
    allow_single_price_source = Flag()
    allow_unsold_sale = Flag()
    max_transfer_fee_bps = WholeNumber()
    max_price_gap_percent = Num()
    max_round_trip_loss_percent = Num()

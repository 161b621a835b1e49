"""Doors of prices: SOL in US dollars, candles for charts, which sources there are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core import base58
from apps.core.api import limits, wire
from apps.core.api.errors import InvalidField
from apps.core.api.fields import Choice, Flag, Moment, StrDecimal, WholeNumber
from apps.core.api.openapi import answers
from apps.core.api.shapes import Query, Shape
from apps.core.money import quantize_usd
from apps.prices import selectors
from apps.prices.domain.candles import LARGEST_COUNT, Interval
from apps.prices.domain.points import PriceSource

DEFAULT_CANDLES = 500
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


class SolUsdShape(Shape):
    """US dollars per SOL; price and time are null while no source has told it."""

    price = serializers.CharField(allow_null=True, help_text="8 decimals.")
    last_updated = Moment(allow_null=True)
    is_stale = Flag()
    source = serializers.CharField()  # type: ignore[assignment]


class SourceShape(Shape):
    configured = Flag()


class SourcesShape(Shape):
    """Which sources of data the desk can use."""

    pyth_network = SourceShape()
    pyth_sol_price_feed = SourceShape()
    jupiter = SourceShape()
    dexscreener = SourceShape()
    liquidity_checks = SourceShape()
    signal_generation = SourceShape()


class CandleQuery(Query):
    wire_names: ClassVar = {"since": "from", "until": "to"}

    interval = Choice([each.value for each in Interval], required=False, default=Interval.MINUTE.value)
    since = Moment(required=False, help_text="The first candle is the one this time stands in.")
    until = Moment(required=False, help_text="The last candle is the one this time stands in; now, if it is not given.")
    limit = WholeNumber(
        low=1, required=False, help_text="Seconds, minutes or hours to go back from the end; 500, at most 1000."
    )


class SpanShape(Shape):
    """First, highest, lowest and last price, per whole token."""

    open = StrDecimal()
    high = StrDecimal()
    low = StrDecimal()
    close = StrDecimal()


class CandleShape(Shape):
    """What a price did in one span. Dollars cover the prices that had them and are null where none had."""

    at = Moment(help_text="When it begins.")
    sol = SpanShape()
    usd = SpanShape(allow_null=True)
    ticks = WholeNumber(help_text="How many prices it is made of.")


class CandlesShape(Shape):
    """Candles in order of time. A span in which no price was recorded has none: nothing is filled in."""

    mint = serializers.CharField()
    interval = serializers.CharField()
    start = Moment(help_text="Where the range begins, after `limit`; ask with `to` just before it for what precedes.")
    end = Moment(help_text="Where the last span of the range ends.")
    candles = CandleShape(many=True)

    wire_names: ClassVar = {"start": "from", "end": "to"}


@extend_schema(tags=["data-sources"])
class DataSources(APIView):
    @extend_schema(
        summary="Which sources of data are configured",
        operation_id="data_sources",
        responses=answers(SourcesShape, "429 RATE_LIMITED"),
    )
    def get(self, request: Request) -> Response:
        limits.check("data-sources", limits.client_address(request), per_minute=settings.DATA_SOURCES_PER_MINUTE)
        sources = {name: {"configured": True} for name in SourcesShape._declared_fields}
        sources["jupiter"] = {"configured": selectors.jupiter_is_configured()}
        return Response(sources)


@extend_schema(tags=["price-feeds"])
class SolUsdPrice(APIView):
    @extend_schema(summary="SOL in US dollars", operation_id="sol_usd", responses=answers(SolUsdShape))
    def get(self, request: Request) -> Response:
        known = selectors.sol_usd()
        if known is None:
            return Response({"price": None, "lastUpdated": None, "isStale": True, "source": PriceSource.PYTH})
        return Response(
            {
                "price": format(quantize_usd(known.value), "f"),
                "lastUpdated": wire.timestamp_text(known.at),
                "isStale": known.is_stale,
                "source": known.source,
            }
        )


@extend_schema(tags=["prices"])
class Candles(APIView):
    @extend_schema(
        summary="A token's candles, for charts",
        description="Seconds of the last day, minutes of the last week, hours of the last years.",
        operation_id="candles",
        parameters=[CandleQuery],
        responses=answers(
            CandlesShape,
            "400 INVALID_MINT",
            "400 INVALID_INTERVAL",
            "400 INVALID_FROM",
            "400 INVALID_TO",
            "400 INVALID_LIMIT",
        ),
    )
    def get(self, request: Request, mint: str) -> Response:
        if not base58.is_address(mint):
            raise InvalidField("mint", "must be a Solana address (base58 of 32 bytes)")
        asked = CandleQuery.read(request)
        now = datetime.now(UTC)
        interval, since, until = Interval(asked["interval"]), asked.get("since"), min(asked.get("until", now), now)
        if until < _EARLIEST:
            raise InvalidField("to", "must be a time of this century")
        if since is not None and since > until:
            raise InvalidField("from", "must not be after `to`, or in the future")
        count = min(asked.get("limit", DEFAULT_CANDLES), LARGEST_COUNT)
        found = selectors.candles(mint, interval, start=since, end=until, count=count)
        return Response(
            {
                "mint": mint,
                "interval": interval.value,
                "from": wire.timestamp_text(found.start),
                "to": wire.timestamp_text(found.end),
                "candles": CandleShape.present_many(found.candles),
            }
        )

"""Doors of prices: SOL in US dollars."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api import limits, wire
from apps.core.api.fields import Flag, Moment
from apps.core.api.openapi import answers
from apps.core.api.shapes import Shape
from apps.core.money import quantize_usd
from apps.prices import selectors
from apps.prices.domain.points import PriceSource


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

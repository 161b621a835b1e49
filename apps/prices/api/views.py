"""Doors of prices: SOL in US dollars."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api import wire
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

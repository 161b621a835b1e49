"""Shapes of the routes of signals."""

from __future__ import annotations

from rest_framework import serializers

from apps.core.api.fields import Flag, LastMoment, Moment, OptionalText, Text, WholeNumber
from apps.core.api.shapes import Body, Query, Shape
from apps.signals.services import MAX_STRENGTH

LONGEST_REASON = 10_000


class SignalBody(Body):
    token_address = Text(max_length=255)
    signal_type = Text(max_length=50)
    signal_strength = WholeNumber(low=1, high=MAX_STRENGTH)
    symbol = OptionalText(max_length=50)
    activation_reason = OptionalText(max_length=LONGEST_REASON)
    source = OptionalText(max_length=100)  # type: ignore[assignment]


class SignalChangesBody(Body):
    at_least_one = True
    token_address = Text(max_length=255, required=False)
    signal_type = Text(max_length=50, required=False)
    signal_strength = WholeNumber(low=1, high=MAX_STRENGTH, required=False)
    symbol = OptionalText(max_length=50)
    activation_reason = OptionalText(max_length=LONGEST_REASON)
    source = OptionalText(max_length=100)  # type: ignore[assignment]


class SignalQuery(Query):
    token_address = Text(required=False)
    signal_type = Text(required=False)
    start_date = Moment(required=False)
    end_date = LastMoment(required=False)


class SignalExportQuery(SignalQuery):
    timezone = Text(required=False, help_text="IANA name; UTC without one, or for one nobody knows.")


class SignalShape(Shape):
    """A trading signal."""

    from_columns = True
    id = WholeNumber()
    created_at = Moment()
    updated_at = Moment()
    token_address = serializers.CharField()
    symbol = serializers.CharField(allow_null=True)
    signal_type = serializers.CharField()
    activation_reason = serializers.CharField(allow_null=True)
    signal_strength = WholeNumber()
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]


class AllDeletedShape(Shape):
    success = Flag()
    message = serializers.CharField()
    deleted = WholeNumber(help_text="How many signals were deleted.")

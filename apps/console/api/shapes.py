"""Shapes of health: they describe what `apps.console.health` puts together."""

from __future__ import annotations

from rest_framework import serializers

from apps.core.api.fields import Flag, Moment, Num, WholeNumber
from apps.core.api.shapes import Shape

_STATES = ("healthy", "degraded", "unhealthy")


class ServiceShape(Shape):
    status = serializers.ChoiceField(choices=("healthy", "unhealthy"))
    latency = Num(required=False, help_text="Milliseconds; absent while it does not answer.")


class WorkerShape(Shape):
    name = serializers.CharField()
    heartbeat_age_seconds = Num(allow_null=True, help_text="Null: never heard.")
    alive = Flag()


class QueueShape(Shape):
    status = serializers.ChoiceField(choices=_STATES)
    worker_count = WholeNumber(help_text="Workers alive.")
    workers = WorkerShape(many=True)


class SignerHealthShape(Shape):
    """The process that signs live orders; without it nothing is bought or sold live."""

    status = serializers.ChoiceField(choices=("healthy", "unhealthy"))


class ServicesShape(Shape):
    database = ServiceShape()
    redis = ServiceShape()
    queue = QueueShape()
    signer = SignerHealthShape(required=False, help_text="Absent on a desk that has none.")


class MigrationsShape(Shape):
    applied = Flag()
    pending = WholeNumber()


class AgesShape(Shape):
    """Seconds since; null where there has been none."""

    price_seconds = Num(allow_null=True)
    sol_usd_seconds = Num(allow_null=True)
    outbox_seconds = Num(allow_null=True)
    beat_seconds = Num(allow_null=True)


class PollShape(Shape):
    """The newest poll of prices of one shard."""

    shard = WholeNumber()
    tokens = WholeNumber()
    trusted = WholeNumber()
    doubted = WholeNumber()
    missing = WholeNumber()
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    interval_seconds = Num()
    poll_seconds = Num(help_text="Since it ended.")
    took_seconds = Num()
    oldest_price_seconds = Num(allow_null=True)
    median_price_seconds = Num(allow_null=True)


class HealthShape(Shape):
    """How the desk is; `unhealthy` is answered with 503."""

    status = serializers.ChoiceField(choices=_STATES)
    timestamp = Moment()
    uptime = WholeNumber(help_text="Seconds.")
    services = ServicesShape()
    migrations = MigrationsShape(required=False, allow_null=True)
    ages = AgesShape(allow_null=True, help_text="Null while the database is down.")
    prices = PollShape(many=True)


class ReadyShape(Shape):
    """Whether people can sign in and agents can trade; if not, 503."""

    ready = Flag()
    degraded = Flag(required=False)
    message = serializers.CharField(required=False)
    timestamp = Moment()


class LiveShape(Shape):
    """This process runs."""

    alive = Flag()
    timestamp = Moment()
    uptime = WholeNumber(help_text="Seconds.")

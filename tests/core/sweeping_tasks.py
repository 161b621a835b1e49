"""A sweep of the queue "sweeptest" for a real worker: each round counts itself in the database."""

from __future__ import annotations

from django.db import connection

from apps.core import sweep


def count_round() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO feed_stream (stream, sequence) VALUES ('swept', 1) "
            "ON CONFLICT (stream) DO UPDATE SET sequence = feed_stream.sequence + 1"
        )


sweep.register("sweeptest", queue="sweeptest", every=0.2, run=count_round)

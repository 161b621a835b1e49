"""What the watch writes back: rises of stops, and how far it has come."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from apps.core.fields import PercentField, PriceField
from apps.trading.models.positions import Position


class StopMove(models.Model):
    """A rise of a position's stop as it was written back: part of the position's story, never changed.

    Written by the watch, at most once per position and write-back; rises in between are in the last one.
    """

    id = models.BigAutoField(primary_key=True)
    position = models.ForeignKey(
        Position, on_delete=models.PROTECT, related_name="stop_moves", db_index=False, db_constraint=False
    )
    peak_price_sol = PriceField(help_text="The trusted price that raised it, SOL per token.")
    stop_percent = PercentField(help_text="Where the stop stands now, percent from the trigger average.")
    stop_price_sol = PriceField()
    source = models.CharField(max_length=20, blank=True, help_text="Who told the price.")
    price_at = models.DateTimeField(null=True, help_text="When the price held, by its provider or by receipt.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "stop_move"
        ordering = ["id"]
        indexes = [models.Index(fields=["position", "id"], name="stop_move_position")]

    def __str__(self) -> str:
        return f"stop {self.stop_percent:+f} %"


class WatchProgress(models.Model):
    """How far one shard's watch has written peaks and lows back: what ticks after `tick_id` did may be in memory only.

    Written by the watch. A watch that starts replays the ticks after it; a row of another division counts as well.
    """

    shards = models.PositiveSmallIntegerField()
    shard = models.PositiveSmallIntegerField()
    tick_id = models.BigIntegerField(help_text="Every rise up to this tick is stored with its position.")
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "watch_progress"
        constraints = [models.UniqueConstraint(fields=["shards", "shard"], name="watch_progress_shard")]

    def __str__(self) -> str:
        return f"shard {self.shard}/{self.shards}: tick {self.tick_id}"

"""Rows the whole house shares: the outbox of feed messages, the counters of their streams, who else reads it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class FeedStream(models.Model):
    """The last sequence number given in a stream that is not an agent's: `user:<id>` or `global`.

    Written by `apps.core.outbox` in the transaction that appends; an agent's counter is on its `agent_state` row.
    """

    stream = models.CharField(max_length=64, primary_key=True)
    sequence = models.BigIntegerField(default=0)

    class Meta:
        db_table = "feed_stream"

    def __str__(self) -> str:
        return f"{self.stream} @ {self.sequence}"


class OutboxMessage(models.Model):
    """One feed message, written in the transaction it tells of and published after commit, in stream order.

    Invariant: (stream, sequence) is unique and gapless. Rows are removed by retention once published and read by every
    `OutboxReader`. A database column `written_xid` (xid8, by default) says which transaction wrote it.
    """

    id = models.BigAutoField(primary_key=True)
    stream = models.CharField(max_length=64)
    sequence = models.BigIntegerField()
    kind = models.CharField(max_length=40, help_text="message type, e.g. position_update")
    payload = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    published_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "outbox"
        constraints = [models.UniqueConstraint(fields=["stream", "sequence"], name="outbox_stream_sequence")]
        indexes = [
            models.Index(
                fields=["id"],
                name="outbox_unpublished",
                condition=models.Q(published_at=None),
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream}/{self.sequence} {self.kind}"


class OutboxReader(models.Model):
    """How far one reader beside the relay has read the outbox; retention keeps what it has not read.

    Written by the reader. Everything written by transactions below `watermark` has been read (CONCURRENCY 13).
    """

    name = models.CharField(max_length=40, primary_key=True)
    watermark = models.BigIntegerField(help_text="Transaction id; what older transactions wrote has been read.")
    read_at = models.DateTimeField(auto_now=True, db_default=Now(), help_text="When it last looked.")

    class Meta:
        db_table = "outbox_reader"

    def __str__(self) -> str:
        return f"{self.name} @ {self.watermark}"

"""Outbox rows say which transaction wrote them, and readers beside the relay how far they have read."""

import django.db.models.functions.datetime
from django.db import migrations, models

# The default costs a booking nothing it can feel: no trigger, no round trip, an index that only grows at its end.
WRITTEN = """
ALTER TABLE outbox ADD COLUMN written_xid xid8 NOT NULL DEFAULT '0';
ALTER TABLE outbox ALTER COLUMN written_xid SET DEFAULT pg_current_xact_id();
CREATE INDEX outbox_written_xid ON outbox (written_xid);
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0002_trigger_functions")]
    operations = [
        migrations.CreateModel(
            name="OutboxReader",
            fields=[
                ("name", models.CharField(max_length=40, primary_key=True, serialize=False)),
                (
                    "watermark",
                    models.BigIntegerField(help_text="Transaction id; what older transactions wrote has been read."),
                ),
                (
                    "read_at",
                    models.DateTimeField(
                        auto_now=True,
                        db_default=django.db.models.functions.datetime.Now(),
                        help_text="When it last looked.",
                    ),
                ),
            ],
            options={"db_table": "outbox_reader"},
        ),
        migrations.RunSQL(WRITTEN, "ALTER TABLE outbox DROP COLUMN written_xid;"),
    ]

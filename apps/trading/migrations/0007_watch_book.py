"""What the watch's book needs: intents carry the transaction id of their last change, stops their moves, shards their
progress."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.core.fields

INTENT = """
ALTER TABLE exit_intent ADD COLUMN changed_xid xid8 NOT NULL DEFAULT '0';
CREATE INDEX exit_intent_changed_xid ON exit_intent (changed_xid);
CREATE TRIGGER stamp_changed BEFORE INSERT OR UPDATE ON exit_intent
    FOR EACH ROW EXECUTE FUNCTION stamp_changed_xid();
"""
INTENT_BACK = "DROP TRIGGER stamp_changed ON exit_intent; ALTER TABLE exit_intent DROP COLUMN changed_xid;"


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0006_leaner_bookings"),
        ("core", "0002_trigger_functions"),
    ]

    operations = [
        migrations.RunSQL(INTENT, INTENT_BACK),
        migrations.CreateModel(
            name="WatchProgress",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("shards", models.PositiveSmallIntegerField()),
                ("shard", models.PositiveSmallIntegerField()),
                (
                    "tick_id",
                    models.BigIntegerField(help_text="Every rise up to this tick is stored with its position."),
                ),
                (
                    "updated_at",
                    models.DateTimeField(auto_now=True, db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "db_table": "watch_progress",
                "constraints": [models.UniqueConstraint(fields=("shards", "shard"), name="watch_progress_shard")],
            },
        ),
        migrations.CreateModel(
            name="StopMove",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "peak_price_sol",
                    apps.core.fields.PriceField(help_text="The trusted price that raised it, SOL per token."),
                ),
                (
                    "stop_percent",
                    apps.core.fields.PercentField(
                        help_text="Where the stop stands now, percent from the trigger average."
                    ),
                ),
                ("stop_price_sol", apps.core.fields.PriceField()),
                ("source", models.CharField(blank=True, help_text="Who told the price.", max_length=20)),
                (
                    "price_at",
                    models.DateTimeField(help_text="When the price held, by its provider or by receipt.", null=True),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "position",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="stop_moves",
                        to="trading.position",
                    ),
                ),
            ],
            options={
                "db_table": "stop_move",
                "ordering": ["id"],
                "indexes": [models.Index(fields=["position", "id"], name="stop_move_position")],
            },
        ),
    ]

"""The home page asks every ten seconds what failed within a day: find it without reading what did not fail."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0002_changed_xid"),
        ("signals", "0001_initial"),
        ("trading", "0009_cancelled_intents"),
        ("wallets", "0004_room_to_update"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="signalexecution",
            index=models.Index(
                condition=models.Q(("verdict", "failed")), fields=["created_at"], name="signal_execution_failed"
            ),
        ),
    ]

"""Exit intents that were cancelled are found by position and time: what was refused a moment ago rests."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("trading", "0008_dead_token")]

    operations = [
        migrations.AddIndex(
            model_name="exitintent",
            index=models.Index(
                condition=models.Q(("status", "cancelled")),
                fields=["position", "-finished_at"],
                name="exit_intent_cancelled",
            ),
        ),
    ]

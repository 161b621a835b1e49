"""Let a repeated request go on with what the first one began."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_append_only"),
    ]

    operations = [
        migrations.AddField(
            model_name="idempotencykey",
            name="begun",
            field=models.JSONField(help_text="What the first request began and a repeat goes on with.", null=True),
        ),
    ]

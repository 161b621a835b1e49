"""An endpoint may be switched off because too much waits for it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notify", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            model_name="webhookendpoint",
            name="disabled_reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("by_hand", "Switched off"),
                    ("gone", "Gone: it answered 410"),
                    ("failing", "Failing: nothing was taken for days"),
                    ("backlog", "Behind: too much waits for it"),
                ],
                editable=False,
                max_length=10,
            ),
        ),
    ]

"""Let a closed trade entered by hand be told from the engine's, and be taken back."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0010_failed_executions"),
    ]

    operations = [
        migrations.AddField(
            model_name="closedtrade",
            name="deleted_at",
            field=models.DateTimeField(blank=True, help_text="Entered by hand, and taken back.", null=True),
        ),
        migrations.AlterField(
            model_name="closedtrade",
            name="origin",
            field=models.CharField(
                choices=[("engine", "Engine"), ("hand", "By hand"), ("correction", "Correction")],
                default="engine",
                max_length=10,
            ),
        ),
    ]

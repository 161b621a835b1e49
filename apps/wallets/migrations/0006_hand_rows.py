"""Let a transaction entered by hand be taken back."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("wallets", "0005_live_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="transaction",
            name="deleted_at",
            field=models.DateTimeField(blank=True, help_text="Entered by hand, and taken back.", null=True),
        ),
    ]

"""Leave room on the pages of rows that every booking updates, so that an update need not touch their indexes."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("wallets", "0003_leaner_bookings"), ("agents", "0002_changed_xid")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE balance SET (fillfactor = 70); ALTER TABLE agent_state SET (fillfactor = 50);",
            "ALTER TABLE balance RESET (fillfactor); ALTER TABLE agent_state RESET (fillfactor);",
        )
    ]

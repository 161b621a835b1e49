"""The desk's own trading state exists from the start."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("trading", "0003_triggers")]
    operations = [
        migrations.RunSQL(
            "INSERT INTO trading_state (agent_id, state, exits_enabled, reason, updated_at)"
            " VALUES (NULL, 'active', true, '', now());",
            "DELETE FROM trading_state WHERE agent_id IS NULL;",
        )
    ]

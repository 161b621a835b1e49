"""The ledger and the transactions cannot be rewritten: corrections are further rows."""

from django.db import migrations

TABLES = ("ledger_entry", "transaction")


class Migration(migrations.Migration):
    dependencies = [("wallets", "0001_initial"), ("core", "0002_trigger_functions")]
    operations = [
        migrations.RunSQL(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change();",
            f"DROP TRIGGER append_only ON {table};",
        )
        for table in TABLES
    ]

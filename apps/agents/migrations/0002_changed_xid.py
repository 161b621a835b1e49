"""Agents carry the transaction id of their last change (the watch reads what changed by it)."""

from django.db import migrations

ADD = """
ALTER TABLE agent ADD COLUMN changed_xid xid8 NOT NULL DEFAULT '0';
CREATE INDEX agent_changed_xid ON agent (changed_xid);
CREATE TRIGGER stamp_changed BEFORE INSERT OR UPDATE ON agent FOR EACH ROW EXECUTE FUNCTION stamp_changed_xid();
"""
REMOVE = "DROP TRIGGER stamp_changed ON agent; ALTER TABLE agent DROP COLUMN changed_xid;"


class Migration(migrations.Migration):
    dependencies = [("agents", "0001_initial"), ("core", "0002_trigger_functions")]
    operations = [migrations.RunSQL(ADD, REMOVE)]

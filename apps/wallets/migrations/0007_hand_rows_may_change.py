"""Let a transaction entered by hand be corrected and taken back in place; the engine's stay as they were written.

What such a row did to balances is never rewritten: its ledger entries are posted back. A row keeps its agent, wallet,
epoch and origin, and one that was taken back does not return.
"""

from django.db import migrations

KEPT = ("id", "agent_id", "wallet_id", "epoch", "origin", "position_id", "corrects_id", "created_at")
OLD = ", ".join(f"OLD.{column}" for column in KEPT)
NEW = ", ".join(f"NEW.{column}" for column in KEPT)

FORWARDS = f"""
DROP TRIGGER append_only ON transaction;
CREATE TRIGGER append_only BEFORE UPDATE ON transaction FOR EACH ROW
    WHEN (OLD.origin <> 'hand' OR OLD.deleted_at IS NOT NULL OR ({OLD}) IS DISTINCT FROM ({NEW}))
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_deleted BEFORE DELETE ON transaction FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""
BACKWARDS = """
DROP TRIGGER never_deleted ON transaction;
DROP TRIGGER append_only ON transaction;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON transaction FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("wallets", "0006_hand_rows")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]

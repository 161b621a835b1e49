"""Positions and trading states carry the transaction id of their last change; the engine's closed trades are immutable.

An update that only moves a position's peak and stop keeps the old id: the watch wrote it and need not read it back.
"""

from django.db import migrations

POSITION = """
ALTER TABLE position ADD COLUMN changed_xid xid8 NOT NULL DEFAULT '0';
CREATE INDEX position_changed_xid ON position (changed_xid);
CREATE TRIGGER stamp_inserted BEFORE INSERT ON position FOR EACH ROW EXECUTE FUNCTION stamp_changed_xid();
CREATE TRIGGER stamp_updated BEFORE UPDATE ON position FOR EACH ROW WHEN (
    (OLD.agent_id, OLD.wallet_id, OLD.epoch, OLD.mint, OLD.decimals, OLD.purchase_price, OLD.purchase_amount,
     OLD.remaining_amount, OLD.total_invested_sol, OLD.remaining_cost_sol, OLD.realized_profit_sol, OLD.generation,
     OLD.peak_from_tick, OLD.peak_generation, OLD.dca_count, OLD.last_dca_at, OLD.take_profit_levels_hit,
     OLD.take_profit_start_level, OLD.take_profit_total_levels, OLD.moon_bag_activated, OLD.moon_bag_amount,
     OLD.opened_at, OLD.closed_at)
    IS DISTINCT FROM
    (NEW.agent_id, NEW.wallet_id, NEW.epoch, NEW.mint, NEW.decimals, NEW.purchase_price, NEW.purchase_amount,
     NEW.remaining_amount, NEW.total_invested_sol, NEW.remaining_cost_sol, NEW.realized_profit_sol, NEW.generation,
     NEW.peak_from_tick, NEW.peak_generation, NEW.dca_count, NEW.last_dca_at, NEW.take_profit_levels_hit,
     NEW.take_profit_start_level, NEW.take_profit_total_levels, NEW.moon_bag_activated, NEW.moon_bag_amount,
     NEW.opened_at, NEW.closed_at)
) EXECUTE FUNCTION stamp_changed_xid();
"""
POSITION_BACK = """
DROP TRIGGER stamp_inserted ON position; DROP TRIGGER stamp_updated ON position;
ALTER TABLE position DROP COLUMN changed_xid;
"""
STATE = """
ALTER TABLE trading_state ADD COLUMN changed_xid xid8 NOT NULL DEFAULT '0';
CREATE INDEX trading_state_changed_xid ON trading_state (changed_xid);
CREATE TRIGGER stamp_changed BEFORE INSERT OR UPDATE ON trading_state
    FOR EACH ROW EXECUTE FUNCTION stamp_changed_xid();
"""
STATE_BACK = "DROP TRIGGER stamp_changed ON trading_state; ALTER TABLE trading_state DROP COLUMN changed_xid;"
CLOSED = """
CREATE TRIGGER engine_rows_immutable BEFORE UPDATE OR DELETE ON closed_trade
    FOR EACH ROW WHEN (OLD.origin = 'engine') EXECUTE FUNCTION refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("trading", "0002_initial"), ("core", "0002_trigger_functions")]
    operations = [
        migrations.RunSQL(POSITION, POSITION_BACK),
        migrations.RunSQL(STATE, STATE_BACK),
        migrations.RunSQL(CLOSED, "DROP TRIGGER engine_rows_immutable ON closed_trade;"),
    ]

"""Every change of a position's realised profit is counted on its UTC day, whoever books it.

A trigger, because what is not counted is money lost past a limit: sales, take profits, write-offs and reversals all
change the one column. The row of the agent is safe from races: whoever books holds its `agent_state`.
"""

from django.db import migrations

COUNT = """
CREATE FUNCTION count_realised() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO realised_today AS kept (agent_id, trading_mode, day, profit_sol)
    SELECT NEW.agent_id, wallet.wallet_type, (clock_timestamp() AT TIME ZONE 'UTC')::date,
           NEW.realized_profit_sol - OLD.realized_profit_sol
    FROM wallet WHERE wallet.id = NEW.wallet_id
    ON CONFLICT (agent_id, trading_mode) DO UPDATE
    SET profit_sol = CASE WHEN kept.day = EXCLUDED.day THEN kept.profit_sol ELSE 0 END + EXCLUDED.profit_sol,
        day = EXCLUDED.day;
    RETURN NULL;
END $$;
CREATE TRIGGER count_realised AFTER UPDATE OF realized_profit_sol ON position FOR EACH ROW
    WHEN (NEW.realized_profit_sol IS DISTINCT FROM OLD.realized_profit_sol) EXECUTE FUNCTION count_realised();
"""
COUNT_BACK = "DROP TRIGGER count_realised ON position; DROP FUNCTION count_realised();"
TODAY_SO_FAR = """
INSERT INTO realised_today (agent_id, trading_mode, day, profit_sol)
SELECT trade.agent_id, wallet.wallet_type, (clock_timestamp() AT TIME ZONE 'UTC')::date, sum(trade.profit_sol)
FROM closed_trade trade JOIN wallet ON wallet.id = trade.wallet_id
WHERE trade.origin = 'engine'
  AND trade.sale_time >= (date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')
GROUP BY 1, 2
"""


class Migration(migrations.Migration):
    dependencies = [("trading", "0014_loss_limits")]
    operations = [
        migrations.RunSQL(COUNT, COUNT_BACK),
        migrations.RunSQL(TODAY_SO_FAR, migrations.RunSQL.noop),
    ]

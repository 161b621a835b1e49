"""The questions the audit asks: each a query that returns what does not add up as (subject, what, expected, found).

Set-based and read-only. `audit_books` runs them in one snapshot; what SQL cannot replay (costs after partial sales) is
replayed there.
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.money import SOL_MINT
from apps.trading.domain import order_machine
from apps.trading.selectors import undone_fills


@dataclass(frozen=True, slots=True)
class BookCheck:
    """One check: `title` for people, how many rows it looks at, and the query of its differences."""

    name: str
    title: str
    rows: str
    differences: str


_IN_FLIGHT = ", ".join(f"'{status}'" for status in sorted(order_machine.IN_FLIGHT))

_BALANCES = """
WITH ledger AS (
    SELECT entry.wallet_id, entry.mint, sum(entry.delta) AS total
    FROM ledger_entry entry JOIN wallet w ON w.id = entry.wallet_id AND w.epoch = entry.epoch
    GROUP BY entry.wallet_id, entry.mint
)
SELECT concat_ws(' ', 'wallet', wallet_id, mint), 'amount', COALESCE(ledger.total, 0),
       COALESCE(b.amount + b.held, 0)
FROM balance b FULL JOIN ledger USING (wallet_id, mint)
WHERE COALESCE(ledger.total, 0) <> COALESCE(b.amount + b.held, 0)
"""

_PAST_EPOCHS = """
SELECT concat_ws(' ', 'wallet', entry.wallet_id, 'epoch', entry.epoch, entry.mint), 'sum', 0, sum(entry.delta)
FROM ledger_entry entry JOIN wallet w ON w.id = entry.wallet_id AND w.epoch <> entry.epoch
GROUP BY entry.wallet_id, entry.epoch, entry.mint, w.epoch
HAVING sum(entry.delta) <> 0 OR entry.epoch > w.epoch
"""

_HELD = f"""
WITH reserved AS (
    SELECT wallet_id, held_mint AS mint, sum(held_amount) AS total FROM trade_order
    WHERE status IN ({_IN_FLIGHT}) AND held_amount <> 0 GROUP BY wallet_id, held_mint
)
SELECT concat_ws(' ', 'wallet', wallet_id, mint), 'held', COALESCE(reserved.total, 0), COALESCE(b.held, 0)
FROM (SELECT wallet_id, mint, held FROM balance WHERE held <> 0) AS b FULL JOIN reserved USING (wallet_id, mint)
WHERE COALESCE(reserved.total, 0) <> COALESCE(b.held, 0)
"""

# A buy's protocol fee is inside what it spent; a sale's comes off what it brought in. A row taken back did nothing.
# Rent that a swap locked is a deposit, no part of it: the orders' own check compares it with the chain.
_TRANSACTIONS = f"""
WITH effect AS (
    SELECT id, mint, sum(delta) AS delta FROM (
        SELECT id, input_mint AS mint,
               CASE transaction_type WHEN 'deposit' THEN input_amount ELSE -input_amount END AS delta
        FROM transaction WHERE input_mint IS NOT NULL AND origin <> 'correction' AND deleted_at IS NULL
        UNION ALL
        SELECT id, output_mint, output_amount FROM transaction
        WHERE transaction_type = 'swap' AND output_mint IS NOT NULL AND origin <> 'correction' AND deleted_at IS NULL
        UNION ALL
        SELECT id, '{SOL_MINT}', -COALESCE(network_fee_sol, 0)
               - CASE WHEN output_mint = '{SOL_MINT}' THEN COALESCE(protocol_fee_sol, 0) ELSE 0 END
        FROM transaction WHERE transaction_type = 'swap' AND origin <> 'correction' AND deleted_at IS NULL
    ) AS part GROUP BY id, mint HAVING sum(delta) <> 0
), posted AS (
    SELECT entry.transaction_id AS id, entry.mint, sum(entry.delta) AS delta
    FROM ledger_entry entry JOIN transaction t ON t.id = entry.transaction_id AND t.origin <> 'correction'
    WHERE entry.reason <> 'rent' OR t.transaction_type <> 'swap'
    GROUP BY entry.transaction_id, entry.mint HAVING sum(entry.delta) <> 0
)
SELECT concat_ws(' ', 'transaction', id, mint), 'effect', COALESCE(effect.delta, 0), COALESCE(posted.delta, 0)
FROM effect FULL JOIN posted USING (id, mint)
WHERE COALESCE(effect.delta, 0) <> COALESCE(posted.delta, 0)
"""

_FEES = """
WITH line AS (
    SELECT transaction_id AS id, -sum(delta) FILTER (WHERE reason IN ('network_fee', 'priority_fee', 'tip')) AS network,
           -sum(delta) FILTER (WHERE reason = 'protocol_fee') AS protocol
    FROM ledger_entry WHERE transaction_id IS NOT NULL GROUP BY transaction_id
)
SELECT concat_ws(' ', 'transaction', t.id), fee.what, COALESCE(fee.expected, 0), COALESCE(fee.found, 0)
FROM transaction t LEFT JOIN line USING (id)
CROSS JOIN LATERAL (VALUES ('network fee', t.network_fee_sol, line.network),
                           ('protocol fee', t.protocol_fee_sol, line.protocol)) AS fee (what, expected, found)
WHERE t.transaction_type = 'swap' AND t.origin = 'engine' AND COALESCE(fee.expected, 0) <> COALESCE(fee.found, 0)
"""

_LEDGER_PLACES = """
SELECT concat_ws(' ', 'ledger entry', entry.id), 'wallet and epoch of its transaction',
       concat_ws(' ', t.wallet_id, t.epoch), concat_ws(' ', entry.wallet_id, entry.epoch)
FROM ledger_entry entry LEFT JOIN transaction t ON t.id = entry.transaction_id
WHERE entry.transaction_id IS NOT NULL AND (t.wallet_id, t.epoch) IS DISTINCT FROM (entry.wallet_id, entry.epoch)
"""

# A fill that a fork undid changes a position twice and leaves it as it was.
_FILLS = f"""
fills AS (
    SELECT p.id, count(t.id) AS number,
           COALESCE(sum(t.output_amount) FILTER (WHERE t.output_mint = p.mint AND stands), 0) AS bought,
           COALESCE(sum(t.input_amount) FILTER (WHERE t.input_mint = p.mint AND stands), 0) AS sold,
           COALESCE(sum(t.input_amount + COALESCE(t.network_fee_sol, 0))
               FILTER (WHERE t.output_mint = p.mint AND stands), 0) AS invested,
           COALESCE(sum(t.output_amount - COALESCE(t.protocol_fee_sol, 0) - COALESCE(t.network_fee_sol, 0))
               FILTER (WHERE t.input_mint = p.mint AND stands), 0) AS proceeds,
           count(*) FILTER (WHERE (t.wallet_id, t.epoch) <> (p.wallet_id, p.epoch)) AS strangers,
           count(*) FILTER (WHERE t.is_dca AND stands) AS dca_buys,
           count(*) FILTER (WHERE t.is_take_profit AND stands) AS profits_taken
    FROM position p LEFT JOIN (
        SELECT *, id NOT IN ({undone_fills.IDS}) AS stands FROM transaction
    ) t ON t.position_id = p.id
    GROUP BY p.id
)
"""

# The last place of an average may fall either way when it is rounded; everything else is exact. The remaining cost
# after partial sales is replayed outside (`audit_books`).
_POSITIONS = f"""
WITH {_FILLS}
SELECT concat_ws(' ', 'position', p.id), fact.what, fact.expected, fact.found
FROM position p JOIN fills f USING (id)
CROSS JOIN LATERAL (VALUES
    ('bought', f.bought, p.purchase_amount, 0),
    ('remaining', f.bought - f.sold, p.remaining_amount, 0),
    ('invested', f.invested, p.total_invested_sol, 0),
    ('proceeds', f.proceeds, p.proceeds_sol, 0),
    ('fills', f.number, p.generation, 0),
    ('fills of another wallet or epoch', 0, f.strangers, 0),
    ('DCA buys', f.dca_buys, p.dca_count, 0),
    ('take profit begun', least(f.profits_taken, 1), least(p.take_profit_levels_hit, 1), 0),
    ('realised', f.proceeds - f.invested + p.remaining_cost_sol, p.realized_profit_sol, 0),
    ('remaining cost', CASE WHEN f.sold = 0 THEN f.invested WHEN f.sold = f.bought THEN 0 END, p.remaining_cost_sol, 0),
    ('average', round(f.invested::numeric(70, 40) / NULLIF(f.bought, 0), 24), p.purchase_price, 1e-24)
) AS fact (what, expected, found, tolerance)
WHERE abs(fact.expected - fact.found) > fact.tolerance
UNION ALL
SELECT concat_ws(' ', 'position', p.id), 'nothing left of a sold position', 0, p.remaining_amount
FROM position p WHERE p.closed_at IS NOT NULL AND p.close_reason <> 'reset'
  AND p.remaining_amount <> 0
UNION ALL
SELECT concat_ws(' ', 'position', p.id), 'at least its moon bag while it is open', p.moon_bag_amount, p.remaining_amount
FROM position p WHERE p.closed_at IS NULL AND p.moon_bag_activated AND p.remaining_amount < p.moon_bag_amount
  AND NOT EXISTS (SELECT 1 FROM exit_intent i WHERE i.position_id = p.id AND i.kind = 'close'
                  AND i.status IN ('due', 'leased'))
"""

_CLOSED_TRADES = f"""
WITH {_FILLS}, sold AS (
    SELECT * FROM position WHERE closed_at IS NOT NULL AND close_reason <> 'reset'
), trade AS (
    SELECT * FROM closed_trade WHERE origin = 'engine'
)
SELECT concat_ws(' ', 'position', COALESCE(p.id, trade.position_id)), 'one closed trade', (p.id IS NOT NULL)::int,
       (trade.id IS NOT NULL)::int
FROM sold p FULL JOIN trade ON trade.position_id = p.id
WHERE p.id IS NULL OR trade.id IS NULL
UNION ALL
SELECT concat_ws(' ', 'closed trade', trade.id), fact.what, fact.expected, fact.found
FROM trade JOIN sold p ON p.id = trade.position_id JOIN fills f ON f.id = p.id
CROSS JOIN LATERAL (VALUES
    ('profit', f.proceeds - f.invested, trade.profit_sol, 0),
    ('profit of its position', p.realized_profit_sol, trade.profit_sol, 0),
    ('amount', f.bought, trade.amount, 0),
    ('purchase price', p.purchase_price, trade.purchase_price, 0),
    ('sale price', round(f.proceeds::numeric(70, 40) / NULLIF(f.bought, 0), 24), trade.sale_price, 1e-24),
    ('change', round((f.proceeds - f.invested)::numeric(70, 40) / NULLIF(f.invested, 0) * 100, 8),
     trade.change_percent, 1e-8)
) AS fact (what, expected, found, tolerance)
WHERE abs(fact.expected - fact.found) > fact.tolerance
UNION ALL
SELECT concat_ws(' ', 'closed trade', trade.id), 'its sale is a fill of its position', 1, 0
FROM trade LEFT JOIN transaction t ON t.id = trade.sale_transaction_id AND t.position_id = trade.position_id
WHERE t.id IS NULL
UNION ALL
SELECT concat_ws(' ', 'closed trade', trade.id), 'wallet, epoch, reason and times of its position', 1, 0
FROM trade JOIN sold p ON p.id = trade.position_id
WHERE (trade.agent_id, trade.wallet_id, trade.epoch, trade.mint, trade.close_reason, trade.purchase_time,
       trade.sale_time)
    IS DISTINCT FROM (p.agent_id, p.wallet_id, p.epoch, p.mint, p.close_reason, p.opened_at, p.closed_at)
"""

_COUNTERS = f"""
WITH slot AS (
    SELECT agent_id FROM position WHERE closed_at IS NULL
    UNION ALL
    SELECT agent_id FROM trade_order WHERE slot_held AND status IN ({_IN_FLIGHT})
)
SELECT concat_ws(' ', 'agent', s.agent_id), 'open positions', count(slot.agent_id), s.open_positions
FROM agent_state s LEFT JOIN slot USING (agent_id)
GROUP BY s.agent_id HAVING count(slot.agent_id) <> s.open_positions
"""

# Verdicts without a trade are kept for a time only (`retention`); the unique constraint already forbids two.
_VERDICTS = f"""
SELECT concat_ws(' ', 'signal', s.id, 'agent', a.id), 'verdicts', 1, 0
FROM trading_signal s
JOIN agent a ON a.user_id = s.user_id AND a.created_at <= s.created_at
     AND (a.archived_at IS NULL OR a.archived_at > s.finished_at)
LEFT JOIN signal_execution e ON e.signal_id = s.id AND e.agent_id = a.id
WHERE s.status = 'done' AND s.created_at > now() - make_interval(days => 30) AND e.id IS NULL
UNION ALL
SELECT concat_ws(' ', 'signal', e.signal_id, 'agent', e.agent_id), 'orders of a pending verdict', 1, count(o.id)
FROM signal_execution e
LEFT JOIN trade_order o ON o.signal_id = e.signal_id AND o.agent_id = e.agent_id AND o.purpose = 'entry'
     AND o.status IN ({_IN_FLIGHT})
WHERE e.verdict = 'pending' GROUP BY e.id HAVING count(o.id) <> 1
UNION ALL
SELECT concat_ws(' ', 'signal', e.signal_id, 'agent', e.agent_id), 'trade and position of an executed verdict', 1, 0
FROM signal_execution e
LEFT JOIN transaction t ON t.id = e.transaction_id AND t.position_id = e.position_id AND t.agent_id = e.agent_id
LEFT JOIN position p ON p.id = e.position_id
WHERE e.verdict = 'executed' AND (t.id IS NULL OR p.id IS NULL)
"""

_EXITS = """
SELECT concat_ws(' ', 'exit intent', i.id), 'a done close sold its position', 1, 0
FROM exit_intent i JOIN position p ON p.id = i.position_id
LEFT JOIN transaction t ON t.id = i.transaction_id AND t.position_id = i.position_id
WHERE i.status = 'done' AND i.kind = 'close' AND (t.id IS NULL OR p.closed_at IS NULL)
UNION ALL
SELECT concat_ws(' ', 'exit intent', i.id), 'a done take profit or DCA filled its position so', 1, 0
FROM exit_intent i
LEFT JOIN transaction t ON t.id = i.transaction_id AND t.position_id = i.position_id
     AND (t.is_take_profit, t.is_dca) = (i.reason = 'take_profit', i.reason = 'dca')
WHERE i.status = 'done' AND i.kind = 'adjust' AND t.id IS NULL
UNION ALL
SELECT concat_ws(' ', 'transaction', i.transaction_id), 'exit intents', 1, count(*)
FROM exit_intent i WHERE i.transaction_id IS NOT NULL GROUP BY i.transaction_id HAVING count(*) > 1
"""

_ORDERS = f"""
WITH booked AS (
    SELECT o.id, sum(entry.delta) FILTER (WHERE entry.mint = '{SOL_MINT}') AS sol,
           sum(entry.delta) FILTER (WHERE entry.mint = o.mint) AS tokens
    FROM trade_order o JOIN ledger_entry entry ON entry.transaction_id = o.transaction_id
    GROUP BY o.id
)
SELECT concat_ws(' ', 'order', o.id), fact.what, fact.expected, fact.found
FROM trade_order o LEFT JOIN booked USING (id)
CROSS JOIN LATERAL (VALUES
    ('lamports booked', (o.fill ->> 'wallet_lamports_delta')::numeric, COALESCE(booked.sol, 0) * 1000000000),
    ('tokens booked', (o.fill ->> 'wallet_token_delta')::numeric,
     COALESCE(booked.tokens, 0) * power(10::numeric, o.decimals))
) AS fact (what, expected, found)
WHERE o.transaction_id IS NOT NULL AND fact.expected <> fact.found
UNION ALL
SELECT concat_ws(' ', 'order', o.id), 'a booked transaction', 1, 0
FROM trade_order o WHERE o.status IN ('landed', 'finalized') AND o.transaction_id IS NULL
UNION ALL
SELECT concat_ws(' ', 'transaction', o.transaction_id), 'orders', 1, count(*)
FROM trade_order o WHERE o.transaction_id IS NOT NULL GROUP BY o.transaction_id HAVING count(*) > 1
UNION ALL
SELECT concat_ws(' ', 'order', o.id), 'in flight in its wallet''s present books', w.epoch, o.epoch
FROM trade_order o JOIN wallet w ON w.id = o.wallet_id
WHERE o.status IN ({_IN_FLIGHT}) AND (w.released_at IS NOT NULL OR w.epoch <> o.epoch)
UNION ALL
SELECT concat_ws(' ', 'exit intent', i.id), 'orders it waits for', 1, 0
FROM exit_intent i WHERE i.status = 'leased' AND i.lease_until IS NULL AND NOT EXISTS (
    SELECT 1 FROM trade_order o WHERE o.intent_id = i.id AND o.status IN ({_IN_FLIGHT}))
"""

CHECKS = (
    BookCheck("balances", "Balances are the sum of their ledger entries", "SELECT count(*) FROM balance", _BALANCES),
    BookCheck(
        "past_epochs",
        "Past epochs are closed",
        "SELECT count(*) FROM ledger_entry l JOIN wallet w ON w.id = l.wallet_id AND w.epoch <> l.epoch",
        _PAST_EPOCHS,
    ),
    BookCheck("held", "What is held is what orders in flight put aside", "SELECT count(*) FROM balance", _HELD),
    BookCheck("transactions", "Transactions did what they say", "SELECT count(*) FROM transaction", _TRANSACTIONS),
    BookCheck(
        "fees",
        "Fees are lines of their own",
        "SELECT count(*) FROM transaction WHERE transaction_type = 'swap' AND origin = 'engine'",
        _FEES,
    ),
    BookCheck(
        "ledger", "Ledger entries stand with their transaction", "SELECT count(*) FROM ledger_entry", _LEDGER_PLACES
    ),
    BookCheck("positions", "Positions are the sum of their fills", "SELECT count(*) FROM position", _POSITIONS),
    BookCheck(
        "closed_trades",
        "Closed trades earned what came in minus what went out",
        "SELECT count(*) FROM closed_trade WHERE origin = 'engine'",
        _CLOSED_TRADES,
    ),
    BookCheck("counters", "Open positions are counted", "SELECT count(*) FROM agent_state", _COUNTERS),
    BookCheck(
        "verdicts",
        "Every agent has one verdict on every finished signal",
        "SELECT count(*) FROM signal_execution",
        _VERDICTS,
    ),
    BookCheck(
        "exits",
        "Done exits were filled, each by a fill of its own",
        "SELECT count(*) FROM exit_intent WHERE status = 'done'",
        _EXITS,
    ),
    BookCheck(
        "orders",
        "Orders are booked as the chain says, to the lamport",
        "SELECT count(*) FROM trade_order",
        _ORDERS,
    ),
)

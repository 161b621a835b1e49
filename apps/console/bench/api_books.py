"""Books of a size few desks reach, for `bench api`: a million transactions and 100,000 closed trades of one user.

Written by SQL straight into an empty database of the bench's own. Half of everything is the first agent's.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from apps.accounts.services import sessions
from apps.console.bench.traders import Trader, make_trader
from apps.core import bulk
from apps.core.money import SOL_MINT
from apps.wallets.models import Wallet

AGENTS = 10
SIGNALS = 20_000
HELD = 25
SNAPSHOT_HOURS = 2 * 365 * 24
_TOKENS = 400

_SHARES = """
CREATE TEMP TABLE bench_share AS
SELECT number, (%(wallets)s::uuid[])[number] AS wallet_id, (%(agents)s::uuid[])[number] AS agent_id
FROM generate_series(1, cardinality(%(agents)s::uuid[])) AS number;
CREATE TEMP TABLE bench_token AS
SELECT number, rpad('Bench' || number, 44, 'x') AS mint, 'BT' || number AS symbol
FROM generate_series(0, %(tokens)s - 1) AS number;
"""
#: Row n belongs to the first agent if n is even, else to each of the others in turn; row 0 is the newest.
_OWNER = "JOIN bench_share s ON s.number = CASE WHEN n %% 2 = 0 THEN 1 ELSE 2 + (n / 2) %% (%(agents)s - 1) END"
_BOUGHT = "JOIN bench_token t ON t.number = n %% %(tokens)s"
_FIRST_TIME = "now() - n * interval '45 seconds'"

_TRANSACTIONS = f"""
INSERT INTO transaction (id, epoch, transaction_type, origin, transaction_time, value_usd, input_mint, input_symbol,
    input_amount, input_price, output_mint, output_symbol, output_amount, output_price, slippage_percent, price_impact,
    network_fee_sol, protocol_fee_sol, fees_sol, is_dca, is_take_profit, routes, agent_id, wallet_id)
SELECT gen_random_uuid(), 1, 'swap', 'engine', {_FIRST_TIME}, 150 + n %% 70, %(sol)s, 'SOL',
    1 + n %% 7 * 0.1, 1, t.mint, t.symbol, 12345.678901 + n %% 1000, 0.00008123, 0.5, 0.001,
    0.000005, 0.001, 0.001005, n %% 10 = 0, n %% 15 = 0,
    '{{"routePlan": [{{"percent": 100, "swapInfo": {{"label": "Pool", "ammKey": "A", "inAmount": "1", "outAmount": "2"}}}}]}}',
    s.agent_id, s.wallet_id
FROM generate_series(0, %(count)s - 1) AS n {_OWNER} {_BOUGHT}
"""  # noqa: E501 - the JSON is one literal
_CLOSED = f"""
INSERT INTO closed_trade (id, epoch, origin, mint, symbol, amount, purchase_price, sale_price, change_percent,
    profit_sol, profit_usd, purchase_time, sale_time, close_reason, agent_id, wallet_id)
SELECT gen_random_uuid(), 1, 'engine', t.mint, t.symbol, 12345.678901, 0.00008, 0.00008 * (0.7 + n %% 100 * 0.01),
    -30 + n %% 100, -0.3 + n %% 100 * 0.01, -45 + n %% 100 * 1.5, {_FIRST_TIME} - interval '3 hours', {_FIRST_TIME},
    'stop_loss', s.agent_id, s.wallet_id
FROM generate_series(0, %(count)s - 1) AS n {_OWNER} {_BOUGHT}
"""
_SNAPSHOTS = """
INSERT INTO balance_snapshot (epoch, hour, portfolio_sol, sol_balance, positions_value_sol, unrealized_profit_sol,
    estimated, agent_id, wallet_id)
SELECT 1, date_trunc('hour', now()) - n * interval '1 hour', 1000 + n %% 50, 900, 100 + n %% 50, n %% 20 - 10, FALSE,
    s.agent_id, s.wallet_id
FROM generate_series(0, %(hours)s - 1) AS n CROSS JOIN bench_share s
"""
_SIGNALS = f"""
INSERT INTO trading_signal (token_address, symbol, signal_type, signal_strength, source, status, attempts, finished_at,
    created_at, user_id)
SELECT t.mint, t.symbol, 'Momentum', 1 + n %% 5, 'bench', 'done', 1, now(), {_FIRST_TIME}, %(user)s
FROM generate_series(0, %(count)s - 1) AS n {_BOUGHT}
"""
_HELD = """
WITH bought AS (
    INSERT INTO transaction (id, epoch, transaction_type, origin, transaction_time, input_mint, input_symbol,
        input_amount, input_price, output_mint, output_symbol, output_amount, output_price, network_fee_sol,
        protocol_fee_sol, fees_sol, is_dca, is_take_profit, agent_id, wallet_id)
    SELECT gen_random_uuid(), 1, 'swap', 'engine', now() - interval '1 hour', %(sol)s, 'SOL', 1, 1, t.mint, t.symbol,
        10000, 0.0001, 0, 0, 0, FALSE, FALSE, s.agent_id, s.wallet_id
    FROM bench_share s JOIN bench_token t ON t.number < %(held)s
    RETURNING *
)
INSERT INTO position (id, agent_id, wallet_id, epoch, mint, symbol, decimals, purchase_transaction_id, purchase_price,
    purchase_amount, remaining_amount, total_invested_sol, remaining_cost_sol, realized_profit_sol, proceeds_sol,
    generation, stop_percent, stop_price_sol, peak_price_sol, peak_from_tick, peak_generation, dca_count,
    take_profit_levels_hit, take_profit_start_level, moon_bag_activated, opened_at, close_reason, created_at,
    updated_at)
SELECT gen_random_uuid(), agent_id, wallet_id, 1, output_mint, output_symbol, 6, id, 0.0001, 10000, 10000, 1, 1, 0, 0,
    1, -90, 0.00001, 0.0001, 0, 1, 0, 0, 0, FALSE, transaction_time, '', now(), now()
FROM bought
"""


@dataclass(frozen=True, slots=True)
class Books:
    """Whose books they are, and what a client needs to read them."""

    trader: Trader
    agent_id: UUID
    wallet_address: str
    access_token: str


def fill(*, transactions: int, closed_trades: int) -> Books:
    """Fill an empty, migrated database and analyse it."""
    trader = make_trader(AGENTS)
    shared = {"agents": AGENTS, "tokens": _TOKENS}
    bulk.execute(_SHARES, {"wallets": list(trader.wallet_ids), "agents": list(trader.agent_ids), "tokens": _TOKENS})
    bulk.execute(_TRANSACTIONS, {**shared, "count": transactions, "sol": SOL_MINT})
    bulk.execute(_CLOSED, {**shared, "count": closed_trades})
    bulk.execute(_HELD, {"sol": SOL_MINT, "held": HELD})
    bulk.execute(_SNAPSHOTS, {"hours": SNAPSHOT_HOURS})
    bulk.execute(_SIGNALS, {**shared, "count": SIGNALS, "user": trader.user.pk})
    for table in ("transaction", "position", "closed_trade", "balance_snapshot", "trading_signal"):
        bulk.execute(f"VACUUM ANALYZE {table}")
    wallet = Wallet.objects.get(agent_id=trader.agent_ids[0])
    pair = sessions.open_session(user=trader.user, remember=True)
    return Books(trader, trader.agent_ids[0], wallet.address, pair.access_token)

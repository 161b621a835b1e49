"""The position book alone: a batch in which every token ticks, half of them to new highs, one in a thousand firing.

Runs on a database of its own (`manage.py bench exits` starts one), which it fills. The book is read, kept in step and
evaluated as the watch does it; selling is not measured here.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

from django.core.management.base import CommandError

from apps.accounts.models import User
from apps.agents.models import Agent, TradingMode
from apps.console.bench.report import Row, percentile
from apps.core import bulk
from apps.core.money import quantize_price
from apps.prices.domain.points import PricePoint, PriceSource
from apps.trading.book.book import PositionBook
from apps.trading.book.judging import Evaluation
from apps.trading.book.reading import IntentRow
from apps.trading.models import IntentKind, IntentStatus
from apps.wallets.models import Wallet

_PER_AGENT = 25
_FALL, _RISE = Decimal("0.999"), Decimal("1.002")
_WARM_UP_ROUNDS = 3
_CHANGED = 100
_EXITS = {"takeProfit": {"enabled": True}, "dca": {"enabled": True}}
_LEVELS = [{"change": change, "stopLoss": change - 15} for change in (200, 100, 50, 20)]
_CONFIGS = (
    _EXITS,
    {**_EXITS, "stopLoss": {"mode": "exponential"}},
    {**_EXITS, "stopLoss": {"mode": "zones"}},
    {**_EXITS, "stopLoss": {"mode": "custom", "trailingLevels": _LEVELS}},
)

# Bought between 10 % above and 25 % below the token's price now; stops anywhere from half of the price to just below
# it, so that a fall of 0.1 % meets one in five hundred of those that fall.
_FILL = """
INSERT INTO position (id, agent_id, wallet_id, epoch, mint, symbol, decimals, purchase_transaction_id, purchase_price,
    purchase_amount, remaining_amount, total_invested_sol, remaining_cost_sol, realized_profit_sol, proceeds_sol,
    generation, stop_percent, stop_price_sol, peak_price_sol, peak_from_tick, peak_generation, dca_count,
    take_profit_levels_hit, take_profit_start_level, moon_bag_activated, opened_at, close_reason, created_at,
    updated_at)
SELECT gen_random_uuid(), agent_id, wallet_id, 1, mint, 'BENCH', 6, gen_random_uuid(), average, 1000, 1000,
    average * 1000, average * 1000, 0, 0, 1, (level / average - 1) * 100, level, greatest(average, price), 0, 1, 0,
    0, 0, false, now() - random() * interval '50 minutes', '', now(), now()
FROM (
    SELECT w.agent_id, w.id AS wallet_id, t.mint, t.price,
           (t.price * (0.75 + 0.35 * random()))::numeric(40, 24) AS average,
           (t.price * (0.5 + 0.4999 * random()))::numeric(40, 24) AS level
    FROM (SELECT id, agent_id, row_number() OVER (ORDER BY id) - 1 AS n FROM wallet) w
    CROSS JOIN generate_series(0, %(per_agent)s - 1) AS k
    JOIN unnest(%(mints)s::text[], %(prices)s::float8[]) WITH ORDINALITY AS t (mint, price, place)
      ON t.place = 1 + (w.n * %(per_agent)s + k) %% %(tokens)s
    LIMIT %(positions)s
) bought
"""


def measure(counts: Sequence[int], rounds: int, say: Callable[[str], None]) -> list[Row]:
    """Fill the database step by step to each number of positions and measure the book at each; rows per number.

    Raises:
        CommandError: the database is somebody's.
    """
    if Agent.objects.exists():
        raise CommandError("This bench fills the database it runs on: it needs an empty one.")
    rows: list[Row] = []
    for positions in sorted(counts):
        prices = _fill(positions, say)
        rows += _measure_one(positions, prices, rounds, say)
    return rows


def _fill(positions: int, say: Callable[[str], None]) -> dict[str, Decimal]:
    """Put exactly `positions` open positions into the database; return the price of each token."""
    say(f"filling in {positions} positions")
    bulk.execute("TRUNCATE position CASCADE")
    user = User.objects.first() or User.objects.create_user("bench@bench.soldesk.local", None)
    missing = -(-positions // _PER_AGENT) - Agent.objects.count()
    agents = [
        Agent(user=user, name=f"Bench {number}", trading_config=_CONFIGS[number % len(_CONFIGS)])
        for number in range(missing)
    ]
    Agent.objects.bulk_create(agents, batch_size=2_000)
    Wallet.objects.bulk_create(
        [
            Wallet(agent=agent, wallet_type=TradingMode.SIMULATION, address=f"sim_bench{uuid4().hex}"[:44])
            for agent in agents
        ],
        batch_size=2_000,
    )
    tokens = max(_PER_AGENT, min(1_000, positions // 500))
    prices = {f"Bench{number:05d}{'1' * 34}": Decimal(number + 1).scaleb(-6) for number in range(tokens)}
    bulk.execute(
        _FILL,
        {
            "mints": list(prices),
            "prices": [float(price) for price in prices.values()],
            "tokens": tokens,
            "per_agent": _PER_AGENT,
            "positions": positions,
        },
    )
    bulk.execute("ANALYZE position")
    return prices


def _measure_one(positions: int, prices: dict[str, Decimal], rounds: int, say: Callable[[str], None]) -> list[Row]:
    book = PositionBook(0, 1)
    began = time.perf_counter()
    book.synchronise()
    load_ms = (time.perf_counter() - began) * 1000
    say(f"{positions} positions: read in {load_ms / 1000:.1f} s")
    gc.collect()
    gc.freeze()
    evaluations, whole, fired = [], [], 0
    for number in range(rounds + _WARM_UP_ROUNDS):
        trusted = _tick(prices)
        began = time.perf_counter()
        book.synchronise()
        in_step = time.perf_counter()
        done = book.evaluate(trusted, {}, now=datetime.now(UTC))
        ended = time.perf_counter()
        _close(book, done)
        if number >= _WARM_UP_ROUNDS:
            evaluations.append((ended - in_step) * 1000)
            whole.append((ended - began) * 1000)
            fired += len(done.fired)
    gc.unfreeze()
    figures = {
        "ns_per_position": round(percentile(evaluations, 50) * 1e6 / positions, 1),
        "fired_per_batch": round(fired / rounds, 1),
        "bytes_per_position": round(book.columns.bytes_held / positions),
        "tokens": len(prices),
    }
    return [
        Row(f"{positions} positions, evaluate a batch", evaluations, extra=figures),
        Row(f"{positions} positions, synchronise and evaluate", whole),
        Row(f"{positions} positions, take over {_CHANGED} changed", _changes(book, rounds)),
        Row(f"{positions} positions, read from the database", [load_ms]),
    ]


def _tick(prices: dict[str, Decimal]) -> dict[str, PricePoint]:
    """Let every other token rise to a new high and the others fall a little."""
    at = datetime.now(UTC)
    for place, mint in enumerate(prices):
        prices[mint] = quantize_price(prices[mint] * (_RISE if place % 2 else _FALL))
    return {mint: PricePoint(mint, price, None, PriceSource.JUPITER, None, at) for mint, price in prices.items()}


def _close(book: PositionBook, done: Evaluation) -> None:
    """Let what fired count as being sold, as its intents would."""
    book.note_intents(
        IntentRow(item.position.id, IntentKind.CLOSE, IntentStatus.DUE, True, "")
        for item in done.fired
        if item.verdict.closes
    )


def _changes(book: PositionBook, rounds: int) -> list[float]:
    """Let some positions be sold in part, as a booking does, and measure how long it takes the book to know."""
    samples = []
    for _ in range(rounds):
        bulk.execute(
            "UPDATE position SET generation = generation + 1, remaining_amount = remaining_amount * 0.99"
            " WHERE id IN (SELECT id FROM position LIMIT %s)",
            [_CHANGED],
        )
        began = time.perf_counter()
        book.synchronise()
        samples.append((time.perf_counter() - began) * 1000)
    return samples

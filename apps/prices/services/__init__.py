"""What changes prices: polling the sources, recording ticks, making candles of them, meeting tokens, following
SOL/USD, telling how polls go.

The reads that go with them (`latest_prices`, `sol_usd`) are in `apps.prices.selectors` and named here too.
"""

from apps.prices.selectors import latest_prices, price_at, sol_usd, usable_sol_usd
from apps.prices.services.candles import make_candles
from apps.prices.services.fetching import FetchResult, fetch_prices, poll_interval_seconds
from apps.prices.services.polling import note_poll
from apps.prices.services.pruning import prune_candles, prune_ticks
from apps.prices.services.sol_price import record_sol_usd
from apps.prices.services.ticks import record_ticks
from apps.prices.services.tokens import ensure_tokens, token_metrics

__all__ = [
    "FetchResult",
    "ensure_tokens",
    "fetch_prices",
    "latest_prices",
    "make_candles",
    "note_poll",
    "poll_interval_seconds",
    "price_at",
    "prune_candles",
    "prune_ticks",
    "record_sol_usd",
    "record_ticks",
    "sol_usd",
    "token_metrics",
    "usable_sol_usd",
]

"""Meeting tokens: decimals and names stored once, and the size of a token's market when somebody asks for it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable

import structlog

from apps.core import bulk
from apps.core.http import Lane, ProviderError
from apps.prices.adapters import jupiter_tokens
from apps.prices.domain.tokens import SOL, TokenFacts, TokenMetrics, is_mint_shaped
from apps.prices.models import Token

log = structlog.get_logger(__name__)

METRICS_DEADLINE_SECONDS = 8.0
FACTS_DEADLINE_SECONDS = 5.0
_REMEMBERED_TOKENS = 10_000
#: A mint nobody knew is not looked up again for this long: the provider may list it any minute.
_UNKNOWN_SECONDS = 10.0

_lock = threading.Lock()
_known: OrderedDict[str, TokenFacts] = OrderedDict()
_unknown_until: dict[str, float] = {}


def ensure_tokens(
    mints: Iterable[str], *, lane: Lane = Lane.ENTRY_QUOTE, deadline_seconds: float = FACTS_DEADLINE_SECONDS
) -> dict[str, TokenFacts]:
    """Return the facts of each mint, from memory, the database or the provider; new ones are stored.

    A mint that nobody knows is left out: whether that makes it TOKEN_NOT_TRADABLE is the caller's decision.

    Raises:
        ProviderError: when a mint is not known here and the provider could not be asked.
    """
    wanted = list(dict.fromkeys(mints))
    found = _remembered(wanted)
    if len(found) < len(wanted):
        found |= _remember(_stored([mint for mint in wanted if mint not in found]))
    missing = [mint for mint in wanted if mint not in found and _worth_asking(mint)]
    if missing:
        rows = jupiter_tokens.find_rows(missing, lane=lane, deadline_seconds=deadline_seconds)
        facts = [fact for mint, row in rows.items() if (fact := jupiter_tokens.read_facts(mint, row)) is not None]
        found |= _remember(_store(facts))
        _note_unknown([mint for mint in missing if mint not in found])
    return found


def token_metrics(mint: str, *, deadline_seconds: float = METRICS_DEADLINE_SECONDS) -> TokenMetrics | None:
    """Return market cap, liquidity (USD) and holders of exactly this mint, or None when they cannot be known now."""
    if not is_mint_shaped(mint):
        return None
    try:
        row = jupiter_tokens.find_rows([mint], lane=Lane.REST, deadline_seconds=deadline_seconds).get(mint)
    except ProviderError as error:
        log.warning("token_metrics_unknown", mint=mint, code=error.code)
        return None
    return None if row is None else jupiter_tokens.read_metrics(mint, row)


def forget_tokens() -> None:
    """Forget what this process remembers of tokens."""
    with _lock:
        _known.clear()
        _unknown_until.clear()


def _remembered(mints: list[str]) -> dict[str, TokenFacts]:
    with _lock:
        found = {mint: _known[mint] for mint in mints if mint in _known}
        for mint in found:
            _known.move_to_end(mint)
    if SOL.mint in mints:
        found[SOL.mint] = SOL
    return found


def _remember(facts: dict[str, TokenFacts]) -> dict[str, TokenFacts]:
    with _lock:
        _known.update(facts)
        while len(_known) > _REMEMBERED_TOKENS:
            _known.popitem(last=False)
    return facts


def _worth_asking(mint: str) -> bool:
    return is_mint_shaped(mint) and time.monotonic() >= _unknown_until.get(mint, 0.0)


def _note_unknown(mints: list[str]) -> None:
    now = time.monotonic()
    with _lock:
        if len(_unknown_until) > _REMEMBERED_TOKENS:
            _unknown_until.clear()
        for mint in mints:
            _unknown_until[mint] = now + _UNKNOWN_SECONDS


def _stored(mints: list[str]) -> dict[str, TokenFacts]:
    rows = Token.objects.filter(mint__in=mints).values_list("mint", "symbol", "name", "decimals")
    return {row[0]: TokenFacts(*row) for row in rows}


def _store(facts: list[TokenFacts]) -> dict[str, TokenFacts]:
    """Store new tokens and return what is stored: a token's decimals never change."""
    if not facts:
        return {}
    bulk.execute(
        "INSERT INTO token (mint, symbol, name, decimals)"
        " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::smallint[]) ON CONFLICT (mint) DO NOTHING",
        [
            [fact.mint for fact in facts],
            [fact.symbol for fact in facts],
            [fact.name for fact in facts],
            [fact.decimals for fact in facts],
        ],
    )
    return _stored([fact.mint for fact in facts])

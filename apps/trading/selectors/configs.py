"""Stored configurations as the engine reads them, remembered by their text: many agents share few documents."""

from __future__ import annotations

from functools import lru_cache

import orjson

from apps.agents.domain import trading_config
from apps.agents.domain.trading_config import InvalidConfig, TradingConfig


@lru_cache(maxsize=8192)
def read_config(stored: str | None) -> TradingConfig | None:
    """Return the configuration of a stored JSON document, None when it no longer validates."""
    try:
        return trading_config.load(None if stored is None else orjson.loads(stored))
    except InvalidConfig:
        return None

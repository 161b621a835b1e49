"""The market's state on disk, so that a restarted sandbox goes on at its prices instead of jumping back to the first.

A file of another seed, or one that cannot be read, is left out with a log line: the market then opens anew.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import orjson

from apps.sandbox.domain import resume
from apps.sandbox.domain.market import Market

log = logging.getLogger("sandbox.state")

SAVE_EVERY_SECONDS = 2.0


def load(path: Path, market: Market) -> bool:
    """Let `market` go on from the file; says whether it did."""
    try:
        document = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return False
    except (OSError, orjson.JSONDecodeError) as error:
        log.warning("sandbox_state_unreadable path=%s error=%s", path, error)
        return False
    try:
        adopted = resume.adopt(market, document)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        log.warning("sandbox_state_malformed path=%s error=%r", path, error)
        market.restore()
        return False
    log.info(
        "%s path=%s tick=%d", "sandbox_resumed" if adopted else "sandbox_state_of_another_market", path, market.tick
    )
    return adopted


def save(path: Path, market: Market) -> None:
    """Write the state; the file is whole at every moment, the old one or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(orjson.dumps(resume.to_document(market)))
    fresh.replace(path)


async def keep(path: Path, market: Market) -> None:
    """Save every few seconds until cancelled."""
    while True:
        await asyncio.sleep(SAVE_EVERY_SECONDS)
        try_to_save(path, market)


def try_to_save(path: Path, market: Market) -> None:
    """Save; a full or read-only disk costs a log line, not the market."""
    try:
        save(path, market)
    except OSError as error:
        log.warning("sandbox_state_not_saved path=%s error=%s", path, error)

"""What the rules hold for open positions, by their agents' configurations as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from apps.agents.domain import trading_config
from apps.agents.domain.trading_config import InvalidConfig
from apps.core import bulk
from apps.trading.domain import exit_plan
from apps.trading.domain.dca import DcaView
from apps.trading.domain.exit_plan import ExitPlan, Progress
from apps.trading.domain.take_profit import TakeProfitView
from apps.trading.models import Position
from apps.trading.selectors.configs import read_config


@dataclass(frozen=True, slots=True)
class LevelCounts:
    """How many levels an agent's positions may go through: zero where the rule is off."""

    take_profit: int
    dca: int


def level_counts() -> Mapping[UUID, LevelCounts]:
    """Return the counts of every agent with open positions, by its id; one whose configuration broke is left out."""
    rows = bulk.fetch_all(
        "SELECT a.id, a.trading_config::text FROM agent a"
        " WHERE EXISTS (SELECT 1 FROM position p WHERE p.agent_id = a.id AND p.closed_at IS NULL)"
    )
    configs = {agent_id: read_config(stored) for agent_id, stored in rows}
    return {
        agent_id: LevelCounts(
            take_profit=len(config.take_profit.levels) if config.take_profit.enabled else 0,
            dca=exit_plan.dca_maximum(config.dca) if config.dca.enabled else 0,
        )
        for agent_id, config in configs.items()
        if config is not None
    }


def of_position(position: Position) -> ExitPlan | None:
    """Return what the rules hold for a position (its agent loaded with it); no query.

    None when it is closed, or when its agent's configuration no longer validates.
    """
    if position.closed_at is not None:
        return None
    try:
        config = trading_config.load(position.agent.trading_config)
    except InvalidConfig:
        return None
    return exit_plan.plan(_progress(position), config)


def _progress(position: Position) -> Progress:
    ladder = TakeProfitView(
        average_price=position.purchase_price,
        bought_tokens=position.purchase_amount,
        remaining_tokens=position.remaining_amount,
        levels_hit=position.take_profit_levels_hit,
        batch_start=position.take_profit_start_level,
        total_levels=position.take_profit_total_levels,
        moon_bag_active=position.moon_bag_activated,
        moon_bag_tokens=position.moon_bag_amount,
    )
    adding = DcaView(
        average_price=position.purchase_price,
        bought_tokens=position.purchase_amount,
        remaining_tokens=position.remaining_amount,
        moon_bag_active=position.moon_bag_activated,
        moon_bag_tokens=position.moon_bag_amount,
        count=position.dca_count,
    )
    return Progress(ladder, adding, position.opened_at, position.last_dca_at)

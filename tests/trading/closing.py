"""What tests of watching and closing share: an open position in a token of the sandbox, and books that must balance."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.agents.models import Agent
from apps.prices.models import Token
from apps.trading.models import Position
from apps.trading.services import audit_books
from tests import factories
from tests.sandbox_server import SandboxControl, SandboxToken


def hold(agent: Agent, token: SandboxToken, *, invested: str = "1", **fields: Any) -> Position:
    """Open a position of `invested` SOL at the token's price, in whole base units as every bought amount is."""
    known = stored(token)
    price = fields.pop("price", str(token.price_sol))
    tokens = (Decimal(invested) / Decimal(price)).quantize(Decimal(1).scaleb(-token.decimals))
    spent = (tokens * Decimal(price)).quantize(Decimal("1e-9"))
    return factories.make_position(agent, known, invested=str(spent), price=str(spent / tokens), **fields)


def stored(token: SandboxToken) -> Token:
    return factories.make_token(token.symbol, mint=token.mint, decimals=token.decimals)


def agent_holding(market: SandboxControl, number: int = 1, **token_options: Any) -> tuple[Agent, list[Position]]:
    """Return an agent with a position in each of `number` tokens of its own."""
    agent = factories.make_agent(sol="100", max_open_positions=max(25, number))
    return agent, [hold(agent, token) for token in market.add_tokens(number, **token_options)]


def differences() -> list[str]:
    """Return what the audit finds; a test that books something ends with `== []`."""
    return [str(difference) for difference in audit_books.audit_books().differences]


def at(position: Position, percent: str) -> Decimal:
    """Return the price that stands `percent` from the position's average."""
    return position.purchase_price * (1 + Decimal(percent) / 100)


def stored_by_mint(mint: str) -> Token:
    return Token.objects.get(mint=mint)

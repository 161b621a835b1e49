"""Jupiter: Swap V2, Price V3 and Tokens V2 under one base URL.

Amounts are strings of integers, prices JSON numbers, and a token without a price is left out, as the provider does it.
"""

from __future__ import annotations

from aiohttp import web

from apps.sandbox.http.jupiter import price, swap, tokens


def routes(prefix: str) -> list[web.RouteDef]:
    """Return Jupiter's routes under a path prefix."""
    return [
        web.get(f"{prefix}/swap/v2/order", swap.order),
        web.get(f"{prefix}/price/v3", price.prices),
        web.get(f"{prefix}/tokens/v2/search", tokens.search),
        web.get(f"{prefix}/tokens/v2/tag", tokens.tagged),
        web.get(f"{prefix}/tokens/v2/recent", tokens.recent),
        web.get(f"{prefix}/tokens/v2/{{category}}/{{interval}}", tokens.category),
    ]

"""Jupiter: Swap V2 (and Ultra, its older name), Swap V1, Price V3 and Tokens V2 under one base URL.

Amounts are strings of integers, prices JSON numbers, and a token without a price is left out, as the provider does it.
"""

from __future__ import annotations

from aiohttp import web

from apps.sandbox.http.jupiter import execute, metis, price, swap, tokens


def routes(prefix: str) -> list[web.RouteDef]:
    """Return Jupiter's routes under a path prefix."""
    return [
        *(
            route
            for product in ("swap/v2", "ultra/v1")
            for route in (
                web.get(f"{prefix}/{product}/order", swap.order),
                web.post(f"{prefix}/{product}/execute", execute.execute),
            )
        ),
        web.get(f"{prefix}/swap/v1/quote", metis.quote),
        web.post(f"{prefix}/swap/v1/swap", metis.swap),
        web.get(f"{prefix}/swap/v1/program-id-to-label", metis.labels),
        web.get(f"{prefix}/price/v3", price.prices),
        web.get(f"{prefix}/tokens/v2/search", tokens.search),
        web.get(f"{prefix}/tokens/v2/tag", tokens.tagged),
        web.get(f"{prefix}/tokens/v2/recent", tokens.recent),
        web.get(f"{prefix}/tokens/v2/{{category}}/{{interval}}", tokens.category),
    ]

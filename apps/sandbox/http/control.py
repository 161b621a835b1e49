"""The control API: prices, extra tokens and the signal source; what plays is in `scenarios.py`, what goes wrong in
`fault_routes.py`, the chain in `chain.py`.

Every refusal is JSON with a code and, where there is one, the field. A browser page of another origin may not steer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from apps.core.money import SOL_MINT, lamports_to_sol
from apps.sandbox.domain import tokens
from apps.sandbox.domain.listing import Listing
from apps.sandbox.domain.market import UnknownToken
from apps.sandbox.domain.mints import MintExtension, MintRules
from apps.sandbox.domain.pools import PoolOutOfRange
from apps.sandbox.domain.tokens import USDC_MINT, Rest, TokenOrder
from apps.sandbox.domain.views import MarketView
from apps.sandbox.http import chain, fault_routes
from apps.sandbox.http.body import BadRequest, Fields
from apps.sandbox.http.runtime import RUNTIME, Runtime, json_response
from apps.sandbox.http.scenarios import LEAST_PRICE, MOST_PRICE, playing_documents
from apps.sandbox.http.targets import held_mints, one_mint, price_document

MAX_ADDED_TOKENS = 500
MAX_PREFIX_LENGTH = 12
PREFIX_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def refuse_politely(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals of the control API into coded JSON, and keep other sites' pages from steering."""
    if not request.path.startswith("/control"):
        return await handler(request)
    origin = request.headers.get("Origin")
    if request.method != "GET" and origin is not None and origin != f"{request.scheme}://{request.host}":
        return _refusal(BadRequest("FOREIGN_ORIGIN", "only this sandbox's own page may steer it", status=403))
    try:
        return await handler(request)
    except BadRequest as refused:
        return _refusal(refused)
    except UnknownToken as unknown:
        return _refusal(BadRequest("UNKNOWN_TOKEN", f"no token {unknown} is listed", field="mint", status=404))
    except PoolOutOfRange as refused:
        return _refusal(BadRequest("PRICE_OUT_OF_RANGE", str(refused), field="price_sol"))


def _refusal(refused: BadRequest) -> web.Response:
    body: dict[str, Any] = {"code": refused.code, "message": refused.message}
    if refused.field is not None:
        body["field"] = refused.field
    return json_response(body, status=refused.status)


async def get_state(request: web.Request) -> web.Response:
    """GET /control/state."""
    return json_response(state_document(request.app[RUNTIME]))


async def add_tokens(request: web.Request) -> web.Response:
    """POST /control/tokens: list tokens PREFIX1 to PREFIXn; those listed already go back to their launch state."""
    runtime = request.app[RUNTIME]
    added = []
    for order in _orders(await Fields.of(request)):
        token = tokens.ordered_token(runtime.market.seed, order)
        if token is None:
            raise BadRequest(
                "POOL_OUT_OF_RANGE", "this price and liquidity do not fit a 64-bit pool", field="liquidity_sol"
            )
        added.append(token)
    runtime.market.add(added)
    runtime.engine.moved()
    view = runtime.market.view
    rows = [_token_document(runtime.market.listing(token.mint), view) for token in added]
    return json_response({"tokens": rows}, status=201)


def _orders(fields: Fields) -> list[TokenOrder]:
    count = fields.integer("count", least=1, most=MAX_ADDED_TOKENS, default=1)
    prefix = fields.text("prefix", default="TEST").upper()
    rest = Rest(fields.choice("scenario", list(Rest), default=Rest.STILL))
    decimals = fields.integer("decimals", least=0, most=12, default=6)
    price_sol = fields.number("price_sol", least=LEAST_PRICE, most=MOST_PRICE, default=Decimal("0.00004"))
    liquidity_sol = fields.number("liquidity_sol", least=Decimal("0.01"), most=Decimal("1e9"), default=Decimal(5_000))
    volatility = fields.number("volatility_percent", least=Decimal(0), most=Decimal(100), default=Decimal(5))
    pool_fee_bps = fields.integer("pool_fee_bps", least=0, most=1_000)
    rules = _rules(fields)
    fields.done()
    if len(prefix) > MAX_PREFIX_LENGTH or not set(prefix) <= PREFIX_LETTERS:
        raise BadRequest("INVALID_FIELD", "prefix must be 1 to 12 letters and digits", field="prefix")
    return [
        TokenOrder(prefix, number, rest, decimals, price_sol, liquidity_sol, float(volatility), pool_fee_bps, rules)
        for number in range(1, count + 1)
    ]


def _rules(fields: Fields) -> MintRules:
    """Return what the mint of an added token allows its maker: nothing, unless it is asked for."""
    names = fields.texts("extensions", at_most=len(MintExtension))
    for name in names:
        if name not in list(MintExtension):
            raise BadRequest("INVALID_FIELD", f"extensions must be of {', '.join(MintExtension)}", field="extensions")
    return MintRules.of(
        mint_authority=bool(fields.flag("mint_authority")),
        freeze_authority=bool(fields.flag("freeze_authority")),
        token_2022=bool(fields.flag("token_2022")),
        extensions=[MintExtension(name) for name in names],
    )


async def set_price(request: web.Request) -> web.Response:
    """POST /control/price: put one token at a price now; SOL takes `price_usd`."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    mint = one_mint(fields, runtime.market)
    price_sol = fields.number("price_sol", least=LEAST_PRICE, most=MOST_PRICE)
    price_usd = fields.number("price_usd", least=Decimal("1e-9"), most=Decimal("1e12"))
    fields.done()
    market = runtime.market
    if mint == SOL_MINT:
        if price_usd is None or price_sol is not None:
            raise BadRequest("INVALID_FIELD", "SOL has its price in dollars: give price_usd alone", field="price_usd")
        market.set_price(USDC_MINT, 1 / price_usd)
    elif price_sol is not None and price_usd is None:
        market.set_price(mint, price_sol)
    elif price_usd is not None and price_sol is None:
        market.set_price(mint, price_usd / Decimal(market.view.sol_usd_e8).scaleb(-8))
    else:
        raise BadRequest("REQUIRED_FIELD", "give either price_sol or price_usd", field="price_sol")
    runtime.engine.follow_scripts()
    runtime.engine.moved()
    return json_response(price_document(mint, market.view))


async def restore(request: web.Request) -> web.Response:
    """POST /control/reset: every token back to its launch state, all faults off."""
    runtime = request.app[RUNTIME]
    runtime.market.restore()
    runtime.faults.clear()
    runtime.chain.faults.clear()
    runtime.engine.follow_scripts()
    runtime.engine.moved()
    return json_response(state_document(runtime))


async def steer_market(request: web.Request) -> web.Response:
    """POST /control/market: `{"autonomous": bool}` lets the demo market play scenarios of its own, or not."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    autonomous = fields.flag("autonomous")
    fields.done()
    if autonomous is not None:
        runtime.market.autonomous = autonomous
    runtime.engine.moved()
    return json_response({"autonomous": runtime.market.autonomous})


async def steer_signals(request: web.Request) -> web.Response:
    """POST /control/signals: pause or resume the signal source, or change its pace."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    enabled = fields.flag("enabled")
    interval = fields.number("interval_seconds", least=Decimal("0.05"), most=Decimal(3_600))
    fields.done()
    runtime.signals.steer(enabled=enabled, interval_seconds=None if interval is None else float(interval))
    runtime.engine.moved()
    return json_response(runtime.signals.as_document())


# Shared


def _token_document(listing: Listing, view: MarketView) -> dict[str, Any]:
    token = listing.token
    pool = view.pools[token.mint]
    return {
        **price_document(token.mint, view),
        "symbol": token.symbol,
        "name": token.name,
        "decimals": token.decimals,
        "scenario": listing.scenario,
        "is_demo": token.is_demo,
        "volatility_percent": token.volatility_percent,
        "liquidity_sol": str(lamports_to_sol(pool.sol_reserve)),
        "liquidity_usd": round(view.liquidity_usd(token.mint), 2),
        "market_cap_usd": round(view.usd_price(token.mint) * token.supply, 2),
        "change_percent": {
            name: round(window.change_percent(pool.price_number()), 3)
            for name, window in listing.activity.windows().items()
        },
        "pool": {
            "address": pool.address,
            "base_reserve": str(pool.base_reserve),
            "sol_reserve": str(pool.sol_reserve),
            "fee_bps": pool.fee_bps,
        },
    }


def state_document(runtime: Runtime) -> dict[str, Any]:
    """Return everything the page and the tests may want to know."""
    view = runtime.market.view
    return {
        "seed": runtime.market.seed,
        "tick": view.tick,
        "tick_ms": runtime.market.tick_ms,
        "fee_bps": runtime.options.fee_bps,
        "autonomous": runtime.market.autonomous,
        "time": view.observed_at,
        "sol_usd": view.sol_usd,
        "tokens": [
            _token_document(listing, view) for mint, listing in runtime.market.listings.items() if mint != USDC_MINT
        ],
        "playing": playing_documents(runtime),
        "held": held_mints(runtime),
        "faults": fault_routes.documents(runtime),
        "chain": chain.document(runtime),
        "signals": runtime.signals.as_document(),
    }


def routes() -> list[web.RouteDef]:
    """Return the control API's routes."""
    return [
        web.get("/control/state", get_state),
        web.post("/control/tokens", add_tokens),
        web.post("/control/price", set_price),
        web.post("/control/reset", restore),
        web.post("/control/market", steer_market),
        *fault_routes.routes(),
        *chain.routes(),
        web.post("/control/signals", steer_signals),
    ]

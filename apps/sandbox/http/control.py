"""The control API: prices, extra tokens, faults and the signal source. What plays on a token is in `scenarios.py`.

Every refusal is JSON with a code and, where there is one, the field. A browser page of another origin may not steer.
"""

from __future__ import annotations

import time
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
from apps.sandbox.domain.sources import Source
from apps.sandbox.domain.tokens import USDC_MINT, Rest, TokenOrder
from apps.sandbox.domain.views import MarketView
from apps.sandbox.faults import ONLY_OF, FaultKind
from apps.sandbox.http.body import BadRequest, Fields
from apps.sandbox.http.runtime import RUNTIME, Runtime, json_response
from apps.sandbox.http.scenarios import LEAST_PRICE, MOST_PRICE, playing_documents
from apps.sandbox.http.targets import held_mints, listed, one_mint, price_document

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


async def list_faults(request: web.Request) -> web.Response:
    """GET /control/faults."""
    return json_response({"faults": _fault_documents(request.app[RUNTIME])})


async def add_fault(request: web.Request) -> web.Response:
    """POST /control/faults: switch a fault on at one source, at several, or at "all"."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    sources = _sources(fields.texts("source", at_most=len(Source)))
    kind = FaultKind(fields.choice("kind", list(FaultKind)))
    sources = [source for source in sources if all(kind not in kinds or source is at for at, kinds in ONLY_OF.items())]
    if not sources:
        raise BadRequest("INVALID_FIELD", f"{kind} is no fault of that source", field="source")
    probability = fields.number("probability", least=Decimal(0), most=Decimal(1), default=Decimal(1))
    duration = fields.number("duration_seconds", least=Decimal("0.01"), most=Decimal(86_400))
    times = fields.integer("count", least=1, most=1_000_000)
    latency_ms = fields.integer("latency_ms", least=0, most=600_000, default=1_000)
    status = fields.integer("status", least=500, most=599, default=503)
    retry_after = fields.integer("retry_after_seconds", least=0, most=3_600, default=2)
    factor = fields.number("factor", least=Decimal("1e-9"), most=Decimal("1e9"), default=Decimal(10))
    age = fields.number("age_seconds", least=Decimal(0), most=Decimal(86_400), default=Decimal(60))
    slots = fields.integer("slots", least=0, most=10_000, default=4)
    mints = frozenset(listed(mint, runtime.market) for mint in fields.texts("mints", at_most=1_000))
    fields.done()
    added = [
        runtime.faults.add(
            source=source,
            kind=kind,
            view=runtime.market.view,
            probability=float(probability),
            mints=mints,
            duration_seconds=None if duration is None else float(duration),
            times=times,
            latency_ms=latency_ms,
            status=status,
            retry_after_seconds=retry_after,
            factor=factor,
            age_seconds=float(age),
            slots=slots,
        )
        for source in sources
    ]
    runtime.engine.moved()
    now = time.time()
    return json_response({"faults": [fault.as_document(now) for fault in added]}, status=201)


async def remove_faults(request: web.Request) -> web.Response:
    """DELETE /control/faults (optionally ?source=) and /control/faults/{id}."""
    runtime = request.app[RUNTIME]
    number, source = request.match_info.get("number"), request.query.get("source")
    if number is not None:
        if not number.isdecimal() or not runtime.faults.remove(int(number)):
            raise BadRequest("UNKNOWN_FAULT", "no fault of that number is on", field="id", status=404)
        removed = 1
    elif source is not None:
        removed = sum(runtime.faults.clear(one) for one in _sources([source]))
    else:
        removed = runtime.faults.clear()
    runtime.engine.moved()
    return json_response({"removed": removed})


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


def _sources(names: list[str]) -> list[Source]:
    if not names:
        raise BadRequest("REQUIRED_FIELD", "source is required", field="source")
    if names == ["all"]:
        return list(Source)
    for name in names:
        if name not in list(Source):
            raise BadRequest("INVALID_FIELD", f"source must be all or one of {', '.join(Source)}", field="source")
    return [Source(name) for name in names]


def _fault_documents(runtime: Runtime) -> list[dict[str, Any]]:
    now = time.time()
    return [fault.as_document(now) for fault in runtime.faults.active()]


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
        "faults": _fault_documents(runtime),
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
        web.get("/control/faults", list_faults),
        web.post("/control/faults", add_fault),
        web.delete("/control/faults", remove_faults),
        web.delete("/control/faults/{number}", remove_faults),
        web.post("/control/signals", steer_signals),
    ]

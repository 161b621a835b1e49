"""What plays on a token: scenarios by name, charts somebody posts, and steering what plays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from aiohttp import web

from apps.core.money import SOL_MINT
from apps.sandbox.domain.listing import Listing
from apps.sandbox.domain.ready_made import READY_MADE, ReadyMade
from apps.sandbox.domain.scenarios import MOVES, SPANS, ScenarioName, fall_percent
from apps.sandbox.domain.scripts import POSTED, ImpossiblePoint, Playing, Point, Script
from apps.sandbox.domain.sources import Source
from apps.sandbox.http.body import BadRequest, Fields
from apps.sandbox.http.runtime import RUNTIME, Runtime, json_response
from apps.sandbox.http.targets import mints, one_mint, plain, price_document

MAX_POINTS = 10_000
#: Points times tokens of one request: every price is worked out before the first one shows.
MAX_POINTS_IN_ALL = 50_000
LEAST_PRICE = Decimal("1e-18")
MOST_PRICE = Decimal("1e9")

_LEAST_PERCENT = Decimal("-99.9999")
_MOST_PERCENT = Decimal(1_000_000)
_MOST_SECONDS = Decimal(86_400)
_MOST_SPEED = Decimal(1_000)
_TOLD_BY = (Source.JUPITER_PRICE, Source.JUPITER_QUOTE, Source.JUPITER_TOKENS, Source.DEXSCREENER)


async def list_scenarios(request: web.Request) -> web.Response:
    """GET /control/scenarios: everything that can be played by name, with what one will see."""
    moves = [{"name": name, "sentence": sentence} for name, sentence in MOVES.items()]
    return json_response({"scripts": [_ready_made_document(chart) for chart in READY_MADE.values()], "moves": moves})


async def start_scenario(request: web.Request) -> web.Response:
    """POST /control/scenarios: play a move or a ready-made chart on one token, on several, on all, on what is held."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    name = fields.choice("scenario", [*MOVES, *READY_MADE])
    wanted = mints(fields, runtime)
    if SOL_MINT in wanted:
        raise BadRequest("INVALID_FIELD", "SOL plays no scenarios; set its price", field="mint")
    if name in READY_MADE:
        script, speed = READY_MADE[name].script, _speed(fields)
        fields.done()
        return _answer(runtime, _play(runtime, wanted, script, speed))
    move = ScenarioName(name)
    change, seconds = _size(fields, move)
    fields.done()
    started = [_start_move(runtime, mint, move, change, seconds) for mint in wanted]
    return _answer(runtime, started)


def _start_move(
    runtime: Runtime, mint: str, move: ScenarioName, change: float | None, seconds: float | None
) -> dict[str, Any]:
    plan = runtime.market.start(mint, move, change_percent=change, seconds=seconds)
    return {
        "mint": mint,
        "symbol": runtime.market.listing(mint).token.symbol,
        "scenario": move,
        "ticks": 0 if plan is None else plan.ticks,
        "change_percent": None if plan is None else round(fall_percent(plan.log_move), 4),
    }


def _size(fields: Fields, name: ScenarioName) -> tuple[float | None, float | None]:
    span = SPANS.get(name)
    seconds = fields.number("seconds", least=Decimal("0.02"), most=Decimal(3_600))
    if span is None:
        return None, None
    change = fields.number(
        "change_percent", least=Decimal(str(span.least_percent)), most=Decimal(str(span.most_percent))
    )
    return (None if change is None else float(change)), (None if seconds is None else float(seconds))


# Charts somebody posts


async def play_path(request: web.Request) -> web.Response:
    """POST /control/path: play a chart, given as points in time or as prices at an even pace."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    wanted = mints(fields, runtime)
    if SOL_MINT in wanted:
        raise BadRequest("INVALID_FIELD", "SOL cannot be scripted; set its price", field="mint")
    evenly = fields.has("prices")
    points = _even_points(fields) if evenly else _points(fields)
    loops, holds = fields.flag("loop") or False, fields.flag("hold")
    speed = _speed(fields)
    fields.done()
    if loops and holds:
        raise fields.wrong("hold", "says how a script ends: a loop has no end")
    if len(points) * len(wanted) > MAX_POINTS_IN_ALL:
        raise fields.wrong("points", f"times the tokens must be at most {MAX_POINTS_IN_ALL}")
    script = Script(POSTED, tuple(points), loops=loops, holds=not loops and holds is not False)
    try:
        started = _play(runtime, wanted, script, speed)
    except ImpossiblePoint as refused:
        field = f"prices.{refused.index}" if evenly else f"points.{refused.index}"
        raise BadRequest("PRICE_OUT_OF_RANGE", str(refused), field=field) from refused
    return _answer(runtime, started)


def _even_points(fields: Fields) -> list[Point]:
    prices = fields.numbers("prices", least=LEAST_PRICE, most=MOST_PRICE, at_most=MAX_POINTS)
    interval_ms = fields.integer("interval_ms", least=10, most=3_600_000, default=1_000)
    return [Point(index * interval_ms, price) for index, price in enumerate(prices)]


def _points(fields: Fields) -> list[Point]:
    points: list[Point] = []
    for member in fields.objects("points", at_most=MAX_POINTS):
        points.append(_point(member, points[-1] if points else None))
    return points


def _point(fields: Fields, before: Point | None) -> Point:
    """Read one point; without a time the first is due at once and any other a second after the one before it."""
    price = fields.number("price_sol", least=LEAST_PRICE, most=MOST_PRICE)
    percent = fields.number("percent", least=_LEAST_PERCENT, most=_MOST_PERCENT)
    at = fields.number("at_seconds", least=Decimal(0), most=_MOST_SECONDS)
    after = fields.number("after_seconds", least=Decimal(0), most=_MOST_SECONDS)
    told = _told(fields)
    fields.done()
    if (price is None) == (percent is None):
        if price is None:
            raise fields.required("price_sol")
        raise fields.wrong("percent", "cannot stand beside price_sol: give one of them")
    if at is not None and after is not None:
        raise fields.wrong("after_seconds", "cannot stand beside at_seconds: give one of them")
    since = 0 if before is None else before.at_ms
    if at is None:
        at = Decimal(since) / 1000 + (after if after is not None else 0 if before is None else 1)
    at_ms = round(at * 1000)
    if before is not None and at_ms <= since:
        raise fields.wrong("at_seconds" if after is None else "after_seconds", "must be later than the point before")
    return Point(at_ms, price, percent if percent is not None else Decimal(0), told)


def _told(fields: Fields) -> dict[Source, Decimal]:
    members = fields.table("told")
    if members is None:
        return {}
    told = {}
    for source in _TOLD_BY:
        factor = members.number(source, least=Decimal("1e-9"), most=Decimal("1e9"))
        if factor is not None:
            told[source] = factor
    members.done()
    return told


# What plays


async def list_playing(request: web.Request) -> web.Response:
    """GET /control/path: every script that plays."""
    runtime = request.app[RUNTIME]
    return json_response({"playing": playing_documents(runtime)})


async def cancel(request: web.Request) -> web.Response:
    """DELETE /control/path (one by ?mint= or ?symbol=): end scripts at the prices that show."""
    runtime = request.app[RUNTIME]
    named = {name: request.query[name] for name in ("mint", "symbol") if name in request.query}
    wanted = [one_mint(Fields(named), runtime.market)] if named else list(runtime.market.listings)
    cancelled = [mint for mint in wanted if mint != SOL_MINT and runtime.market.cancel_script(mint)]
    if named and not cancelled:
        raise _nothing_plays()
    runtime.engine.follow_scripts()
    runtime.engine.moved()
    return json_response({"cancelled": len(cancelled)})


async def set_speed(request: web.Request) -> web.Response:
    """POST /control/path/speed: let a script's clock (or, with no token named, every script's) run faster or stand."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    playing = _playing(fields, runtime)
    speed = fields.number("speed", least=Decimal(0), most=_MOST_SPEED)
    if speed is None:
        raise fields.required("speed")
    fields.done()
    now = time.time()
    for listing in playing:
        if listing.playing is not None:
            listing.playing.set_speed(float(speed), now)
    return _answer(runtime, [_playing_document(listing, runtime, now) for listing in playing])


async def show_next(request: web.Request) -> web.Response:
    """POST /control/path/next: show the next point now; the clock goes on from there."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    playing = _playing(fields, runtime)
    fields.done()
    now = time.time()
    for listing in playing:
        if listing.playing is not None:
            listing.playing.skip(now)
    runtime.market.follow_scripts(now)
    return _answer(runtime, [_playing_document(listing, runtime, now) for listing in playing])


def _playing(fields: Fields, runtime: Runtime) -> list[Listing]:
    market = runtime.market
    if not fields.has("mint") and not fields.has("symbol"):
        found = [listing for listing in market.listings.values() if listing.playing is not None]
    else:
        mint = one_mint(fields, market)
        found = [] if mint == SOL_MINT else [market.listing(mint)]
    if not found or found[0].playing is None:
        raise _nothing_plays()
    return found


def _nothing_plays() -> BadRequest:
    return BadRequest("NOTHING_PLAYS", "no script plays there", field="mint", status=404)


# Shared


def _speed(fields: Fields) -> float:
    return float(fields.number("speed", least=Decimal(0), most=_MOST_SPEED, default=Decimal(1)))


def _play(runtime: Runtime, wanted: Sequence[str], script: Script, speed: float) -> list[dict[str, Any]]:
    """Start a script on every token, or on none when a pool cannot carry it."""
    now = time.time()
    runtime.market.play(wanted, script, now=now, speed=speed)
    return [_playing_document(runtime.market.listing(mint), runtime, now) for mint in wanted]


def _answer(runtime: Runtime, started: list[dict[str, Any]]) -> web.Response:
    runtime.engine.follow_scripts()
    runtime.engine.moved()
    return json_response({"started": started})


def playing_documents(runtime: Runtime) -> list[dict[str, Any]]:
    """Return what every script that plays is at."""
    now = time.time()
    return [
        _playing_document(listing, runtime, now)
        for listing in runtime.market.listings.values()
        if listing.playing is not None
    ]


def _playing_document(listing: Listing, runtime: Runtime, now: float) -> dict[str, Any]:
    """Return what a token's script is at; when it has just ended, what remains is the token's state."""
    document = {
        **price_document(listing.token.mint, runtime.market.view),
        "symbol": listing.token.symbol,
        "scenario": listing.scenario,
    }
    if listing.playing is not None:
        document |= _progress(listing.playing, now)
    return document


def _progress(playing: Playing, now: float) -> dict[str, Any]:
    script, due_at, ends_at = playing.script, playing.next_due_at(now), playing.ends_at(now)
    elapsed = playing.elapsed_ms(now)
    elapsed -= playing.round * script.length_ms
    return {
        "title": READY_MADE[script.name].title if script.name in READY_MADE else "Posted chart",
        "step": playing.index + 1,
        "steps": len(script.points),
        "round": playing.round + 1,
        "start_price_sol": plain(playing.start.price_sol),
        "told": _told_document(playing.point),
        "elapsed_seconds": round(elapsed / 1000, 3),
        "length_seconds": script.length_ms / 1000,
        "next_in_seconds": None if due_at is None else round(due_at - now, 3),
        "remaining_seconds": None if ends_at is None else round(ends_at - now, 3),
        "speed": playing.speed,
        "loop": script.loops,
        "hold": script.holds,
        "started_at": playing.started_at,
        "ends_at": ends_at,
    }


def _ready_made_document(chart: ReadyMade) -> dict[str, Any]:
    return {
        "name": chart.name,
        "title": chart.title,
        "about": chart.about,
        "sentence": chart.sentence,
        "length_seconds": chart.script.length_ms / 1000,
        "points": [
            {"at_seconds": point.at_ms / 1000, "percent": str(point.percent), "told": _told_document(point)}
            for point in chart.script.points
        ],
    }


def _told_document(point: Point | None) -> dict[str, str]:
    return {} if point is None else {source.value: str(factor) for source, factor in point.told.items()}


def routes() -> list[web.RouteDef]:
    """Return the routes of scenarios and scripts."""
    return [
        web.get("/control/scenarios", list_scenarios),
        web.post("/control/scenarios", start_scenario),
        web.get("/control/path", list_playing),
        web.post("/control/path", play_path),
        web.delete("/control/path", cancel),
        web.post("/control/path/speed", set_speed),
        web.post("/control/path/next", show_next),
    ]

"""Putting it together: one process, one port; providers under their prefixes, the control API and the page at the root.

`run` is what the command and `python -m apps.sandbox` call; it returns when the process is told to stop.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any

import uvloop
from aiohttp import web

from apps.core import demo_webhook
from apps.sandbox import state_file
from apps.sandbox.attention import Attention
from apps.sandbox.chain.server import PORTS, Chain, ChainOptions, serving
from apps.sandbox.domain.market import Market
from apps.sandbox.engine import Engine
from apps.sandbox.exchange.orders import SwapOrders
from apps.sandbox.exchange.venue import Venue
from apps.sandbox.faults import FaultBook
from apps.sandbox.http import control, dexscreener, jupiter, page, pyth, scenarios, webhooks
from apps.sandbox.http.body import MAX_BODY_BYTES
from apps.sandbox.http.runtime import RUNTIME, Runtime, json_response
from apps.sandbox.options import Options
from apps.sandbox.signal_source import SignalSource
from apps.sandbox.webhooks import Webhooks

log = logging.getLogger("sandbox")

#: Open answers (streams, hangs, latencies) get this long to end when the process stops.
_SHUTDOWN_SECONDS = 0.2


class CannotListen(RuntimeError):
    """The address cannot be listened on; the message says what to do."""


def make_runtime(options: Options) -> Runtime:
    """Return a sandbox that is not running yet."""
    now = time.time()
    market = Market(
        seed=options.seed,
        demo_tokens=options.tokens,
        tick_ms=options.tick_ms,
        now=now,
        autonomous=options.autonomous,
    )
    resumed = options.state_file is not None and state_file.load(options.state_file, market)
    if options.autonomous and not resumed:
        market.warm_up(now)
    attention, faults = Attention(), FaultBook(options.seed)
    chain = Chain(
        ChainOptions(
            host=options.host,
            port=options.rpc_port,
            seed=options.seed,
            slot_seconds=options.slot_seconds,
            journal=options.chain_journal,
        ),
        faults.numbers,
    )
    venue = Venue(market, chain.ledger, fee_bps=options.fee_bps)
    return Runtime(
        options=options,
        market=market,
        chain=chain,
        venue=venue,
        swaps=SwapOrders(venue),
        engine=Engine(market, attention),
        attention=attention,
        faults=faults,
        signals=SignalSource(options, market),
        webhooks=Webhooks(None if options.signal_key is None else demo_webhook.secret(options.signal_key)),
    )


def make_app(runtime: Runtime) -> web.Application:
    """Return the application over a runtime; whoever runs it also runs the engine."""
    app = web.Application(middlewares=[control.refuse_politely], client_max_size=MAX_BODY_BYTES)
    app[RUNTIME] = runtime
    app.add_routes([web.get("/health", health), *control.routes(), *scenarios.routes(), *page.routes()])
    app.add_routes(jupiter.routes("/jupiter"))
    app.add_routes(dexscreener.routes("/dexscreener"))
    app.add_routes(pyth.routes("/pyth"))
    app.add_routes(webhooks.routes())
    return app


async def health(request: web.Request) -> web.Response:
    """GET /health."""
    market = request.app[RUNTIME].market
    return json_response({"status": "ok", "seed": market.seed, "tick": market.tick})


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        CannotListen: when another process has the port, or the address is not this machine's.
    """
    uvloop.run(_serve(options))


async def _serve(options: Options) -> None:
    runtime = make_runtime(options)
    runner = web.AppRunner(
        make_app(runtime), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        await _run(runtime, runner)
    finally:
        await runner.cleanup()


async def _run(runtime: Runtime, runner: web.AppRunner) -> None:
    """Listen, and let everything move until a signal asks to stop; the chain listens first, so that who finds the
    market finds it too.
    """
    options = runtime.options
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as running:
        try:
            await running.enter_async_context(serving(runtime.chain))
        except OSError as error:
            raise CannotListen(_why_chain(options, error)) from error
        try:
            await web.TCPSite(runner, options.host, options.port).start()
        except OSError as error:
            raise CannotListen(_why(options, error)) from error
        tasks = [asyncio.create_task(work) for work in _work(runtime)]
        rpc = ",".join(runtime.chain.rpc_urls)
        print(f"sandbox_ready url={_url(runner, options)} seed={options.seed} rpc={rpc}", flush=True)  # noqa: T201
        await stopping.wait()
        runtime.faults.clear()
        runtime.chain.faults.clear()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        if options.state_file is not None:
            state_file.try_to_save(options.state_file, runtime.market)


def _work(runtime: Runtime) -> list[Coroutine[Any, Any, None]]:
    """Return what runs beside the web server."""
    work = [runtime.engine.run(), runtime.signals.run()]
    if runtime.options.state_file is not None:
        work.append(state_file.keep(runtime.options.state_file, runtime.market))
    return work


def _why(options: Options, error: OSError) -> str:
    where = f"port {options.port} on {options.host}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: stop what listens there, or choose another with SANDBOX_PORT"
    return f"{where} cannot be listened on: {error.strerror}"


def _why_chain(options: Options, error: OSError) -> str:
    where = f"one of the chain's ports {options.rpc_port} to {options.rpc_port + PORTS - 1} on {options.host}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: stop what listens there, or choose others with SANDBOX_RPC_PORT"
    return f"{where} cannot be listened on: {error.strerror}"


def _url(runner: web.AppRunner, options: Options) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"

"""Between a request and a provider's handler: faults are met here, in the provider's own voice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps

from aiohttp import web

from apps.sandbox.domain.sources import Source
from apps.sandbox.faults import Effects, Fault, FaultKind, effects_of
from apps.sandbox.http.runtime import RUNTIME, Runtime

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = Callable[[web.Request, Runtime, Effects], web.Response | Awaitable[web.Response]]
#: Which sources' faults a request meets beside those of its own.
MoreSources = Callable[[web.Request], list[Source]]

#: A hanging answer lets go after this long even if nobody clears the fault.
_LONGEST_HANG_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Voice:
    """How one provider says no. Each function returns a fresh answer."""

    rate_limited: Callable[[int], web.Response]
    failed: Callable[[int], web.Response]
    unauthorized: Callable[[], web.Response]


def provided(source: Source, voice: Voice, more: MoreSources | None = None) -> Callable[[Answer], Handler]:
    """Turn a function of request, runtime and effects into a handler that meets the faults of its sources first."""

    def decorate(answer: Answer) -> Handler:
        @wraps(answer)
        async def handle(request: web.Request) -> web.StreamResponse:
            runtime = request.app[RUNTIME]
            sources = [source, *(more(request) if more is not None else ())]
            met = [fault for each in sources for fault in runtime.faults.draw(each, request.path_qs)]
            if met:
                refused = await refusal(request, met, voice)
                if refused is not None:
                    return refused
            answered = answer(request, runtime, effects_of(met, runtime.market.view.told_by(source)))
            return answered if isinstance(answered, web.Response) else await answered

        return handle

    return decorate


async def refusal(request: web.Request, met: list[Fault], voice: Voice) -> web.Response | None:
    """Wait, hang or refuse as the faults say; None when the request may be answered."""
    for fault in met:
        if fault.kind is FaultKind.LATENCY:
            await asyncio.sleep(fault.latency_ms / 1000)
    for fault in met:
        match fault.kind:
            case FaultKind.HANG:
                await _hang(fault)
                return cut(request)
            case FaultKind.DISCONNECT:
                return cut(request)
            case FaultKind.RATE_LIMIT:
                return voice.rate_limited(fault.retry_after_seconds)
            case FaultKind.SERVER_ERROR:
                return voice.failed(fault.status)
            case FaultKind.UNAUTHORIZED:
                return voice.unauthorized()
    return None


async def _hang(fault: Fault) -> None:
    limit = _LONGEST_HANG_SECONDS if fault.ends_at is None else max(0.0, fault.ends_at - time.time())
    try:
        await asyncio.wait_for(fault.gone.wait(), limit)
    except TimeoutError:
        return


def cut(request: web.Request) -> web.Response:
    """Drop the connection: whoever asked never hears an answer."""
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=500)

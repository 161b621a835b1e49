"""The control API's faults: of the providers, by source, and of the chain's nodes, by node.

Both kinds share one list and one row of numbers. `nodes` stands for both nodes, `all` for every provider.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from aiohttp import web
from solders.signature import Signature

from apps.sandbox.chain.faults import SOCKET, NodeFault, NodeFaultKind, Says
from apps.sandbox.chain.rpc import METHODS
from apps.sandbox.chain.server import NODES
from apps.sandbox.domain.sources import Source
from apps.sandbox.faults import ONLY_OF, Fault, FaultKind
from apps.sandbox.http.body import BadRequest, Fields
from apps.sandbox.http.runtime import RUNTIME, Runtime, json_response
from apps.sandbox.http.targets import listed

ALL_NODES = "nodes"
_MOST_SIGNATURES = 100


async def list_faults(request: web.Request) -> web.Response:
    """GET /control/faults."""
    return json_response({"faults": documents(request.app[RUNTIME])})


async def add_fault(request: web.Request) -> web.Response:
    """POST /control/faults: switch a fault on at one source or node, at several, or at "all" or "nodes"."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    names = fields.texts("source", at_most=len(Source))
    added = _add_to_nodes(runtime, fields, _nodes(names)) if _nodes(names) else _add_to_sources(runtime, fields, names)
    runtime.engine.moved()
    now = time.time()
    return json_response({"faults": [fault.as_document(now) for fault in added]}, status=201)


def _add_to_nodes(runtime: Runtime, fields: Fields, nodes: list[str]) -> list[NodeFault]:
    kind = NodeFaultKind(fields.choice("kind", list(NodeFaultKind)))
    methods = fields.texts("methods", at_most=len(METHODS))
    signatures = fields.texts("signatures", at_most=_MOST_SIGNATURES)
    probability = fields.number("probability", least=Decimal(0), most=Decimal(1), default=Decimal(1))
    duration = fields.number("duration_seconds", least=Decimal("0.01"), most=Decimal(86_400))
    times = fields.integer("count", least=1, most=1_000_000)
    latency_ms = fields.integer("latency_ms", least=0, most=600_000, default=1_000)
    status = fields.integer("status", least=200, most=599)
    retry_after = fields.integer("retry_after_seconds", least=0, most=3_600, default=1)
    slots = fields.integer("slots", least=0, most=10_000)
    blocks = fields.integer("blocks", least=-1_000_000, most=1_000_000)
    says = Says(fields.choice("says", list(Says), default=Says.NOTHING))
    fields.done()
    for method in methods:
        if method not in METHODS and method != SOCKET:
            raise BadRequest("INVALID_FIELD", f"{method} is no method of a node", field="methods")
    for signature in signatures:
        if not _is_signature(signature):
            raise BadRequest("INVALID_FIELD", f"{signature} is no signature", field="signatures")
    return [
        runtime.chain.faults.add(
            node,
            kind,
            methods=methods,
            signatures=signatures,
            probability=float(probability),
            duration_seconds=None if duration is None else float(duration),
            times=times,
            latency_ms=latency_ms,
            status=status,
            retry_after_seconds=retry_after,
            slots=slots,
            blocks=blocks,
            says=says,
        )
        for node in nodes
    ]


def _add_to_sources(runtime: Runtime, fields: Fields, names: list[str]) -> list[Fault]:
    sources = _sources(names)
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
    return [
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


async def remove_faults(request: web.Request) -> web.Response:
    """DELETE /control/faults (optionally ?source=) and /control/faults/{id}."""
    runtime = request.app[RUNTIME]
    number, source = request.match_info.get("number"), request.query.get("source")
    if number is not None:
        books = (runtime.faults, runtime.chain.faults)
        if not number.isdecimal() or not any(book.remove(int(number)) for book in books):
            raise BadRequest("UNKNOWN_FAULT", "no fault of that number is on", field="id", status=404)
        removed = 1
    elif source is not None:
        nodes = _nodes([source])
        removed = (
            sum(runtime.chain.faults.clear(one) for one in nodes)
            if nodes
            else sum(runtime.faults.clear(one) for one in _sources([source]))
        )
    else:
        removed = runtime.faults.clear() + runtime.chain.faults.clear()
    runtime.engine.moved()
    return json_response({"removed": removed})


def _nodes(names: list[str]) -> list[str]:
    """Return the nodes that are meant, none if providers are."""
    if names == [ALL_NODES]:
        return list(NODES)
    if not any(name in NODES for name in names):
        return []
    for name in names:
        if name not in NODES:
            raise BadRequest(
                "INVALID_FIELD", "nodes and providers have faults of their own: name either", field="source"
            )
    return names


def _sources(names: list[str]) -> list[Source]:
    if not names:
        raise BadRequest("REQUIRED_FIELD", "source is required", field="source")
    if names == ["all"]:
        return list(Source)
    known = [*Source, *NODES, ALL_NODES]
    for name in names:
        if name not in list(Source):
            raise BadRequest("INVALID_FIELD", f"source must be all or one of {', '.join(known)}", field="source")
    return [Source(name) for name in names]


def _is_signature(text: str) -> bool:
    try:
        Signature.from_string(text)
    except ValueError:
        return False
    return True


def documents(runtime: Runtime) -> list[dict[str, Any]]:
    """Return every fault that is on, those of the providers first."""
    now = time.time()
    return [
        *(fault.as_document(now) for fault in runtime.faults.active()),
        *(fault.as_document(now) for fault in runtime.chain.faults.active()),
    ]


def routes() -> list[web.RouteDef]:
    """Return the routes of faults."""
    return [
        web.get("/control/faults", list_faults),
        web.post("/control/faults", add_fault),
        web.delete("/control/faults", remove_faults),
        web.delete("/control/faults/{number}", remove_faults),
    ]

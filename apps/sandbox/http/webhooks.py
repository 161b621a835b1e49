"""Where the desk's webhooks arrive: POST to the path the desk is told, GET of what came under /control."""

from __future__ import annotations

from aiohttp import web

from apps.core.demo_webhook import PATH
from apps.sandbox.http.runtime import RUNTIME, json_response


async def take(request: web.Request) -> web.Response:
    """POST /webhooks: 204 when the signature fits, 401 when it does not."""
    runtime = request.app[RUNTIME]
    verified = runtime.webhooks.take(request.headers, await request.read())
    runtime.engine.moved()
    return web.Response(status=204) if verified else json_response({"error": "bad signature"}, status=401)


async def received(request: web.Request) -> web.Response:
    """GET /control/webhooks: the last 50, newest first."""
    return json_response(request.app[RUNTIME].webhooks.as_document())


def routes() -> list[web.RouteDef]:
    """Return the receiver's routes."""
    return [web.post(PATH, take), web.get("/control/webhooks", received)]

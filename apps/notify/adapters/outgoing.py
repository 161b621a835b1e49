"""The way out for webhooks: one client per event loop, which connects to no address the rules forbid."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv6Address

from django.conf import settings

from apps.core.http import PostClient, Posted
from apps.notify.domain import addresses

#: Attempts under way at once in a process, whoever they are for.
MOST_AT_ONCE = 256
ATTEMPT_SECONDS = 10.0
_USER_AGENT = "Soldesk-Webhooks/1"

_clients: dict[asyncio.AbstractEventLoop, PostClient] = {}


async def post(url: str, *, body: bytes, headers: dict[str, str]) -> Posted:
    """Send a webhook once, within ten seconds, and return what came of it.

    The URL is judged again: what may be set now need not be what might when it was set.
    """
    if addresses.refusal_of_url(url, allow_private=settings.WEBHOOKS_ALLOW_PRIVATE) is not None:
        return Posted(None, "forbidden_address", "", 0.0)
    headers = {**headers, "Content-Type": "application/json"}
    return await _client().post("deliver", url, body=body, headers=headers, deadline_seconds=ATTEMPT_SECONDS)


def _client() -> PostClient:
    loop = asyncio.get_running_loop()
    found = _clients.get(loop)
    if found is None:
        for gone in [each for each in _clients if each.is_closed()]:
            del _clients[gone]
        found = _clients[loop] = PostClient(
            "webhooks", forbids=_forbids, user_agent=_USER_AGENT, max_connections=MOST_AT_ONCE
        )
    return found


def _forbids(address: IPv4Address | IPv6Address) -> bool:
    return not settings.WEBHOOKS_ALLOW_PRIVATE and addresses.is_forbidden(address)

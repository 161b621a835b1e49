"""The page at the root: self-contained, and fed by a stream that starts with everything."""

from __future__ import annotations

import asyncio
import re
from json import loads

import aiohttp

from tests.sandbox_server import SandboxControl


def test_the_page_loads_nothing_from_elsewhere(sandbox: SandboxControl) -> None:
    page = sandbox.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    names = ("sandbox.css", "sandbox.js", "charts.js", "chain.js")
    parts = [page.text, *(sandbox.get(f"/page/{name}").text for name in names)]
    for part in parts:
        assert set(re.findall(r"https?://[^'\"\s)]+", part)) <= {"http://www.w3.org/2000/svg"}
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_only_the_pages_own_files_are_served(sandbox: SandboxControl) -> None:
    assert sandbox.get("/page/index.html").status_code == 404
    assert sandbox.get("/page/..%2fserver.py").status_code == 404


def test_every_token_has_an_icon_of_its_own(sandbox: SandboxControl) -> None:
    first, second = sandbox.add_tokens(2)
    icons = [sandbox.get(f"/icons/{token.mint}.svg") for token in (first, second)]
    assert all(icon.headers["content-type"].startswith("image/svg+xml") for icon in icons)
    assert icons[0].text != icons[1].text
    assert sandbox.get("/icons/nosuch.svg").status_code == 404
    (found,) = sandbox.get("/jupiter/tokens/v2/search", query=first.mint).json()
    assert found["icon"] == f"{sandbox.base_url}/icons/{first.mint}.svg"


async def test_the_stream_opens_with_the_whole_state_and_goes_on_with_moves(sandbox: SandboxControl) -> None:
    events: list[tuple[str, dict]] = []
    url = f"{sandbox.base_url}/control/stream"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        while len(events) < 3:
            name = (await asyncio.wait_for(response.content.readline(), 60)).decode().strip().removeprefix("event: ")
            data = (await response.content.readline()).decode().removeprefix("data: ")
            await response.content.readline()
            events.append((name, loads(data)))
    assert [name for name, _ in events] == ["state", "move", "move"]
    opened, moved = events[0][1], events[1][1]
    demo = [token["mint"] for token in opened["tokens"] if token["is_demo"]]
    assert set(opened["history"]) == set(demo)
    assert moved["tick"] > opened["tick"]
    assert {"tokens", "playing", "held", "faults", "signals", "sol_usd"} <= set(moved)

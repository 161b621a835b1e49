"""A user of a real desk with one agent, who trades over HTTP and follows the live feed as its documentation says."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.console.folding import SOL_MINT, Folding
from tests.desk import wait_until
from tests.stack.exit_desk import RECOVERY_SECONDS, ExitDesk

#: What prices make of a position, and the row's own time of writing.
_FROM_PRICES = {
    "currentPrice",
    "currentPriceUsd",
    "purchasePriceUsd",
    "positionValueSol",
    "positionValueUsd",
    "profitLossSol",
    "profitLossUsd",
    "profitLossPercent",
    "priceChangePercent",
    "priceAt",
    "priceSource",
    "peakPrice",
    "lowestPrice",
    "updatedAt",
}


class FeedTrader:
    """Signs in as the desk's first administrator and makes an agent with 100 SOL."""

    def __init__(self, exits: ExitDesk) -> None:
        self.base = f"127.0.0.1:{exits.desk.port}"
        self.http = httpx.Client(base_url=f"http://{self.base}/api/v1", timeout=60)
        answer = self._post("/auth/login", email="admin@soldesk.local", password="soldesk-demo")
        self.token: str = answer["accessToken"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"
        self.agent: str = self._post("/agents", name="Follower")["id"]
        self._post(
            "/agent-transactions",
            agentId=self.agent,
            transactionType="DEPOSIT",
            transactionValueUsd=0,
            transactionTime=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            inputMint=SOL_MINT,
            inputSymbol="SOL",
            inputAmount="100",
        )

    def _post(self, path: str, **body: Any) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def buy(self, mint: str) -> str:
        """Buy a token and return the position's id; again until the desk can."""
        bought: list[str] = []

        def try_it() -> bool:
            try:
                answer = self.http.post(
                    "/trades/execute", json={"agentId": self.agent, "tokenAddress": mint, "positionSize": 0.5}
                )
            except httpx.TransportError:
                return False
            if answer.status_code == 200:
                bought.append(answer.json()["positionId"])
            else:
                assert answer.status_code >= 500, answer.text
            return bool(bought)

        wait_until(try_it, RECOVERY_SECONDS)
        return bought[0]

    def open(self, agent: str | None = None) -> ClientConnection:
        return connect(
            f"ws://{self.base}/ws?token={self.token}&agentId={agent or self.agent}",
            max_size=None,
            compression=None,
            proxy=None,
            legacy=True,
        )

    def snapshot(self) -> dict[str, Any]:
        """Return what a new socket is told first."""
        with self.open() as talk:
            while True:
                message: dict[str, Any] = json.loads(talk.recv(timeout=RECOVERY_SECONDS))
                if message["type"] == "initial_data":
                    return message["data"]


class Following:
    """A socket that stays open and keeps what it is told, in a thread of its own; a context manager."""

    def __init__(self, trader: FeedTrader, agent: str | None = None) -> None:
        self.knows = Folding()
        self.closed = False
        self.pongs = 0
        self.states: list[bool] = []
        self.priced_at = 0.0
        self._talk = trader.open(agent)
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Following:
        self._thread.start()
        wait_until(lambda: self.knows.snapshots, RECOVERY_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._talk.close()
        self._thread.join()

    def _follow(self) -> None:
        try:
            for text in self._talk:
                self._take(json.loads(text))
        except ConnectionClosed:
            pass
        self.closed = True

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "ping":
            self._talk.send('{"type":"pong"}')
        elif message["type"] == "pong":
            self.pongs += 1
        elif message["type"] == "feed_state":
            self.states.append(message["data"]["live"])
        elif message["type"] == "price_update_batch":
            self.priced_at = time.monotonic()
        self.knows.take(message)

    def answers(self) -> bool:
        """Tell whether the server still answers on this socket, within seconds."""
        before = self.pongs
        self._talk.send('{"type":"ping"}')
        wait_until(lambda: self.pongs > before)
        return not self.closed

    def knows_of(self, position: str) -> bool:
        return position in self.knows.positions


def in_step(trader: FeedTrader, following: Following) -> bool:
    """Tell whether who followed all the time knows what a new socket is told."""
    fresh = trader.snapshot()
    known = {key: bare(position) for key, position in following.knows.positions.items()}
    return known == {position["id"]: bare(position) for position in fresh["positions"]}


def bare(position: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in position.items() if name not in _FROM_PRICES}

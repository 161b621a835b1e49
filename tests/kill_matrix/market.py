"""The sandbox of the matrix: the desk's own in a process of its own, which really dies of `kill -9`.

It goes on from its journal and its state file at the same addresses. Whoever asks here asks as everybody does: the
control API and the nodes' JSON-RPC.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import httpx

from apps.core.money import SOL_MINT
from apps.sandbox.chain.server import NODES, PORTS, PORTS_OF_A_NODE, free_ports
from tests.kill_matrix.processes import START_SECONDS, Killable
from tests.sandbox_server import SandboxControl, SandboxToken

HOST = "127.0.0.1"
SLOT_SECONDS = 0.02
SPL = ("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
_MOST_SIGNATURES = 1_000


class Market:
    """Market and chain. `control` is another one after each start."""

    def __init__(self, folder: Path) -> None:
        rpc_port = port = free_ports(HOST)
        while rpc_port <= port < rpc_port + PORTS:
            port = free_ports(HOST)
        self._url = f"http://{HOST}:{port}"
        self._state = folder / "market.json"
        self.rpc_urls = [f"http://{HOST}:{rpc_port + PORTS_OF_A_NODE * index}" for index in range(len(NODES))]
        self.ws_urls = [f"ws://{HOST}:{rpc_port + PORTS_OF_A_NODE * index + 1}" for index in range(len(NODES))]
        options = {
            "--host": HOST,
            "--port": port,
            "--rpc-port": rpc_port,
            "--seed": 7,
            "--tokens": 2,
            "--tick-ms": 60_000,
            "--slot-seconds": SLOT_SECONDS,
            "--state-file": self._state,
            "--chain-journal": folder / "chain.journal",
        }
        argv = ["apps.sandbox.__main__", "--no-autonomous", "--no-signals"]
        for name, value in options.items():
            argv += [name, str(value)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
        self._process = Killable(argv, environment, folder / "sandbox.log")
        self.control = SandboxControl(self._url)

    def start(self) -> None:
        """Start it, going on where a former run was, and wait until it answers."""
        deadline = time.monotonic() + START_SECONDS
        self._process.start()
        while True:
            try:
                if self.control.get("/health").is_success:
                    return
            except httpx.TransportError:
                self._reconnect()
            if not self._process.is_alive:  # whoever tried to reach a port that nobody had may hold it for a moment
                self._process.start()
            assert time.monotonic() < deadline, f"the sandbox did not start:\n{self._process.last_words()}"
            time.sleep(0.02)

    def kill(self) -> None:
        self._process.kill()
        self._reconnect()

    def close(self) -> None:
        self._process.close()
        self.control.close()

    def _reconnect(self) -> None:
        self.control.close()
        self.control = SandboxControl(self._url)

    # -- what happens there

    def fault(self, kind: str, *nodes: str, **options: Any) -> None:
        self.control.fault(list(nodes), kind, **options)

    def calm(self) -> None:
        self.control.clear_faults()

    def add_tokens(self, number: int) -> list[SandboxToken]:
        """List tokens, and return when a killed market would still know them."""
        tokens = self.control.add_tokens(number, liquidity_sol="1000000")
        deadline = time.monotonic() + START_SECONDS
        while not self._state.exists() or tokens[-1].mint not in self._state.read_text():
            assert time.monotonic() < deadline, "the market does not save its state"
            time.sleep(0.05)
        return tokens

    def airdrop(self, address: str, sol: int) -> str:
        told = self.control.post("/control/chain/airdrop", {"address": address, "sol": sol})
        return str(told["signature"])

    def pass_slots(self, count: int) -> None:
        self.control.post("/control/chain/slots", {"count": count})

    def fork(self, signature: str) -> bool:
        """Take back what is not finalized yet, from this transaction on; False when it is too late for that."""
        return self.control.client.post("/control/chain/fork", json={"signature": signature}).is_success

    # -- what is true there

    def held_by(self, address: str) -> dict[str, int]:
        """Return what an address has, by mint: lamports, and tokens in base units."""
        held = {SOL_MINT: int(self._ask("getBalance", address, {"commitment": "processed"})["value"])}
        for program in SPL:
            config = {"encoding": "jsonParsed", "commitment": "processed"}
            for row in self._ask("getTokenAccountsByOwner", address, {"programId": program}, config)["value"]:
                token = row["account"]["data"]["parsed"]["info"]
                amount = int(token["tokenAmount"]["amount"])
                if amount:
                    held[token["mint"]] = held.get(token["mint"], 0) + amount
        return held

    def history_of(self, address: str) -> list[str]:
        """Return the signatures of all transactions an address is part of."""
        config: dict[str, Any] = {"limit": _MOST_SIGNATURES, "commitment": "confirmed"}
        rows = self._ask("getSignaturesForAddress", address, config)
        assert len(rows) < _MOST_SIGNATURES, "too many to be told at once"
        return [str(row["signature"]) for row in rows]

    def moved(self, signature: str, owner: str, mint: str) -> int:
        """Return how many base units of a token a transaction brought its owner; 0 if it failed."""
        config = {"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 1}
        meta = self._ask("getTransaction", signature, config)["meta"]
        if meta["err"] is not None:
            return 0
        after, before = (
            sum(
                int(row["uiTokenAmount"]["amount"])
                for row in meta[when]
                if row["owner"] == owner and row["mint"] == mint
            )
            for when in ("postTokenBalances", "preTokenBalances")
        )
        return after - before

    def _ask(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = self.control.client.post(self.rpc_urls[0], json=body)
        told = answer.json()
        assert "result" in told, f"{method}: {told}"
        return told["result"]

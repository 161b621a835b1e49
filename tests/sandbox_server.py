"""The `sandbox` fixture: the outside world of a test, a real sandbox process on a port of its own.

One process per session, seed fixed, no signals, no scenarios of its own. Tests add their tokens, which stand still
until told otherwise, so that tests of one session do not meet. Faults are for all: `clean_sandbox` ends them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent
SEED = 20_261
SOL_MINT = "So11111111111111111111111111111111111111112"
START_SECONDS = 60.0

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class SandboxToken:
    """A token listed for a test, as it stood when it was listed. `price_sol` is SOL per whole token."""

    mint: str
    symbol: str
    decimals: int
    price_sol: Decimal


class SandboxControl:
    """A running sandbox: where its providers are, and how to steer it."""

    _groups = count(1)

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.jupiter_url = f"{base_url}/jupiter"
        self.dexscreener_url = f"{base_url}/dexscreener"
        self.pyth_url = f"{base_url}/pyth"
        # Plain HTTP on loopback: loading certificates would cost more than everything else.
        self.client = httpx.Client(base_url=base_url, timeout=60, trust_env=False, verify=False)

    def add_tokens(
        self, number: int = 1, *, prefix: str | None = None, scenario: str = "still", **options: Any
    ) -> list[SandboxToken]:
        """List tokens nobody else has (unless a prefix is given); they stand still, or walk with scenario="calm".

        Options: decimals, price_sol, liquidity_sol, volatility_percent, pool_fee_bps.
        """
        body = {"count": number, "prefix": prefix or f"T{next(self._groups)}X", "scenario": scenario, **options}
        return [
            SandboxToken(row["mint"], row["symbol"], row["decimals"], Decimal(row["price_sol"]))
            for row in self.post("/control/tokens", body)["tokens"]
        ]

    def add_token(self, **options: Any) -> SandboxToken:
        """List one token."""
        return self.add_tokens(1, **options)[0]

    def set_price(self, mint: str, price_sol: Decimal | str) -> Decimal:
        """Put a token at a price (SOL per whole token) now; returns the price the pool really has."""
        return Decimal(self.post("/control/price", {"mint": mint, "price_sol": str(price_sol)})["price_sol"])

    def set_sol_usd(self, price_usd: Decimal | str) -> None:
        """Put SOL at a price in dollars."""
        self.post("/control/price", {"mint": SOL_MINT, "price_usd": str(price_usd)})

    def set_path(self, mint: str, prices: Sequence[Decimal | str], *, interval_ms: int = 1000) -> None:
        """Show prices one after another, the first at once; the last stays."""
        self.post(
            "/control/path", {"mint": mint, "prices": [str(price) for price in prices], "interval_ms": interval_ms}
        )

    def script(
        self, mint: str | list[str], *points: dict[str, Any] | Decimal | str, **options: Any
    ) -> list[dict[str, Any]]:
        """Play a chart: points as the control API takes them, or prices a second apart ("20%" counts from the start).

        Options: loop, hold, speed. At speed=0 the clock stands and `next_price` moves on.
        """
        body = {
            "mints": [mint] if isinstance(mint, str) else mint,
            "points": [_point(one) for one in points],
            **options,
        }
        started: list[dict[str, Any]] = self.post("/control/path", body)["started"]
        return started

    def next_price(self, mint: str) -> Decimal:
        """Show the next point of a token's script now; returns the price it has then."""
        return Decimal(self.post("/control/path/next", {"mint": mint})["started"][0]["price_sol"])

    def scenario(self, name: str, *, mint: str | None = None, **options: Any) -> list[dict[str, Any]]:
        """Start calm, still, pump, crash, rug or gap, or a ready-made chart.

        Options: symbol, mints, all, held; change_percent and seconds of a move, speed of a chart.
        """
        body = {"scenario": name, **options}
        if mint is not None:
            body["mint"] = mint
        started: list[dict[str, Any]] = self.post("/control/scenarios", body)["started"]
        return started

    def wait_for_scenario(self, mint: str, scenario: str, *, seconds: float = 60) -> None:
        """Wait until a token's state says `scenario` ("still" or "calm" after a scenario, "rugged" after a rug)."""
        deadline = time.monotonic() + seconds
        while (seen := self.token_state(mint)["scenario"]) != scenario:
            assert time.monotonic() < deadline, f"{mint} is still at {seen}"
            time.sleep(0.05)

    def fault(self, source: str | list[str], kind: str, **options: Any) -> list[int]:
        """Switch a fault on; returns the numbers. Options: probability, duration_seconds, count, mints, latency_ms,
        status, retry_after_seconds, factor, age_seconds.
        """
        body = {"source": source, "kind": kind, **{name: _wire(value) for name, value in options.items()}}
        return [fault["id"] for fault in self.post("/control/faults", body)["faults"]]

    def clear_faults(self, source: str | None = None) -> None:
        """Switch faults off, all or of one source."""
        self._checked(self.client.delete("/control/faults", params={"source": source} if source else None))

    def cancel_charts(self) -> None:
        """Let every token rest where it is."""
        self._checked(self.client.delete("/control/path"))

    def state(self) -> dict[str, Any]:
        """Return GET /control/state."""
        document: dict[str, Any] = self._checked(self.client.get("/control/state"))
        return document

    def token_state(self, mint: str) -> dict[str, Any]:
        """Return one token's part of the state."""
        return next(token for token in self.state()["tokens"] if token["mint"] == mint)

    def price_of(self, mint: str) -> Decimal:
        """Return the pool's price now (SOL per whole token)."""
        return Decimal(self.token_state(mint)["price_sol"])

    def order(self, *, input_mint: str, output_mint: str, amount: int, **query: Any) -> dict[str, Any]:
        """Return a quote as Jupiter answers it."""
        response = self.client.get(
            "/jupiter/swap/v2/order",
            params={"inputMint": input_mint, "outputMint": output_mint, "amount": amount, **query},
        )
        document: dict[str, Any] = self._checked(response)
        return document

    def get(self, path: str, **params: Any) -> httpx.Response:
        """GET any path; the answer is not checked."""
        return self.client.get(path, params=params or None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST to the control API and return its answer."""
        document: dict[str, Any] = self._checked(self.client.post(path, json=body))
        return document

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    @staticmethod
    def _checked(response: httpx.Response) -> Any:
        assert response.is_success, f"{response.request.method} {response.request.url}: {response.text}"
        return response.json()


def _point(point: dict[str, Any] | Decimal | str) -> dict[str, Any]:
    if isinstance(point, dict):
        return {name: _wire(value) for name, value in point.items()}
    text = str(point)
    return {"percent": text.removesuffix("%")} if text.endswith("%") else {"price_sol": text}


def _wire(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value


@contextmanager
def running_sandbox(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[SandboxControl]:
    """Run a sandbox process of one's own on a free port, without signals unless asked for."""
    process = start_process("--port", "0", "--seed", str(SEED), "--no-signals", *arguments, environment=environment)
    try:
        control = SandboxControl(read_url(process))
        try:
            yield control
        finally:
            control.close()
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def start_process(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start `python -m apps.sandbox` with the given arguments; the caller ends it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SANDBOX_", "SOLDESK_"))}
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "apps.sandbox", *arguments],
        cwd=ROOT,
        env={**inherited, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=None,
        text=True,
        preexec_fn=_end_with_parent if _LIBC is not None else None,
    )


def _end_with_parent() -> None:
    """A test run that is killed cannot end its sandbox: the kernel does (Linux only)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def read_url(process: subprocess.Popen[str]) -> str:
    """Wait until the sandbox says where it listens."""
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        if not line:
            break
        if line.startswith("sandbox_ready "):
            return dict(field.split("=", 1) for field in line.split()[1:])["url"]
    raise RuntimeError(f"the sandbox did not start (exit status {process.poll()})")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxControl]:
    """One sandbox for the whole session; leave its faults off (see `clean_sandbox`)."""
    with running_sandbox("--no-autonomous") as control:
        yield control


@pytest.fixture
def clean_sandbox(sandbox: SandboxControl) -> Iterator[SandboxControl]:
    """The session's sandbox with all faults off before and after the test."""
    sandbox.clear_faults()
    yield sandbox
    sandbox.clear_faults()

"""How one sandbox is started: the options of the command, with their environment defaults."""

from __future__ import annotations

import os
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """Everything a sandbox needs to know. Intervals: ticks in milliseconds, signals in seconds."""

    host: str = "127.0.0.1"
    port: int = 8090
    seed: int = 7
    tokens: int = 14
    tick_ms: int = 500
    fee_bps: int = 10
    autonomous: bool = True
    state_file: Path | None = None
    signals: bool = True
    signal_interval_seconds: float = 4.0
    soldesk_url: str = "http://127.0.0.1:8000"
    signal_key: str | None = None
    signal_key_file: Path | None = None


def add_arguments(parser: ArgumentParser, environment: Mapping[str, str] = os.environ) -> None:
    """Add the sandbox's options; defaults come from the environment where a setting is named there."""
    default = Options()
    parser.add_argument("--host", default=default.host, help="address to listen on")
    parser.add_argument(
        "--port",
        type=int,
        default=int(environment.get("SANDBOX_PORT") or default.port),
        help="port to listen on; 0 takes a free one and prints it (SANDBOX_PORT)",
    )
    parser.add_argument("--seed", type=int, default=default.seed, help="same seed, same market")
    parser.add_argument("--tokens", type=int, default=default.tokens, metavar="N", help="demo tokens to list")
    parser.add_argument("--tick-ms", type=int, default=default.tick_ms, help="milliseconds between two moves")
    parser.add_argument("--fee-bps", type=int, default=default.fee_bps, help="protocol fee of quotes, in bps")
    parser.add_argument(
        "--autonomous",
        action=BooleanOptionalAction,
        default=default.autonomous,
        help="let the demo market start small scenarios of its own",
    )
    parser.add_argument(
        "--state-file",
        type=Path,
        default=_path(environment, "SANDBOX_STATE_FILE", "market.json"),
        help="keep prices here, so that a restart goes on where it was (SANDBOX_STATE_FILE, else under SOLDESK_HOME)",
    )
    parser.add_argument(
        "--signals", action=BooleanOptionalAction, default=default.signals, help="post trading signals to Soldesk"
    )
    parser.add_argument(
        "--signal-interval", type=float, default=default.signal_interval_seconds, help="seconds between signals"
    )


def from_arguments(arguments: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Options:
    """Return the options of parsed arguments; keys come from the environment only, never from the command line.

    Raises:
        ValueError: when a number is outside what makes a market.
    """
    options = Options(
        host=arguments["host"],
        port=arguments["port"],
        seed=arguments["seed"],
        tokens=arguments["tokens"],
        tick_ms=arguments["tick_ms"],
        fee_bps=arguments["fee_bps"],
        autonomous=arguments["autonomous"],
        state_file=arguments["state_file"],
        signals=arguments["signals"],
        signal_interval_seconds=arguments["signal_interval"],
        soldesk_url=_soldesk_url(environment),
        signal_key=environment.get("SANDBOX_SIGNAL_KEY") or None,
        signal_key_file=_path(environment, "SANDBOX_SIGNAL_KEY_FILE", "signal-key"),
    )
    limits = (
        ("--port", options.port, 0, 65_535),
        ("--tokens", options.tokens, 1, 200),
        ("--tick-ms", options.tick_ms, 20, 60_000),
        ("--fee-bps", options.fee_bps, 0, 1_000),
        ("--signal-interval", options.signal_interval_seconds, 0.05, 3_600),
    )
    for name, value, least, most in limits:
        if not least <= value <= most:
            raise ValueError(f"{name} must be between {least} and {most}, not {value}")
    return options


def _soldesk_url(environment: Mapping[str, str]) -> str:
    """Return where signals go: SOLDESK_URL, else the desk on this machine at PORT."""
    port = environment.get("PORT") or "8000"
    return (environment.get("SOLDESK_URL") or f"http://127.0.0.1:{port}").rstrip("/")


def _path(environment: Mapping[str, str], name: str, under_home: str) -> Path | None:
    """Return the file a variable names, else the usual place under SOLDESK_HOME, else none."""
    named, home = environment.get(name), environment.get("SOLDESK_HOME")
    if named:
        return Path(named)
    return Path(home) / "sandbox" / under_home if home else None

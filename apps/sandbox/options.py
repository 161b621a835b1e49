"""How one sandbox is started: the options of the command, with their environment defaults."""

from __future__ import annotations

import os
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Number = TypeVar("Number", int, float)


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
    rpc_port: int = 8899
    slot_seconds: float = 0.4
    chain_journal: Path | None = None
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
        "--rpc-port",
        type=int,
        default=_number(environment, "SANDBOX_RPC_PORT", int),
        help="first of the chain's four ports, two for each node (SANDBOX_RPC_PORT, else 8899); 0 takes free ones, as"
        " --port 0 does",
    )
    parser.add_argument(
        "--slot-seconds",
        type=float,
        default=_number(environment, "SANDBOX_SLOT_SECONDS", float) or default.slot_seconds,
        help="pace of the chain (SANDBOX_SLOT_SECONDS)",
    )
    parser.add_argument(
        "--chain-journal",
        type=Path,
        default=_path(environment, "SANDBOX_CHAIN_JOURNAL", "chain.journal"),
        help="keep the chain here, so that it goes on where it was (SANDBOX_CHAIN_JOURNAL, else under SOLDESK_HOME)",
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
        rpc_port=_rpc_port(arguments),
        slot_seconds=arguments["slot_seconds"],
        chain_journal=arguments["chain_journal"],
        signals=arguments["signals"],
        signal_interval_seconds=arguments["signal_interval"],
        soldesk_url=_soldesk_url(environment),
        signal_key=environment.get("SANDBOX_SIGNAL_KEY") or None,
        signal_key_file=_path(environment, "SANDBOX_SIGNAL_KEY_FILE", "signal-key"),
    )
    limits = (
        ("--port", options.port, 0, 65_535),
        ("--rpc-port", options.rpc_port, 0, 65_532),
        ("--slot-seconds", options.slot_seconds, 0.01, 60),
        ("--tokens", options.tokens, 1, 200),
        ("--tick-ms", options.tick_ms, 20, 60_000),
        ("--fee-bps", options.fee_bps, 0, 1_000),
        ("--signal-interval", options.signal_interval_seconds, 0.05, 3_600),
    )
    for name, value, least, most in limits:
        if not least <= value <= most:
            raise ValueError(f"{name} must be between {least} and {most}, not {value}")
    return options


def _rpc_port(arguments: Mapping[str, Any]) -> int:
    """Return the chain's first port; who lets the market take any port has no wish for the chain's either."""
    given: int | None = arguments["rpc_port"]
    if given is not None:
        return given
    return 0 if arguments["port"] == 0 else Options().rpc_port


def _number(environment: Mapping[str, str], name: str, read: Callable[[str], Number]) -> Number | None:
    text = environment.get(name)
    return read(text) if text else None


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

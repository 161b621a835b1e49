"""The sandbox as a process: it starts without a database, says when its port is taken, stops at once, and goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from solders.keypair import Keypair

from apps.sandbox.chain.server import free_ports
from tests.sandbox_server import ROOT, SEED, SandboxControl, read_url, running_sandbox, start_process


def test_health_names_the_seed(sandbox: SandboxControl) -> None:
    answer = sandbox.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["seed"] == SEED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_whatever_is_open(number: signal.Signals) -> None:
    process = start_process("--port", "0", "--no-signals")
    try:
        control = SandboxControl(read_url(process))
        control.fault("dexscreener", "hang")
        with httpx.stream("GET", f"{control.base_url}/control/stream", trust_env=False) as page:
            next(page.iter_lines())
            with pytest.raises(httpx.ReadTimeout):
                httpx.get(f"{control.dexscreener_url}/latest/dex/search?q=a", timeout=0.2, trust_env=False)
            process.send_signal(number)
            assert process.wait(20) == 0  # what was asked for would hang for minutes
        control.close()
    finally:
        process.kill()
        process.wait()


def test_a_taken_port_is_said_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "apps.sandbox", "--port", str(port), "--no-signals"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_of_the_chain_is_said_in_one_sentence() -> None:
    first = free_ports("127.0.0.1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 3))
        taken.listen()
        ended = subprocess.run(
            [sys.executable, "-m", "apps.sandbox", "--port", "0", "--rpc-port", str(first), "--no-signals"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == 2
    assert f"ports {first} to {first + 3} on 127.0.0.1 is in use" in ended.stderr
    assert "SANDBOX_RPC_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_wrong_option_is_said_in_one_sentence() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "apps.sandbox", "--tick-ms", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.strip() == "--tick-ms must be between 20 and 60000, not 1"


def test_a_restarted_sandbox_goes_on_at_its_prices(tmp_path: Path) -> None:
    options = ("--state-file", str(tmp_path / "sandbox" / "market.json"), "--no-autonomous")
    with running_sandbox(*options) as first:
        token = first.add_tokens(1, prefix="KEPT")[0]
        first.set_price(token.mint, "0.0077")
    with running_sandbox(*options) as second:
        assert float(second.price_of(token.mint)) == pytest.approx(0.0077)


def test_a_killed_sandbox_loses_a_few_seconds_at_most(tmp_path: Path) -> None:
    state_file = tmp_path / "market.json"
    process = start_process("--port", "0", "--no-signals", "--no-autonomous", "--state-file", str(state_file))
    try:
        control = SandboxControl(read_url(process))
        token = control.add_tokens(1, prefix="KEPT")[0]
        control.set_price(token.mint, "0.0077")
        deadline = time.monotonic() + 60
        while not (state_file.exists() and token.mint in state_file.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        control.close()
    finally:
        process.kill()
        process.wait()
    with running_sandbox("--no-autonomous", "--state-file", str(state_file), "--seed", "7") as again:
        assert float(again.price_of(token.mint)) == pytest.approx(0.0077)


def test_a_killed_sandbox_goes_on_with_its_chain_to_the_lamport(tmp_path: Path) -> None:
    journal, address = ("--chain-journal", str(tmp_path / "chain.journal")), str(Keypair().pubkey())

    def balance(control: SandboxControl) -> int:
        url = control.state()["chain"]["nodes"][1]["rpc"]
        call = {"jsonrpc": "2.0", "id": 1, "method": "getBalance", "params": [address, {"commitment": "processed"}]}
        lamports: int = httpx.post(url, json=call, trust_env=False).json()["result"]["value"]
        return lamports

    process = start_process("--port", "0", "--no-signals", *journal)
    try:
        control = SandboxControl(read_url(process))
        control.post("/control/chain/airdrop", {"address": address, "sol": "1.5"})
        slot = control.state()["chain"]["slot"]
        control.close()
    finally:
        process.kill()
        process.wait()
    with running_sandbox("--seed", "7", *journal) as again:
        assert balance(again) == 1_500_000_000
        assert again.state()["chain"]["slot"] > slot


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1, "seed": 20261, "tick": 5, "tokens": [{}]}'])
def test_a_broken_state_file_costs_the_state_and_nothing_else(tmp_path: Path, content: str) -> None:
    state_file = tmp_path / "market.json"
    state_file.write_text(content)
    with running_sandbox("--state-file", str(state_file)) as sandbox:
        assert sandbox.get("/health").status_code == 200


def test_the_management_command_needs_no_database() -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SANDBOX_", "SOLDESK_"))},
        "DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:9/none",
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "manage.py", "sandbox", "--port", "0", "--seed", "3", "--no-signals"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = read_url(process)
        assert httpx.get(f"{url}/health", trust_env=False).json()["seed"] == 3
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def test_the_same_seed_lists_the_same_tokens_in_every_process() -> None:
    with running_sandbox("--seed", "11") as first, running_sandbox("--seed", "11") as second:
        mints = [[token["mint"] for token in sandbox.state()["tokens"]] for sandbox in (first, second)]
    assert mints[0] == mints[1]
    assert len(mints[0]) >= 12

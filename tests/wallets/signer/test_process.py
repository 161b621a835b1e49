"""The process itself: nobody else sees its keys, strangers get no answer, and a kill loses nothing that was let out."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from base64 import b64decode
from contextlib import contextmanager
from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from apps.wallets.signer import process as signer_process
from apps.wallets.signer import server
from apps.wallets.signer import settings as settings_file
from apps.wallets.signer.key_file import KeyFile
from apps.wallets.signer_client import AsyncSigner, Signer, SignerRefused, SignerUnavailable, SwapToSign
from config.runtime import ports
from tests.desk import wait_until
from tests.wallets.signer.doors import open_door
from tests.wallets.signer.world import SOL, World

ROOT = Path(__file__).resolve().parents[3]
# Named addresses that nothing listens at: the signer needs neither.
NOWHERE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "REDIS_URL": "redis://127.0.0.1:9/0"}


def environment(home: Path, **own: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **NOWHERE, "SOLDESK_HOME": str(home), "LOG_FORMAT": "json", **own}


@contextmanager
def running(home: Path, **own: str):
    """Run `manage.py signer`; yields the process and a client."""
    log = home.with_name("signer.log")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "signer"],
            cwd=ROOT,
            env=environment(home, **own),
            stdout=output,
            stderr=output,
        )
    client = Signer(own.get("SIGNER_SOCKET") or home / "run" / "signer" / "s")
    try:
        wait_until(lambda: answers(client))
        yield process, client
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def answers(client: Signer) -> bool:
    try:
        return client.status() is not None
    except SignerUnavailable:
        return False


def forms_of(pair: Keypair) -> list[bytes]:
    """Return what a private key looks like: raw, base58, and the numbers of a JSON array."""
    numbers = list(bytes(pair))
    return [bytes(pair)[:32], str(pair).encode(), json.dumps(numbers)[1:-1].encode(), str(numbers)[1:130].encode()]


def memory_of(pid: int) -> bytes:
    """Return everything a process holds in memory that can be read."""
    found = bytearray()
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(each, 16) for each in place.split("-"))
            try:
                memory.seek(start)
                found += memory.read(end - start)
            except OSError:
                continue
    return bytes(found)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_key_given_to_make_up_reaches_the_signer_and_no_other_process(tmp_path):
    pair, other = Keypair(), Keypair()
    home = tmp_path / "home"
    procfile = tmp_path / "Procfile"
    procfile.write_text(
        "migrate: true\nsigner: python manage.py signer\nbystander: python -c 'import time; time.sleep(600)'\n"
    )
    number = ports.choose()
    own = {
        "WALLET_1": str(pair),
        "WALLET_2": json.dumps(list(bytes(other))),
        "SIGNER_RPC_URLS": f"http://127.0.0.1:{number}",
        "SIGNER_PRICE_URL": f"http://127.0.0.1:{number}",
        "SOLDESK_DEMO": "0",
    }
    with (tmp_path / "log").open("wb") as log:
        desk = subprocess.Popen(
            [sys.executable, "-m", "config.runtime", "up", "--procfile", str(procfile)],
            cwd=ROOT,
            env=environment(home, **own),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        client = Signer(home / "run" / "signer" / "s")
        wait_until(lambda: answers(client))
        loaded = {key.address: key.name for key in client.status().keys}
        assert loaded == {str(pair.pubkey()): "WALLET_1", str(other.pubkey()): "WALLET_2"}
        record = json.loads((home / "run" / "stack.json").read_text())
        others = [record["supervisor"], record["pids"]["bystander"]]
        assert record["supervisor"] == desk.pid  # it started itself again as the same process
        forms = [form for each in (pair, other) for form in forms_of(each)]
        for pid in others:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"WALLET_" not in environ
            memory = memory_of(pid)
            assert len(memory) > 100_000
            assert not [form for form in forms if form in memory or form in environ]
        assert b"WALLET_" not in Path(f"/proc/{record['pids']['signer']}/environ").read_bytes()
        text = (tmp_path / "log").read_bytes()
        assert not [form for form in forms if form in text]

        os.kill(record["pids"]["signer"], signal.SIGKILL)
        wait_until(lambda: answers(client) and len(client.status().keys) == 2)  # they are given to the next one too
    finally:
        desk.send_signal(signal.SIGINT)
        desk.wait(60)


def test_the_memory_scan_finds_a_key_where_there_is_one():
    pair = Keypair()
    keeper = subprocess.Popen(
        [sys.executable, "-c", f"import time; kept = '{pair}'; time.sleep(60)"], stdin=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: str(pair).encode() in memory_of(keeper.pid))
    finally:
        keeper.kill()
        keeper.wait()


def test_a_key_in_a_file_that_every_process_reads_stops_make_up(tmp_path, monkeypatch):
    from config.runtime import private_keys
    from config.runtime.errors import StartError

    (tmp_path / ".env").write_text(f"WALLET_1={Keypair()}\n")
    monkeypatch.setattr(private_keys, "ROOT", tmp_path)
    with pytest.raises(StartError) as caught:
        private_keys.set_aside()
    assert ".env.signer" in str(caught.value)


def test_the_signer_runs_with_neither_database_nor_redis_and_imports_no_django(tmp_path):
    code = (
        "import sys; import apps.wallets.signer.process, apps.wallets.signer.commands; "
        "print(sorted(n for n in sys.modules if n.split('.')[0] in ('django', 'psycopg', 'redis', 'celery')))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_a_demo_desk_keeps_its_wallet_when_a_key_is_made_beside_it(tmp_path, monkeypatch):
    """What it had bought could be sold by nobody after the next start."""
    monkeypatch.setenv("SOLDESK_HOME", str(tmp_path))
    settings = settings_file.load()
    settings.keys_folder.mkdir(parents=True)
    (demo,) = signer_process.open_keys(settings, {}).told()
    file = KeyFile.seal(bytes(Keypair())[:32], name="mine", passphrase="a long passphrase")
    file.write(settings.keys_folder)

    held = {key["address"]: key["locked"] for key in signer_process.open_keys(settings, {}).told()}

    assert held == {demo["address"]: False, file.address: True}
    given = {"WALLET_1": str(Keypair())}
    assert demo["address"] not in {key["address"] for key in signer_process.open_keys(settings, given).told()}


def test_what_was_let_out_is_counted_after_kill_nine(tmp_path):
    """A real process, a real node and market beside it; killed as soon as it has answered."""
    from tests.chain_market import running_chain_market

    pair = Keypair()
    home = tmp_path / "home"
    with running_chain_market(slot_seconds=0.05) as market:
        own = {
            "WALLET_1": str(pair),
            "SIGNER_RPC_URLS": ",".join(market.rpc_urls),
            "SIGNER_PRICE_URL": market.control.jupiter_url,
            "SIGNER_MAX_TRADE_SOL": "2",
            "SIGNER_MAX_DAY_SOL": "2.5",
            "SIGNER_EXIT_RESERVE_SOL": "0",
        }
        market.airdrop(pair.pubkey())
        mint = market.runtime.market.demo_mints[0]

        def ordered():
            query = {
                "inputMint": "So11111111111111111111111111111111111111112",
                "outputMint": mint,
                "amount": str(2 * SOL),
                "taker": str(pair.pubkey()),
                "slippageBps": "300",
            }
            told = market.control.client.get("/jupiter/swap/v2/order", params=query).json()
            return told["otherAmountThreshold"], b64decode(told["transaction"])

        least, transaction = ordered()
        swap = SwapToSign("order-1", str(pair.pubkey()), "buy", mint, 2 * SOL, int(least), transaction)
        with running(home, **own) as (process, client):
            signed = client.sign_swap(swap)
            process.kill()
            process.wait()
        with running(home, **own) as (_, client):
            assert client.status().spent_day_lamports >= 2 * SOL
            assert client.sign_swap(swap) == signed
            other_least, other = ordered()
            again = SwapToSign("order-2", str(pair.pubkey()), "buy", mint, 2 * SOL, int(other_least), other)
            with pytest.raises(SignerRefused) as caught:
                client.sign_swap(again)
            assert caught.value.code == "DAY_CAP"
            assert client.status().spent_day_lamports < 3 * SOL
    said = (tmp_path / "signer.log").read_bytes()
    assert not [form for form in forms_of(pair) if form in said]
    assert signed.transaction not in said


# -- the door


def test_strangers_get_no_answer(monkeypatch):
    with open_door() as path:
        assert answers(Signer(path))
        monkeypatch.setattr(server, "_peer", lambda _: os.geteuid() + 1)
        with pytest.raises(SignerRefused) as caught:
            Signer(path).status()
        assert caught.value.code == "NOT_ALLOWED_HERE"
        assert oct(path.stat().st_mode & 0o777) == "0o600"
        assert oct(path.parent.stat().st_mode & 0o777) == "0o700"


def ask(path: Path, line: bytes) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(path))
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answers:
            answer: dict[str, object] = json.loads(answers.readline())
    return answer


def test_what_is_no_request_is_refused_and_never_shown_again(capfd):
    passphrase = "a passphrase nobody may see"
    lines = [
        b"\n",
        b"nonsense\n",
        b"[]\n",
        b"[" * 5_000 + b"\n",
        b'{"op":"sign_anything"}\n',
        b'{"op":"status","more":1}\n',
        json.dumps({"op": "unlock", "address": passphrase, "passphrase": passphrase}).encode() + b"\n",
        json.dumps({"op": "create", "name": "x", "passphrase": [passphrase]}).encode() + b"\n",
        json.dumps({"op": "create", passphrase: 1, "passphrase": passphrase}).encode() + b"\n",
        b'{"op":"sign_swap","order_id":"../x"}\n',
        b"x" * 70_000 + b"\n",
    ]
    with open_door() as path:
        for line in lines:
            answer = ask(path, line)
            assert answer["code"] == "BAD_REQUEST", line[:60]
            assert passphrase not in json.dumps(answer)
        assert answers(Signer(path))
    assert passphrase not in "".join(capfd.readouterr())


async def test_a_door_that_is_not_there_says_so():
    for path in (None, "", "/nowhere/at/all"):
        with pytest.raises(SignerUnavailable):
            await AsyncSigner(path).status()


def test_a_swap_is_signed_through_the_door(tmp_path):
    world = World(tmp_path)
    built = world.built()
    request = world.request(built)
    swap = SwapToSign(
        "order-1", request.wallet, "buy", request.mint, SOL, request.minimum_out_base_units, request.transaction
    )
    with open_door(world) as path:
        signed = Signer(path).sign_swap(swap)
    assert str(world.land(VersionedTransaction.from_bytes(signed.transaction))) == signed.signature
    assert "Signed(signature=" in repr(signed)
    world.caps.close()

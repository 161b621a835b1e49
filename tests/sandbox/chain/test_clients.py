"""Public clients work against the chain unchanged, and what they were told survives a kill of its process."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.models import TxOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.sandbox.chain.process import ChainProcess

NODE = Path(__file__).parent / "node"
SOL = 10**9


@pytest.fixture
def chain(tmp_path) -> Iterator[ChainProcess]:
    process = ChainProcess(tmp_path / "chain.journal")
    process.start()
    yield process
    process.kill()


async def paid(client: AsyncClient, payer: Keypair, to: Pubkey, lamports: int) -> Signature:
    latest = await client.get_latest_blockhash(Confirmed)
    pay = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports))
    message = MessageV0.try_compile(payer.pubkey(), [pay], [], latest.value.blockhash)
    sent = await client.send_raw_transaction(
        bytes(VersionedTransaction(message, [payer])), opts=TxOpts(preflight_commitment=Confirmed)
    )
    await client.confirm_transaction(sent.value, Confirmed)
    return sent.value


async def funded(client: AsyncClient, owner: Keypair) -> None:
    airdrop = await client.request_airdrop(owner.pubkey(), 5 * SOL)
    await client.confirm_transaction(airdrop.value, Confirmed)


def test_the_python_client_sends_and_reads(chain):
    async def run() -> None:
        alice, bob = Keypair(), Keypair().pubkey()
        async with AsyncClient(chain.url, commitment=Confirmed) as client:
            await funded(client, alice)
            signature = await paid(client, alice, bob, 2 * SOL)
            assert (await client.get_balance(bob)).value == 2 * SOL
            (status,) = (await client.get_signature_statuses([signature])).value
            assert status.err is None
            told = await client.get_transaction(signature, "jsonParsed", Confirmed, max_supported_transaction_version=1)
            assert told.value.transaction.meta.post_balances[1] == 2 * SOL
            listed = await client.get_signatures_for_address(bob, commitment=Confirmed)
            assert [each.signature for each in listed.value] == [signature]

    asyncio.run(run())


def test_the_python_client_hears_of_its_signature(chain):
    async def run() -> None:
        alice, bob = Keypair(), Keypair().pubkey()
        async with (
            AsyncClient(chain.url, commitment=Confirmed) as client,
            SolanaWsClient(f"ws://127.0.0.1:{chain.port + 1}") as socket,
        ):
            await funded(client, alice)
            signature = await paid(client, alice, bob, SOL)
            await socket.signature_subscribe(signature=signature, commitment=Confirmed)
            notice = await asyncio.wait_for(socket.recv(), 60)
            assert notice.result.value.err is None

    asyncio.run(run())


def test_what_landed_survives_a_kill_to_the_lamport(chain):
    async def before() -> tuple[Keypair, Pubkey, Signature, int]:
        alice, bob = Keypair(), Keypair().pubkey()
        async with AsyncClient(chain.url, commitment=Confirmed) as client:
            await funded(client, alice)
            for _ in range(5):
                signature = await paid(client, alice, bob, SOL // 10)
            return alice, bob, signature, (await client.get_balance(alice.pubkey())).value

    async def after(alice: Keypair, bob: Pubkey, signature: Signature, balance: int) -> None:
        async with AsyncClient(chain.url, commitment=Confirmed) as client:
            assert (await client.get_balance(alice.pubkey())).value == balance
            assert (await client.get_balance(bob)).value == SOL // 2
            found = await client.get_signature_statuses([signature], search_transaction_history=True)
            assert found.value[0].err is None
            await paid(client, alice, bob, SOL)
            assert (await client.get_balance(bob)).value == SOL // 2 + SOL

    known = asyncio.run(before())
    chain.kill()
    chain.start()
    asyncio.run(after(*known))


def test_a_stop_ends_it_at_once(chain):
    assert chain.stop() == 0
    chain.start()


@pytest.fixture(scope="module")
def node_packages() -> Path:
    """Install the libraries of the Node script once; it takes their registry."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node here")
    if not (NODE / "node_modules" / "@solana").exists():
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            installed = subprocess.run(command, cwd=NODE, capture_output=True, timeout=180, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("the packages of the Node script do not arrive: no registry can be reached")
        if installed.returncode != 0:
            pytest.skip("the packages of the Node script cannot be installed: no registry can be reached")
    return NODE


def test_the_javascript_client_does_what_people_do_first(chain, node_packages):
    command = ["node", "client.mjs", chain.url]
    ended = subprocess.run(command, cwd=node_packages, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("fine\n")

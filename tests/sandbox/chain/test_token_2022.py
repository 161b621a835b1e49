"""Mints of Token-2022 made by the program itself, and how a node tells of them and of their accounts."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction
from spl.token import instructions as spl
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID
from spl.token.models import InitializeMint2Params, MintToCheckedParams, TransferCheckedParams

from apps.sandbox.chain.ledger import Ledger
from apps.sandbox.chain.rpc import Rpc

SOL = 10**9
FEE_BPS, MOST_FEE = 250, 10_000
SHARED_BYTES, HEADER_BYTES = 166, 4


class World:
    """A chain with somebody who makes mints; `ask` is asked of processed states."""

    def __init__(self) -> None:
        self.chain = Ledger(seed=3, now=1_800_000_000.0)
        self.maker = Keypair()
        self.chain.airdrop(self.maker.pubkey(), 100 * SOL)

    def run(self, *steps: Instruction, signers: tuple[Keypair, ...] = ()) -> dict[str, Any]:
        message = MessageV0.try_compile(self.maker.pubkey(), list(steps), [], self.chain.blockhash("processed")[0])
        sent = VersionedTransaction(message, [self.maker, *signers])
        signature = self.chain.submit(sent, preflight=True)
        self.chain.tick(self.chain.now + 0.4)
        return self.chain.landed[signature].meta

    def mint(self, size: int, *extensions: Instruction, keys: Keypair, program: Pubkey) -> None:
        key = keys.pubkey()
        opened = create_account(
            CreateAccountParams(
                from_pubkey=self.maker.pubkey(),
                to_pubkey=key,
                lamports=self.chain.rent(size),
                space=size,
                owner=program,
            )
        )
        ready = spl.initialize_mint2(
            InitializeMint2Params(
                decimals=6,
                program_id=program,
                mint=key,
                mint_authority=self.maker.pubkey(),
                freeze_authority=self.maker.pubkey(),
            )
        )
        self.run(opened, *extensions, ready, signers=(keys,))

    def account_of(self, owner: Pubkey, mint: Pubkey, program: Pubkey, amount: int = 0) -> Pubkey:
        key = spl.get_associated_token_address(owner, mint, program)
        steps = [
            spl.create_idempotent_associated_token_account(
                payer=self.maker.pubkey(), owner=owner, mint=mint, token_program_id=program
            )
        ]
        if amount:
            steps.append(
                spl.mint_to_checked(
                    MintToCheckedParams(
                        program_id=program,
                        mint=mint,
                        dest=key,
                        mint_authority=self.maker.pubkey(),
                        amount=amount,
                        decimals=6,
                    )
                )
            )
        self.run(*steps)
        return key

    def ask(self, method: str, *parameters: object) -> Any:
        answer = Rpc(self.chain).answer({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)})
        assert "result" in answer, answer
        return answer["result"]

    def parsed(self, key: Pubkey) -> dict[str, Any]:
        value = self.ask("getAccountInfo", str(key), {"encoding": "jsonParsed", "commitment": "processed"})["value"]
        assert value["data"]["program"] == "spl-token-2022"
        info: dict[str, Any] = value["data"]["parsed"]["info"]
        return info


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def extension(mint: Pubkey, data: bytes) -> Instruction:
    return Instruction(TOKEN_2022_PROGRAM_ID, data, [AccountMeta(mint, is_signer=False, is_writable=True)])


def told(info: dict[str, Any]) -> dict[str, Any]:
    return {each["extension"]: each.get("state") for each in info["extensions"]}


@pytest.fixture(scope="module")
def taxed(world: World) -> Pubkey:
    """A mint that keeps 2.5 % of every transfer, at most 0.01 of a token."""
    keys, maker = Keypair(), bytes(world.maker.pubkey())
    config = b"\x1a\x00" + b"\x01" + maker + b"\x01" + maker + pack("<HQ", FEE_BPS, MOST_FEE)
    size = SHARED_BYTES + HEADER_BYTES + 108
    world.mint(size, extension(keys.pubkey(), config), keys=keys, program=TOKEN_2022_PROGRAM_ID)
    return keys.pubkey()


def test_a_transfer_fee_is_told_of_the_mint_and_withheld_from_the_receiver(world: World, taxed: Pubkey):
    maker = world.maker.pubkey()
    state = told(world.parsed(taxed))["transferFeeConfig"]
    assert (state["transferFeeConfigAuthority"], state["withheldAmount"]) == (str(maker), 0)
    fee = {"epoch": 0, "maximumFee": MOST_FEE, "transferFeeBasisPoints": FEE_BPS}
    assert (state["olderTransferFee"], state["newerTransferFee"]) == (fee, fee)

    bob = Keypair().pubkey()
    source = world.account_of(maker, taxed, TOKEN_2022_PROGRAM_ID, 1_000_000)
    target = world.account_of(bob, taxed, TOKEN_2022_PROGRAM_ID)
    meta = world.run(
        spl.transfer_checked(
            TransferCheckedParams(
                program_id=TOKEN_2022_PROGRAM_ID,
                source=source,
                mint=taxed,
                dest=target,
                owner=maker,
                amount=100_000,
                decimals=6,
            )
        )
    )
    after = {each["owner"]: int(each["uiTokenAmount"]["amount"]) for each in meta["postTokenBalances"]}
    assert after == {str(maker): 900_000, str(bob): 97_500}
    assert {each["programId"] for each in meta["postTokenBalances"]} == {str(TOKEN_2022_PROGRAM_ID)}
    info = world.parsed(target)
    assert told(info)["transferFeeAmount"] == {"withheldAmount": 2_500}
    assert "immutableOwner" in told(info)
    assert info["tokenAmount"]["amount"] == "97500"


def test_extensions_that_can_hurt_a_holder_are_told_by_name(world: World):
    keys, maker = Keypair(), bytes(world.maker.pubkey())
    hook = bytes(Keypair().pubkey())
    extensions = [
        (3, 32, b"\x19\x01" + maker),  # who may close the mint
        (6, 1, b"\x1c\x00\x02"),  # accounts are born frozen
        (12, 32, b"\x23" + maker),  # who may take everybody's tokens
        (14, 64, b"\x24\x00" + maker + hook),  # a program every transfer passes
    ]
    size = SHARED_BYTES + sum(HEADER_BYTES + length for _, length, _ in extensions)
    steps = [extension(keys.pubkey(), data) for _, _, data in extensions]
    world.mint(size, *steps, keys=keys, program=TOKEN_2022_PROGRAM_ID)
    info = world.parsed(keys.pubkey())
    assert told(info) == {
        "mintCloseAuthority": {"closeAuthority": str(world.maker.pubkey())},
        "defaultAccountState": {"accountState": "frozen"},
        "permanentDelegate": {"delegate": str(world.maker.pubkey())},
        "transferHook": {"authority": str(world.maker.pubkey()), "programId": str(Pubkey(hook))},
    }
    assert info["freezeAuthority"] == str(world.maker.pubkey())
    frozen = world.account_of(Keypair().pubkey(), keys.pubkey(), TOKEN_2022_PROGRAM_ID)
    assert world.parsed(frozen)["state"] == "frozen"
    assert told(world.parsed(frozen))["transferHookAccount"] == {"transferring": False}


def test_a_token_that_cannot_be_moved_says_so_of_mint_and_account(world: World):
    keys = Keypair()
    world.mint(SHARED_BYTES + HEADER_BYTES, extension(keys.pubkey(), b"\x20"), keys=keys, program=TOKEN_2022_PROGRAM_ID)
    assert told(world.parsed(keys.pubkey())) == {"nonTransferable": None}
    held = world.account_of(world.maker.pubkey(), keys.pubkey(), TOKEN_2022_PROGRAM_ID, 5)
    assert {"nonTransferableAccount", "immutableOwner"} <= set(told(world.parsed(held)))


def test_accounts_of_an_owner_are_asked_for_by_program(world: World, taxed: Pubkey):
    plain = Keypair()
    world.mint(82, keys=plain, program=TOKEN_PROGRAM_ID)
    carol = Keypair().pubkey()
    accounts = {
        TOKEN_PROGRAM_ID: world.account_of(carol, plain.pubkey(), TOKEN_PROGRAM_ID, 7),
        TOKEN_2022_PROGRAM_ID: world.account_of(carol, taxed, TOKEN_2022_PROGRAM_ID, 8),
    }
    config = {"encoding": "jsonParsed", "commitment": "processed"}
    for program, account in accounts.items():
        (found,) = world.ask("getTokenAccountsByOwner", str(carol), {"programId": str(program)}, config)["value"]
        assert (found["pubkey"], found["account"]["owner"]) == (str(account), str(program))
    (by_mint,) = world.ask("getTokenAccountsByOwner", str(carol), {"mint": str(taxed)}, config)["value"]
    assert by_mint["account"]["data"]["parsed"]["info"]["tokenAmount"]["amount"] == "8"


def test_supply_and_the_largest_holders_are_told(world: World):
    keys = Keypair()
    world.mint(82, keys=keys, program=TOKEN_PROGRAM_ID)
    holders = {
        str(world.account_of(Keypair().pubkey(), keys.pubkey(), TOKEN_PROGRAM_ID, amount)): amount
        for amount in (3, 30_000_000, 300)
    }
    processed = {"commitment": "processed"}
    assert world.ask("getTokenSupply", str(keys.pubkey()), processed)["value"]["uiAmountString"] == "30.000303"
    largest = world.ask("getTokenLargestAccounts", str(keys.pubkey()), processed)["value"]
    assert [int(each["amount"]) for each in largest] == [30_000_000, 300, 3]
    assert {each["address"]: int(each["amount"]) for each in largest} == holders


def test_accounts_of_a_program_are_narrowed_by_size_and_by_bytes(world: World):
    keys = Keypair()
    world.mint(82, keys=keys, program=TOKEN_PROGRAM_ID)
    held = world.account_of(Keypair().pubkey(), keys.pubkey(), TOKEN_PROGRAM_ID, 1)
    filters: list[dict[str, Any]] = [
        {"dataSize": 165},
        {"memcmp": {"offset": 0, "bytes": str(keys.pubkey())}},
    ]
    config = {"encoding": "base64", "commitment": "processed", "filters": filters}
    assert [each["pubkey"] for each in world.ask("getProgramAccounts", str(TOKEN_PROGRAM_ID), config)] == [str(held)]
    filters[0] = {"dataSize": 82}
    assert world.ask("getProgramAccounts", str(TOKEN_PROGRAM_ID), config) == []


def test_an_extension_nobody_reads_is_told_by_that(world: World, taxed: Pubkey):
    account = world.chain.account(taxed)
    assert account is not None
    strange = bytes(account.data) + pack("<HH", 4_000, 3) + b"abc"
    key = Keypair().pubkey()
    world.chain.issue(key, type(account)(account.lamports, strange, account.owner))
    assert world.parsed(key)["extensions"][-1] == {"extension": "unparseableExtension"}

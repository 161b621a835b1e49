"""Whatever lands, is taken back by forks and read again from the journal: every balance is the sum of the history."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from apps.sandbox.chain.journal import Journal, resume
from apps.sandbox.chain.ledger import COMMITMENTS

SEED, STEPS = 5, 60
SOL = 10**9


class Run:
    """A chain with a journal, four people, and what happens to them at random."""

    def __init__(self, path: Path, seed: int) -> None:
        self.draw = random.Random(seed)
        self.path = path
        self.people = [Keypair.from_seed(bytes([number] * 32)) for number in range(1, 5)]
        self.open()
        for person in self.people:
            self.chain.airdrop(person.pubkey(), SOL)

    def open(self) -> None:
        self.journal = Journal(self.path)
        self.chain = resume(self.path, seed=SEED, now=1_800_000_000.0)
        self.journal.follow(self.chain)

    def step(self) -> None:
        self.draw.choices((self.pay, self.slots, self.fork, self.send_again, self.kill), (10, 6, 2, 2, 1))[0]()

    def pay(self) -> None:
        payer, other = self.draw.sample(self.people, 2)
        lamports = self.draw.randrange(1_000_000, SOL)  # sometimes more than there is: it fails and costs its fee
        pay = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=other.pubkey(), lamports=lamports))
        message = MessageV0.try_compile(payer.pubkey(), [pay], [], self.chain.blockhash("confirmed")[0])
        self.last = VersionedTransaction(message, [payer])
        self.chain.submit(self.last, preflight=False)

    def send_again(self) -> None:
        if hasattr(self, "last"):
            self.chain.submit(self.last, preflight=False)

    def slots(self) -> None:
        for _ in range(self.draw.randrange(1, 20)):
            self.chain.tick(self.chain.now + 0.4)
            self.journal.note_slot()

    def fork(self) -> None:
        final = self.chain.slot_of("finalized")
        pending = [signature for signature, landed in self.chain.landed.items() if landed.slot > final]
        if pending:
            self.chain.roll_back(self.draw.choice(pending))

    def kill(self) -> None:
        before = self.seen()
        self.open()
        assert self.seen() == before

    def seen(self) -> tuple[list[Signature], list[int]]:
        return list(self.chain.landed), [self.balance(person.pubkey()) for person in self.people]

    def balance(self, key: Pubkey, commitment: str = "processed") -> int:
        account = self.chain.account(key, commitment)
        return 0 if account is None else account.lamports

    def history(self, key: Pubkey, until_slot: int) -> int:
        return sum(
            landed.meta["postBalances"][landed.keys.index(key)] - landed.meta["preBalances"][landed.keys.index(key)]
            for landed in self.chain.landed.values()
            if key in landed.keys and landed.slot <= until_slot
        )

    def check(self) -> None:
        for person in self.people:
            key = person.pubkey()
            for commitment in COMMITMENTS:
                assert self.balance(key, commitment) == self.history(key, self.chain.slot_of(commitment))
            listed = self.chain.by_address[key]
            assert listed == [signature for signature, landed in self.chain.landed.items() if key in landed.keys]
        spent = sum(landed.meta["fee"] for landed in self.chain.landed.values() if landed.keys[0] != self.faucet)
        assert sum(self.balance(person.pubkey()) for person in self.people) == len(self.airdrops) * SOL - spent

    @property
    def faucet(self) -> Pubkey:
        return self.chain.faucet.pubkey()

    @property
    def airdrops(self) -> list[Signature]:
        return [signature for signature, landed in self.chain.landed.items() if landed.keys[0] == self.faucet]


@pytest.mark.parametrize("seed", range(5))
def test_every_balance_is_the_sum_of_what_landed(tmp_path, seed):
    run = Run(tmp_path / "chain.journal", seed)
    for _ in range(STEPS):
        run.step()
        run.check()

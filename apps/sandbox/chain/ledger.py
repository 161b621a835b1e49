"""The chain itself: slots, blockhashes, transactions executed in a virtual machine, and what was true at which slot.

A transaction is executed when it arrives, in the present slot; `confirmed` and `finalized` follow some slots behind, in
statuses and for account states alike. Block height is below the slot, and some slots have no block, as on a real chain.
One thread: everything here is called from one event loop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from solders.account import Account
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM
from solders.system_program import TransferParams, transfer
from solders.token.state import Mint
from solders.transaction import VersionedTransaction

from apps.sandbox.chain import accounts, lookups
from apps.sandbox.chain.fees import LandedFees
from apps.sandbox.chain.outcomes import Balances, Outcome, balances, meta_of, preflight_data, sentence
from apps.sandbox.chain.refused import INVALID_PARAMS, Refused
from apps.sandbox.chain.states import NOTHING, States

VALID_BLOCKS = 150
FIRST_SLOT = 10_000
SLOTS_WITHOUT_BLOCK_BEFORE = 1_000
#: Every so many slots one has no block.
SKIPPED_EVERY = 64
CONFIRMED_AFTER, FINALIZED_AFTER = 1, 32
COMMITMENTS = ("processed", "confirmed", "finalized")
FAUCET_LAMPORTS = 500_000_000 * 10**9


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction in a block; `meta` as `getTransaction` tells it, `keys` with those of lookup tables."""

    signature: Signature
    slot: int
    block_time: int
    transaction: VersionedTransaction
    keys: tuple[Pubkey, ...]
    meta: dict[str, Any]

    @property
    def error(self) -> Any:
        return self.meta["err"]


class Ledger:
    """One chain. `tick` makes the next slot; time is given, never taken."""

    def __init__(self, *, seed: int, now: float, slot: int = FIRST_SLOT) -> None:
        self._seed = seed
        self._vm = LiteSVM().with_blockhash_check(False).with_transaction_history(0)
        self.faucet = Keypair.from_seed(sha256(b"faucet%d" % seed).digest())
        self.slot = slot
        self.now = now
        self.genesis_hash = Hash(sha256(b"genesis %d" % seed).digest())
        self.landed: dict[Signature, Landed] = {}
        self.by_address: dict[Pubkey, list[Signature]] = defaultdict(list)
        self.states = States(self._vm.get_account, self._vm.set_account)
        self.fees = LandedFees()
        self._window: dict[Hash, int] = {}
        self._airdrops = 0
        self.on_landed: list[Callable[[Landed], None]] = []
        self.on_issued: list[Callable[[Pubkey, Account | None], None]] = []
        #: Called with a transaction and its accounts right before it is executed or simulated.
        self.before_running: list[Callable[[VersionedTransaction, Sequence[Pubkey]], None]] = []
        self.on_rolled_back: list[Callable[[list[Landed]], None]] = []
        self._found_genesis()
        self._show_time()

    # -- time

    @property
    def height(self) -> int:
        """The number of blocks: slots less those without one."""
        return self.height_at(self.slot)

    @staticmethod
    def height_at(slot: int) -> int:
        return slot - SLOTS_WITHOUT_BLOCK_BEFORE - slot // SKIPPED_EVERY

    def tick(self, now: float) -> None:
        """Make the next slot, and the one after it where a slot has no block."""
        self.slot += 1
        if self.height_at(self.slot) == self.height_at(self.slot - 1):
            self.slot += 1
        self.now = now
        self._show_time()

    def skip_to(self, slot: int, now: float) -> None:
        """Go on at a later slot, as after a time without blocks."""
        self.slot = slot - 1
        self.tick(now)

    def slot_of(self, commitment: str) -> int:
        """Return the newest slot that has reached a commitment."""
        behind = {"processed": 0, "confirmed": CONFIRMED_AFTER, "finalized": FINALIZED_AFTER}[commitment]
        return self.slot - behind

    def blockhash(self, commitment: str) -> tuple[Hash, int]:
        """Return the newest blockhash of a commitment and the last block height at which it is taken."""
        return self.blockhash_at(self.height_at(self.slot_of(commitment)))

    def blockhash_at(self, height: int) -> tuple[Hash, int]:
        """Return the hash of a block and the last block height at which it is taken."""
        return self._hash_of(height), height + VALID_BLOCKS

    def is_valid(self, blockhash: Hash, until_height: int | None = None) -> bool:
        """Say whether a blockhash is taken now; `until_height`: by a node that knows no later blocks."""
        height = self._window.get(blockhash)
        return height is not None and (until_height is None or height <= until_height)

    def _hash_of(self, height: int) -> Hash:
        return Hash(sha256(b"block %d %d" % (self._seed, height)).digest())

    def _show_time(self) -> None:
        newest, oldest = self.height, self.height - VALID_BLOCKS
        self._window = {hash_: height for hash_, height in self._window.items() if height >= oldest}
        for height in range(max(oldest, max(self._window.values(), default=oldest - 1) + 1), newest + 1):
            self._window[self._hash_of(height)] = height
        self._vm.warp_to_slot(self.slot)
        clock = self._vm.get_clock()
        clock.unix_timestamp = int(self.now)
        self._vm.set_clock(clock)

    # -- accounts

    def account(self, key: Pubkey, commitment: str = "processed") -> Account | None:
        """Return an account as it was at a commitment; None for one that holds nothing."""
        return self.states.at(key, self.slot_of(commitment))

    def issue(self, key: Pubkey, account: Account) -> None:
        """Put an account there without a transaction, as the market does with its tokens."""
        self.put_back(key, account)
        for listener in self.on_issued:
            listener(key, account)

    def arrange(self, key: Pubkey, account: Account) -> None:
        """Put an account there for the transaction that is about to run; it is remembered with what lands."""
        self._vm.set_account(key, account)

    def add_program(self, key: Pubkey, file: bytes) -> None:
        """Load a program; it is no part of what a journal remembers."""
        self._vm.add_program(key, file)

    def put_back(self, key: Pubkey, account: Account | None) -> None:
        """Put an account there as a journal remembers it, telling nobody."""
        self.states.keep_first(key)
        self._vm.set_account(key, account or NOTHING)
        self.states.note(key, self.slot)

    def decimals(self, mint: Pubkey) -> int | None:
        told = accounts.mint(self.account(mint))
        return None if told is None else told.decimals

    def rent(self, size: int) -> int:
        """Return the lamports that keep an account of so many bytes."""
        return self._vm.minimum_balance_for_rent_exemption(size)

    def _found_genesis(self) -> None:
        self._vm.set_account(
            self.faucet.pubkey(), Account(lamports=FAUCET_LAMPORTS, data=b"", owner=SYSTEM, executable=False)
        )
        mint = Mint(mint_authority=None, supply=0, decimals=9, is_initialized=True, freeze_authority=None)
        rent = self._vm.minimum_balance_for_rent_exemption(accounts.MINT_BYTES)
        self._vm.set_account(
            accounts.WRAPPED_SOL, Account(lamports=rent, data=bytes(mint), owner=accounts.TOKEN, executable=False)
        )

    # -- transactions

    def keys_of(self, transaction: VersionedTransaction) -> tuple[Pubkey, ...]:
        """Return a transaction's accounts, those of its lookup tables behind its own, writable ones first.

        Raises:
            Refused: a lookup table does not exist or is too short.
        """
        try:
            return lookups.keys_of(transaction, self.account)
        except lookups.NoSuchAddress as error:
            raise Refused(INVALID_PARAMS, str(error)) from None

    def simulate(self, transaction: VersionedTransaction, *, verify: bool, any_blockhash: bool = False) -> Outcome:
        """Execute a transaction and forget it."""
        wrong = None if any_blockhash else self._wrong(transaction)
        if wrong is not None:
            return Outcome.never(wrong)
        self._prepare(transaction, self.keys_of(transaction))
        self._vm.with_sigverify(verify)
        try:
            return Outcome.of(self._vm.simulate_transaction(transaction), transaction)
        finally:
            self._vm.with_sigverify(True)

    def balances_around(self, keys: Sequence[Pubkey], tried: Outcome) -> Balances:
        """Return the lamports and tokens of `keys` before and after what was tried, as simulations tell them."""
        before = self._present(keys)
        return self._around(keys, before, before | tried.after)

    def submit(self, transaction: VersionedTransaction, *, preflight: bool) -> Signature:
        """Take a transaction as a node does: simulate it first unless told not to, then execute it.

        One that bids too little is dropped without a word, and without preflight any that cannot land.

        Raises:
            Refused: -32003 for a wrong signature, -32002 for what preflight finds.
        """
        self.check(transaction, preflight=preflight)
        signature = transaction.signatures[0]
        if (preflight or self._wrong(transaction) is None) and self.fees.takes(transaction.message):
            self._land(transaction, self.keys_of(transaction))
        return signature

    def check(self, transaction: VersionedTransaction, *, preflight: bool) -> None:
        """Refuse what a node refuses before it takes a transaction.

        Raises:
            Refused: as `submit`.
        """
        if not all(transaction.verify_with_results()):
            raise Refused(-32003, "Transaction signature verification failure")
        self.keys_of(transaction)
        if not preflight:
            return
        tried = self.simulate(transaction, verify=True)
        if tried.error is not None:
            raise Refused(-32002, f"Transaction simulation failed: {sentence(tried.error)}", preflight_data(tried))

    def airdrop(self, to: Pubkey, lamports: int) -> Signature:
        """Send lamports from the faucet, in a transaction of its own; equal airdrops differ by their compute limit."""
        self._airdrops += 1
        steps = [
            set_compute_unit_limit(100_000 + self._airdrops % 1_000_000),
            transfer(TransferParams(from_pubkey=self.faucet.pubkey(), to_pubkey=to, lamports=lamports)),
        ]
        message = MessageV0.try_compile(self.faucet.pubkey(), steps, [], self.blockhash("processed")[0])
        transaction = VersionedTransaction(message, [self.faucet])
        self.check(transaction, preflight=True)
        self._land(transaction, self.keys_of(transaction))
        return transaction.signatures[0]

    def restore(self, landed: Landed, states: Iterable[tuple[Pubkey, Account | None]]) -> None:
        """Put a transaction back that landed before, with the accounts as it left them."""
        for key, state in states:
            self.put_back(key, state)
        self._add(landed)

    def changed_by(self, *landed: Landed) -> list[tuple[Pubkey, Account | None]]:
        """Return the accounts transactions may have changed, as they are now: programs are never among them."""
        keys = dict.fromkeys(key for each in landed for key in each.keys if self.states.knows(key))
        states = [(key, self.account(key)) for key in keys]
        return [(key, state) for key, state in states if state is None or not state.executable]

    def pretend(self, transaction: VersionedTransaction, *, error: Any) -> Landed:
        """Return a transaction as if it had landed, with this error; nothing is executed."""
        keys = self.keys_of(transaction)
        tried = self.simulate(transaction, verify=False, any_blockhash=True)
        around = self.balances_around(keys, tried)
        if error is not None or tried.error is not None:
            before = around["preBalances"]
            around |= {"postBalances": [before[0] - tried.fee, *before[1:]]}
            around |= {"postTokenBalances": around["preTokenBalances"]}
        return self._landed(transaction, keys, replace(tried, error=error), around)

    def roll_back(self, signature: Signature) -> list[Landed]:
        """Take back the block a transaction landed in and all after it, as a fork does; returns what was taken back.

        The other transactions land again now, in their order, each if it still can; this one does not, unless it is
        sent again.

        Raises:
            ValueError: it is unknown or finalized.
        """
        first = self.landed.get(signature)
        if first is None or first.slot <= self.slot_of("finalized"):
            raise ValueError("the transaction is unknown or finalized")
        undone = [each for each in self.landed.values() if each.slot >= first.slot]
        self.take_back(undone)
        for listener in self.on_rolled_back:
            listener(undone)
        for each in undone:
            if each.signature != signature:
                self._land(each.transaction, each.keys)
        return undone

    def take_back(self, undone: Sequence[Landed]) -> None:
        """Strike the last transactions from the history, and put their accounts back as they were before them."""
        first_slot = min(each.slot for each in undone)
        for key in {key for each in undone for key in each.keys}:
            self.states.undo(key, first_slot)
        for each in undone:
            del self.landed[each.signature]
            for key in set(each.keys):
                self.by_address[key] = [other for other in self.by_address[key] if other != each.signature]

    def _land(self, transaction: VersionedTransaction, keys: Sequence[Pubkey]) -> None:
        landed = self._execute(transaction, keys)
        if landed is not None:
            self._add(landed)
            for listener in self.on_landed:
                listener(landed)

    def _add(self, landed: Landed) -> None:
        self.landed[landed.signature] = landed
        for key in landed.keys:
            self.by_address[key].append(landed.signature)
        self.fees.note(landed.slot, landed.transaction.message, lookups.writable_of(landed.transaction, landed.keys))

    def _wrong(self, transaction: VersionedTransaction) -> str | None:
        if transaction.signatures[0] in self.landed:
            return "AlreadyProcessed"
        return None if self.is_valid(transaction.message.recent_blockhash) else "BlockhashNotFound"

    def _prepare(self, transaction: VersionedTransaction, keys: Sequence[Pubkey]) -> None:
        for prepare in self.before_running:
            prepare(transaction, keys)

    def _execute(self, transaction: VersionedTransaction, keys: Sequence[Pubkey]) -> Landed | None:
        for key in keys:
            self.states.keep_first(key)
        self._prepare(transaction, keys)
        before = self._present(keys)
        outcome = Outcome.of(self._vm.send_transaction(transaction), transaction)
        if not outcome.lands:
            return None
        for key in keys:
            self.states.note(key, self.slot)
        return self._landed(transaction, keys, outcome, self._around(keys, before, self._present(keys)))

    def _landed(
        self, transaction: VersionedTransaction, keys: Sequence[Pubkey], outcome: Outcome, around: Balances
    ) -> Landed:
        looked_up = [str(key) for key in keys[len(transaction.message.account_keys) :]]
        return Landed(
            signature=transaction.signatures[0],
            slot=self.slot,
            block_time=int(self.now),
            transaction=transaction,
            keys=tuple(keys),
            meta=meta_of(outcome, around, looked_up, lookups.writable_looked_up(transaction)),
        )

    def _present(self, keys: Sequence[Pubkey]) -> dict[Pubkey, Account | None]:
        return {key: self._vm.get_account(key) for key in keys}

    def _around(
        self,
        keys: Sequence[Pubkey],
        before: Mapping[Pubkey, Account | None],
        after: Mapping[Pubkey, Account | None],
    ) -> Balances:
        told: Balances = {}
        for when, states in (("pre", before), ("post", after)):
            told[f"{when}Balances"], told[f"{when}TokenBalances"] = balances(keys, states, self._vm.get_account)
        return told

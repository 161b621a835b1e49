"""What may be signed, judged from the transaction alone: every instruction is on the list, or nothing is signed. Pure.

What the transaction then does is judged from its simulation, in `evidence`; its price in `prices`; its size in `caps`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from solders.pubkey import Pubkey

from apps.wallets.signer import routes
from apps.wallets.signer.reading import Reading, Step
from apps.wallets.signer.reasons import Reason, Refused

COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
SYSTEM = Pubkey.from_string("11111111111111111111111111111111")
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
WRAPPED_SOL = Pubkey.from_string("So11111111111111111111111111111111111111112")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
#: What every swap may name for its venues to call (some leave a memo); the venues themselves come on top.
BASIC_PROGRAMS = frozenset({COMPUTE_BUDGET, SYSTEM, TOKEN, TOKEN_2022, ASSOCIATED, MEMO, routes.PROGRAM})
LAMPORTS_PER_SIGNATURE = 5_000
#: What the chain allows a transaction that names no limit, at the most.
MOST_UNITS = 1_400_000
_SET_LIMIT, _SET_PRICE = 2, 3
_SYSTEM_TRANSFER = (2).to_bytes(4, "little")
_SYNC_NATIVE, _CLOSE_ACCOUNT = b"\x11", b"\x09"


@dataclass(frozen=True, slots=True)
class SwapTerms:
    """What the caller wants signed: base units, SOL in lamports. `mint` is the token's, whichever way it goes."""

    wallet: Pubkey
    buys: bool
    mint: Pubkey
    in_amount: int
    minimum_out: int


@dataclass(frozen=True, slots=True)
class Outline:
    """A transaction that passed: its fee, and the token accounts of the wallet it touches.

    `least_kept` is what a swap leaves its owner at least, by its own bytes.
    """

    fee_lamports: int
    token_account: Pubkey
    sol_account: Pubkey | None
    least_kept: int = 0

    @property
    def own(self) -> tuple[Pubkey, ...]:
        return (self.token_account,) if self.sol_account is None else (self.token_account, self.sol_account)


def associated(owner: Pubkey, mint: Pubkey, program: Pubkey) -> Pubkey:
    """Return the one token account of an owner and mint that needs no other name."""
    return Pubkey.find_program_address([bytes(owner), bytes(program), bytes(mint)], ASSOCIATED)[0]


def check_swap(reading: Reading, terms: SwapTerms, *, max_fee_lamports: int) -> Outline:
    """Judge a swap's instructions.

    Raises:
        Refused: with the first thing that is wrong.
    """
    walk = _Walk(reading, terms.wallet, {terms.mint, WRAPPED_SOL}, max_transfer=terms.in_amount if terms.buys else 0)
    if terms.mint == WRAPPED_SOL or terms.in_amount <= 0 or terms.minimum_out <= 0:
        raise Refused(Reason.BAD_REQUEST, "A swap is of SOL against another token, with amounts above zero.")
    walk.go()
    swap = walk.swap
    if swap is None:
        raise Refused(Reason.INSTRUCTION_MISSING, "The transaction swaps nothing.")
    sol_account = associated(terms.wallet, WRAPPED_SOL, TOKEN)
    token_account = walk.own_account(swap.destination if terms.buys else swap.source, terms.mint)
    if (swap.source if terms.buys else swap.destination) != sol_account or swap.authority != terms.wallet:
        raise Refused(Reason.FOREIGN_ACCOUNT, "The swap does not go between the wallet's own accounts.")
    if swap.receiver not in (None, swap.destination):
        raise Refused(Reason.FOREIGN_ACCOUNT, "What the swap pays out would go to somebody else.")
    wanted = (WRAPPED_SOL, terms.mint) if terms.buys else (terms.mint, WRAPPED_SOL)
    if swap.source_mint not in (None, wanted[0]) or swap.destination_mint != wanted[1]:
        raise Refused(Reason.FOREIGN_ACCOUNT, "The swap is of other tokens than the order.")
    if swap.in_amount != terms.in_amount:
        raise Refused(Reason.WRONG_AMOUNT, f"The swap takes {swap.in_amount} base units, the order {terms.in_amount}.")
    if swap.least_out < terms.minimum_out:
        raise Refused(
            Reason.MINIMUM_NOT_ENFORCED,
            f"The swap would let {swap.least_out} base units come out, the order wants {terms.minimum_out}.",
        )
    return Outline(walk.fee(max_fee_lamports), token_account, sol_account, swap.least_kept)


def check_reclaim(reading: Reading, *, wallet: Pubkey, mint: Pubkey, account: Pubkey, max_fee_lamports: int) -> Outline:
    """Judge the closing of a token account.

    Raises:
        Refused: with the first thing that is wrong.
    """
    walk = _Walk(reading, wallet, {mint}, max_transfer=0, closes=account)
    walk.go()
    if walk.closed != {account}:
        raise Refused(Reason.INSTRUCTION_MISSING, "The transaction does not close the account it is asked for.")
    return Outline(walk.fee(max_fee_lamports), account, None)


@dataclass(slots=True)
class _Walk:
    """One look at every instruction. `closes` is set for a reclaim: the one thing such a transaction does."""

    reading: Reading
    wallet: Pubkey
    mints: set[Pubkey]
    max_transfer: int
    closes: Pubkey | None = None
    swap: routes.Swap | None = None
    closed: set[Pubkey] = field(default_factory=set)
    _seen: set[object] = field(default_factory=set)
    _units: int = MOST_UNITS
    _micro_lamports: int = 0

    def go(self) -> None:
        for step in self.reading.steps:
            if step.program == COMPUTE_BUDGET:
                self._budget(step)
            elif step.program in (TOKEN, TOKEN_2022):
                self._token(step)
            elif self.closes is None and step.program == ASSOCIATED:
                self._create_account(step)
            elif self.closes is None and step.program == SYSTEM:
                self._transfer(step)
            elif self.closes is None and step.program == routes.PROGRAM:
                self.swap = routes.read(step)
                self._once("route")
            else:
                raise Refused(Reason.PROGRAM_NOT_ALLOWED, f"The program {step.program} has no place in this.")

    def fee(self, most: int) -> int:
        """Return what the transaction costs, whether it does anything or not."""
        fee = LAMPORTS_PER_SIGNATURE - (-self._units * self._micro_lamports // 1_000_000)
        if fee > most:
            raise Refused(Reason.FEE_TOO_HIGH, f"The transaction would cost {fee} lamports; {most} are allowed.")
        return fee

    def own_account(self, account: Pubkey, mint: Pubkey) -> Pubkey:
        """Return an account that is the wallet's one for the mint, by either token program."""
        if account in (associated(self.wallet, mint, program) for program in (TOKEN, TOKEN_2022)):
            return account
        raise Refused(Reason.FOREIGN_ACCOUNT, f"{account} is not the wallet's own account of this token.")

    def _once(self, what: object) -> None:
        if what in self._seen:
            raise Refused(Reason.INSTRUCTION_REPEATED, f"The transaction does this twice: {what}.")
        self._seen.add(what)

    def _budget(self, step: Step) -> None:
        if step.data[:1] == bytes([_SET_LIMIT]) and len(step.data) == 5:
            self._once("compute limit")
            self._units = min(int.from_bytes(step.data[1:], "little"), MOST_UNITS)
        elif step.data[:1] == bytes([_SET_PRICE]) and len(step.data) == 9:
            self._once("compute price")
            self._micro_lamports = int.from_bytes(step.data[1:], "little")
        else:
            raise Refused(Reason.INSTRUCTION_NOT_ALLOWED, "Only a compute limit and its price may be set.")

    def _create_account(self, step: Step) -> None:
        if step.data not in (b"", b"\x00", b"\x01") or len(step.accounts) != 6:
            raise Refused(Reason.INSTRUCTION_NOT_ALLOWED, "Of the associated accounts only creating one is signed.")
        payer, account, owner, mint, system, program = step.accounts
        sound = (payer, owner, system) == (self.wallet, self.wallet, SYSTEM) and mint in self.mints
        if not sound or program not in (TOKEN, TOKEN_2022) or account != associated(owner, mint, program):
            raise Refused(
                Reason.FOREIGN_ACCOUNT, "An account would be made that is not the wallet's own of this trade."
            )
        self._once(("create account", account))

    def _transfer(self, step: Step) -> None:
        if step.data[:4] != _SYSTEM_TRANSFER or len(step.data) != 12 or len(step.accounts) != 2:
            raise Refused(Reason.INSTRUCTION_NOT_ALLOWED, "Of the system program only wrapping SOL is signed.")
        source, destination = step.accounts
        if source != self.wallet or destination != associated(self.wallet, WRAPPED_SOL, TOKEN):
            raise Refused(Reason.FOREIGN_ACCOUNT, "SOL would go to somebody else.")
        self._once("wrap SOL")
        lamports = int.from_bytes(step.data[4:], "little")
        if lamports > self.max_transfer:
            raise Refused(
                Reason.TRANSFER_TOO_HIGH,
                f"{lamports} lamports would be wrapped; the order puts {self.max_transfer} in.",
            )

    def _token(self, step: Step) -> None:
        if step.data == _SYNC_NATIVE and len(step.accounts) == 1 and self.closes is None:
            if step.program != TOKEN or step.accounts[0] != associated(self.wallet, WRAPPED_SOL, TOKEN):
                raise Refused(Reason.FOREIGN_ACCOUNT, "The wrapped SOL of somebody else would be counted.")
            self._once("sync native")
        elif step.data == _CLOSE_ACCOUNT and len(step.accounts) == 3:
            self._close(step)
        else:
            raise Refused(
                Reason.INSTRUCTION_NOT_ALLOWED,
                "Of the token programs only wrapping and closing own accounts is signed.",
            )

    def _close(self, step: Step) -> None:
        account, destination, owner = step.accounts
        if (destination, owner) != (self.wallet, self.wallet):
            raise Refused(Reason.FOREIGN_ACCOUNT, "What is left of a closed account would go to somebody else.")
        if self.closes is None:
            if account != associated(self.wallet, WRAPPED_SOL, TOKEN):
                raise Refused(Reason.FOREIGN_ACCOUNT, "A swap closes nothing but the wallet's wrapped SOL.")
        elif account != self.closes:
            raise Refused(Reason.FOREIGN_ACCOUNT, "Another account would be closed than the one asked for.")
        self._once(("close", account))
        self.closed.add(account)

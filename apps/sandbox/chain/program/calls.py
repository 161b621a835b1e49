"""How one program calls another: what the machine wants laid out in the heap, and what a token transfer says.

The caller's accounts are found through a table of addresses, one for each of them, that `find_accounts` fills.
"""

from __future__ import annotations

from collections.abc import Sequence

from apps.sandbox.chain.program.assembly import R0, R1, R2, R3, R4, R5, WORD, Assembly, Register

#: The heap is ours alone: first the table of accounts, then words of the program's own, then what a call needs.
HEAP = 0x3_0000_0000
MOST_ACCOUNTS = 64
WORDS_AT = MOST_ACCOUNTS * WORD
_INSTRUCTION_AT = 0x400
_METAS_AT = 0x440
_DATA_AT = 0x4A0
_INFOS_AT = 0x4C0
_SEEDS_AT = 0x600
_SIGNER_AT = 0x630
_SEED_BYTES_AT = 0x640
_META_BYTES, _INFO_BYTES = 16, 56

# An account as the machine hands it in: marks, key, owner, lamports, data, room to grow.
NOT_A_REPETITION = 0xFF
_SIGNER_MARK, _WRITABLE_MARK, _EXECUTABLE_MARK = 1, 2, 3
KEY_AT, OWNER_AT, LAMPORTS_AT, LENGTH_AT, ACCOUNT_DATA_AT = 8, 40, 72, 80, 88
_ROOM_TO_GROW = 10_240

_TRANSFER_CHECKED = 12
_DECIMALS_IN_MINT = 44
_TRANSFER_BYTES = 10


def find_accounts(program: Assembly, table: Register, cursor: Register) -> None:
    """Fill the table from the accounts at `cursor`, whose count comes first; the cursor ends behind them.

    R0 to R5 are used up; R3 keeps the number of accounts.
    """
    program.load(R3, cursor)
    program.jump_if(R3, ">", MOST_ACCOUNTS, "too many accounts")
    program.do("add", cursor, WORD)
    program.do("mov", R4, 0)
    program.do("mov", R5, table)
    program.label("next account")
    program.jump_if(R4, ">=", R3, "accounts found")
    program.load(R1, cursor, size=1)
    program.jump_if(R1, "==", NOT_A_REPETITION, "new account")
    program.do("mul", R1, WORD)
    program.do("add", R1, table)
    program.load(R2, R1)
    program.store(R5, 0, R2)
    program.do("add", cursor, WORD)
    program.jump("account noted")
    program.label("new account")
    program.store(R5, 0, cursor)
    program.load(R2, cursor, LENGTH_AT)
    program.do("add", cursor, R2)
    program.do("add", cursor, ACCOUNT_DATA_AT + _ROOM_TO_GROW + WORD - 1)
    program.do("and", cursor, -WORD)
    program.do("add", cursor, WORD)
    program.label("account noted")
    program.do("add", R4, 1)
    program.do("add", R5, WORD)
    program.jump("next account")
    program.label("accounts found")


def reorder(program: Assembly, table: Register, order: Sequence[int]) -> None:
    """Put the first accounts of the table in another order: `order` names where each comes from. R1 is used up."""
    for place, source in enumerate(order):
        program.load(R1, table, source * WORD)
        program.store(table, _INFOS_AT + place * WORD, R1)
    for place in range(len(order)):
        program.load(R1, table, _INFOS_AT + place * WORD)
        program.store(table, place * WORD, R1)


def prepare_signer(program: Assembly, table: Register, seed: bytes, bump: int) -> None:
    """Lay out the seeds of the address the program signs for; `seed` fits a word."""
    program.constant(R1, int.from_bytes(seed.ljust(WORD, b"\0"), "little"))
    program.store(table, _SEED_BYTES_AT, R1)
    program.store(table, _SEED_BYTES_AT + WORD, bump, size=1)
    for place, (at, length) in enumerate(((_SEED_BYTES_AT, len(seed)), (_SEED_BYTES_AT + WORD, 1))):
        _store_address(program, table, _SEEDS_AT + place * 2 * WORD, at)
        program.store(table, _SEEDS_AT + place * 2 * WORD + WORD, length)
    _store_address(program, table, _SIGNER_AT, _SEEDS_AT)
    program.store(table, _SIGNER_AT + WORD, 2)


def transfer_checked(
    program: Assembly,
    table: Register,
    amount: Register,
    *,
    token_program: int,
    source: int,
    mint: int,
    destination: int,
    authority: int,
    signs: bool,
) -> None:
    """Call a token program to move `amount`; accounts are places in the table, R0 to R5 are used up.

    With `signs` the authority is the program's own address. A call that fails ends the whole transaction.
    """
    parties = ((source, True, False), (mint, False, False), (destination, True, False), (authority, False, True))
    for place, (account, writable, signer) in enumerate(parties):
        _account_info(program, table, _INFOS_AT + place * _INFO_BYTES, account)
        program.load(R1, table, account * WORD)
        program.do("add", R1, KEY_AT)
        at = _METAS_AT + place * _META_BYTES
        program.store(table, at, R1)
        program.store(table, at + WORD, int(writable), size=1)
        program.store(table, at + WORD + 1, int(signer), size=1)
    program.store(table, _DATA_AT, _TRANSFER_CHECKED, size=1)
    program.store(table, _DATA_AT + 1, amount)
    program.load(R1, table, mint * WORD)
    program.load(R1, R1, ACCOUNT_DATA_AT + _DECIMALS_IN_MINT, size=1)
    program.store(table, _DATA_AT + 1 + WORD, R1, size=1)
    program.load(R1, table, token_program * WORD)
    program.do("add", R1, KEY_AT)
    program.store(table, _INSTRUCTION_AT, R1)
    _store_address(program, table, _INSTRUCTION_AT + WORD, _METAS_AT)
    program.store(table, _INSTRUCTION_AT + 2 * WORD, len(parties))
    _store_address(program, table, _INSTRUCTION_AT + 3 * WORD, _DATA_AT)
    program.store(table, _INSTRUCTION_AT + 4 * WORD, _TRANSFER_BYTES)
    program.do("mov", R1, table)
    program.do("add", R1, _INSTRUCTION_AT)
    program.do("mov", R2, table)
    program.do("add", R2, _INFOS_AT)
    program.do("mov", R3, len(parties))
    program.do("mov", R4, table)
    program.do("add", R4, _SIGNER_AT)
    program.do("mov", R5, int(signs))
    program.call("sol_invoke_signed_c")


def log(program: Assembly, table: Register, text: str) -> None:
    """Write a line to the transaction's log; R0 to R2 are used up."""
    said = text.encode()
    for start in range(0, len(said), WORD):
        program.constant(R1, int.from_bytes(said[start : start + WORD].ljust(WORD, b"\0"), "little"))
        program.store(table, _INFOS_AT + start, R1)
    program.do("mov", R1, table)
    program.do("add", R1, _INFOS_AT)
    program.do("mov", R2, len(said))
    program.call("sol_log_")


def fail(program: Assembly, code: int) -> None:
    """End with a custom error."""
    program.do("mov", R0, code)
    program.leave()


def _account_info(program: Assembly, table: Register, at: int, account: int) -> None:
    """Lay out what the machine wants to know of an account: pointers to where it handed it in."""
    program.load(R1, table, account * WORD)
    for place, offset in ((0, KEY_AT), (1, LAMPORTS_AT), (3, ACCOUNT_DATA_AT), (4, OWNER_AT)):
        program.do("mov", R2, R1)
        program.do("add", R2, offset)
        program.store(table, at + place * WORD, R2)
    program.load(R2, R1, LENGTH_AT)
    program.store(table, at + 2 * WORD, R2)
    program.store(table, at + 5 * WORD, -1)
    for place, mark in enumerate((_SIGNER_MARK, _WRITABLE_MARK, _EXECUTABLE_MARK)):
        program.load(R2, R1, mark, size=1)
        program.store(table, at + 6 * WORD + place, R2, size=1)


def _store_address(program: Assembly, table: Register, at: int, of: int) -> None:
    """Write the address of a place in the heap into another."""
    program.do("mov", R1, table)
    program.do("add", R1, of)
    program.store(table, at, R1)

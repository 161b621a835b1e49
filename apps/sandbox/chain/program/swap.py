"""The program behind Jupiter's id: it takes the input, pays out what the pool's account says, or fails as a whole.

What comes out is not worked out here: right before a transaction runs, the market writes it into the pool's account,
which the program owns. The program holds it against what the instruction was promised, and moves the tokens.
"""

from __future__ import annotations

from functools import cache
from struct import Struct

from apps.sandbox.chain.program import calls
from apps.sandbox.chain.program.assembly import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, WORD, Assembly
from apps.sandbox.chain.program.elf import shared_object
from apps.sandbox.chain.program.route import (
    AUTHORITY_SEED,
    DISCRIMINATOR,
    DISCRIMINATOR_V2,
    IN_V2,
    TAIL_BYTES,
    VAULT_AUTHORITY_BUMP,
    RouteAccount,
    RouteError,
)

#: What the market writes for an instruction: input, output for its owner, fee in lamports, all in base units.
PRICED = Struct("<QQQ")
_PRICED_IN, _PRICED_OUT, _PRICED_FEE = 0, WORD, 2 * WORD
_BPS = 10_000
_KEY_WORDS = 4
_IN_AT = calls.WORDS_AT
_FEE_AT = calls.WORDS_AT + WORD


@cache
def program_file() -> bytes:
    """Return the program as the chain loads it."""
    program = _written()
    return shared_object(program.code(), program.calls)


def _written() -> Assembly:
    program = Assembly()
    program.do("mov", R7, R1)
    program.constant(R6, calls.HEAP)
    calls.find_accounts(program, R6, R7)
    program.jump_if(R3, "<", len(RouteAccount), "too few accounts")
    _check_instruction(program)
    _check_pool(program)
    _check_promise(program)
    calls.prepare_signer(program, R6, AUTHORITY_SEED, VAULT_AUTHORITY_BUMP)
    _move(program)
    program.do("mov", R0, 0)
    program.leave()
    for label, error in (
        ("too many accounts", RouteError.MISSING_ACCOUNTS),
        ("too few accounts", RouteError.MISSING_ACCOUNTS),
        ("not a route", RouteError.NOT_A_ROUTE),
        ("not priced", RouteError.NOT_PRICED),
        ("too little", RouteError.SLIPPAGE_EXCEEDED),
    ):
        program.label(label)
        calls.fail(program, error)
    return program


def _check_instruction(program: Assembly) -> None:
    """Want a route of either generation; R7 goes from the instruction's length to its amounts, R8 behind it.

    The accounts of the second generation are put in the order of the first.
    """
    program.load(R1, R7)
    program.do("add", R7, WORD)
    program.jump_if(R1, "<", len(DISCRIMINATOR) + TAIL_BYTES, "not a route")
    program.do("mov", R8, R7)
    program.do("add", R8, R1)
    program.load(R2, R7)
    program.constant(R3, int.from_bytes(DISCRIMINATOR, "little"))
    program.jump_if(R2, "==", R3, "amounts last")
    program.constant(R3, int.from_bytes(DISCRIMINATOR_V2, "little"))
    program.jump_if(R2, "!=", R3, "not a route")
    program.do("add", R7, len(DISCRIMINATOR_V2))
    calls.reorder(program, R6, IN_V2)
    calls.log(program, R6, "Instruction: RouteV2")
    program.jump("amounts found")
    program.label("amounts last")
    program.do("mov", R7, R8)
    program.do("sub", R7, TAIL_BYTES)
    calls.log(program, R6, "Instruction: Route")
    program.label("amounts found")


def _check_pool(program: Assembly) -> None:
    """Want a pool's account of our own, priced for this very input; leave its data in R9. R8 is the program's id."""
    program.load(R9, R6, RouteAccount.POOL * WORD)
    for word in range(_KEY_WORDS):
        program.load(R1, R9, calls.OWNER_AT + word * WORD)
        program.load(R2, R8, word * WORD)
        program.jump_if(R1, "!=", R2, "not priced")
    program.load(R1, R9, calls.LENGTH_AT)
    program.jump_if(R1, "<", PRICED.size, "not priced")
    program.do("add", R9, calls.ACCOUNT_DATA_AT)
    program.load(R1, R7)
    program.load(R2, R9, _PRICED_IN)
    program.jump_if(R1, "!=", R2, "not priced")
    program.store(R6, _IN_AT, R1)
    program.load(R2, R9, _PRICED_FEE)
    program.store(R6, _FEE_AT, R2)


def _check_promise(program: Assembly) -> None:
    """Fail when less would come out than promised less slippage, rounded up; leave the output in R8.

    The promise is split into ten-thousands and the rest, so that nothing is larger than 64 bits.
    """
    program.load(R8, R9, _PRICED_OUT)
    program.load(R1, R7, WORD)
    program.load(R2, R7, 2 * WORD, size=2)
    program.jump_if(R2, ">", _BPS, "not a route")
    program.do("mov", R3, _BPS)
    program.do("sub", R3, R2)
    program.do("mov", R4, R1)
    program.do("div", R4, _BPS)
    program.do("mul", R4, R3)
    program.do("mov", R5, R1)
    program.do("mod", R5, _BPS)
    program.do("mul", R5, R3)
    program.do("add", R5, _BPS - 1)
    program.do("div", R5, _BPS)
    program.do("add", R4, R5)
    program.jump_if(R8, "<", R4, "too little")


def _move(program: Assembly) -> None:
    """Take the input, pay the output, and, if there is an account for it, the platform's fee out of the pool's SOL."""
    program.load(R9, R6, _IN_AT)
    calls.transfer_checked(
        program,
        R6,
        R9,
        token_program=RouteAccount.SOURCE_PROGRAM,
        source=RouteAccount.USER_SOURCE,
        mint=RouteAccount.SOURCE_MINT,
        destination=RouteAccount.SOURCE_VAULT,
        authority=RouteAccount.USER,
        signs=False,
    )
    calls.transfer_checked(
        program,
        R6,
        R8,
        token_program=RouteAccount.DESTINATION_PROGRAM,
        source=RouteAccount.DESTINATION_VAULT,
        mint=RouteAccount.DESTINATION_MINT,
        destination=RouteAccount.USER_DESTINATION,
        authority=RouteAccount.VAULT_AUTHORITY,
        signs=True,
    )
    program.load(R1, R6, RouteAccount.PLATFORM_FEE * WORD)
    program.load(R2, R6, RouteAccount.PROGRAM * WORD)
    program.jump_if(R1, "==", R2, "no fee")
    program.load(R9, R6, _FEE_AT)
    program.jump_if(R9, "==", 0, "no fee")
    calls.transfer_checked(
        program,
        R6,
        R9,
        token_program=RouteAccount.TOKEN_PROGRAM,
        source=RouteAccount.SOL_VAULT,
        mint=RouteAccount.SOL_MINT,
        destination=RouteAccount.PLATFORM_FEE,
        authority=RouteAccount.VAULT_AUTHORITY,
        signs=True,
    )
    program.label("no fee")

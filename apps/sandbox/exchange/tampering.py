"""What a fault makes of a transaction before its owner gets to see it: a thief's, a stranger's, or one too old to land.

Each is a whole transaction that would execute if the taker signed it. Whoever signs has to see what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from struct import pack

from solders.account import Account
from solders.address_lookup_table_account import ID as LOOKUP_PROGRAM
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from apps.core.money import LAMPORTS_PER_SOL, SOL_MINT
from apps.sandbox.chain.ledger import VALID_BLOCKS
from apps.sandbox.chain.program.route import PROGRAM_ID, over_venue
from apps.sandbox.domain.pools import U64_MAX
from apps.sandbox.exchange.building import BuiltSwap, associated, build, compiled
from apps.sandbox.exchange.venue import Venue
from apps.sandbox.faults import FaultKind

THIEF = Pubkey(sha256(b"thief").digest())
#: The market maker of the rival router: it pays the fees and signs first.
MAKER = Keypair.from_seed(sha256(b"maker").digest())
_MAKERS_LAMPORTS = 1_000_000 * LAMPORTS_PER_SOL
_NEW_VENUE = 250
_APPROVE = bytes((4,)) + U64_MAX.to_bytes(8, "little")


def tampered(venue: Venue, built: BuiltSwap, kinds: Sequence[FaultKind]) -> BuiltSwap:
    """Return what the faults of these kinds make of a transaction, one upon the other."""
    for kind in kinds:
        match kind:
            case FaultKind.DRAINED_WALLET:
                built = _with(built, _drain(venue, built))
            case FaultKind.ADDED_INSTRUCTION:
                built = _with(built, _approve(venue, built))
            case FaultKind.UNKNOWN_VENUE:
                built = _over_unknown_venue(built)
            case FaultKind.SWAPPED_DESTINATION:
                terms = replace(built.terms, receiver=THIEF)
                built = build(venue, built.quote, taker=built.taker, terms=terms)
            case FaultKind.REPLACED_FEE_PAYER | FaultKind.RFQ_ROUTE:
                built = _paid_by_maker(venue, built)
            case FaultKind.LOOKUP_TABLE:
                built = _through_table(venue, built)
            case FaultKind.EXPIRED_BLOCKHASH:
                built = _too_old(venue, built)
    return built


def _with(built: BuiltSwap, *added: Instruction) -> BuiltSwap:
    steps = (*built.steps, *added)
    return replace(built, steps=steps, transaction=_of(built, steps))


def _of(built: BuiltSwap, steps: Sequence[Instruction]) -> VersionedTransaction:
    return compiled(built.payer, steps, built.transaction.message.recent_blockhash)


def _over_unknown_venue(built: BuiltSwap) -> BuiltSwap:
    """Name a venue in the route's plan that nobody has heard of, as a new one of Jupiter's is for a while."""
    steps = tuple(
        Instruction(step.program_id, over_venue(bytes(step.data), _NEW_VENUE), step.accounts)
        if step.program_id == PROGRAM_ID
        else step
        for step in built.steps
    )
    return replace(built, steps=steps, transaction=_of(built, steps))


def _drain(venue: Venue, built: BuiltSwap) -> Instruction:
    """Send what the swap and its costs leave in the wallet to the thief."""
    account = venue.ledger.account(built.taker)
    left = (0 if account is None else account.lamports) - LAMPORTS_PER_SOL // 50
    if built.quote.input_mint == SOL_MINT:
        left -= built.quote.in_amount
    return transfer(TransferParams(from_pubkey=built.taker, to_pubkey=THIEF, lamports=max(left, 1)))


def _approve(venue: Venue, built: BuiltSwap) -> Instruction:
    """Let the thief take the token whenever there is some."""
    token = built.quote.output_mint if built.quote.input_mint == SOL_MINT else built.quote.input_mint
    places = venue.places(token)
    own = associated(built.taker, places.mint, places.program)
    keys = [AccountMeta(own, False, True), AccountMeta(THIEF, False, False), AccountMeta(built.taker, True, False)]
    return Instruction(places.program, _APPROVE, keys)


def _paid_by_maker(venue: Venue, built: BuiltSwap) -> BuiltSwap:
    """Let the maker pay, its signature in the first slot already."""
    if venue.ledger.account(MAKER.pubkey()) is None:
        purse = Account(lamports=_MAKERS_LAMPORTS, data=b"", owner=SYSTEM, executable=False)
        venue.ledger.issue(MAKER.pubkey(), purse)
    terms = replace(built.terms, payer=MAKER.pubkey())
    built = build(venue, built.quote, taker=built.taker, terms=terms)
    message, signatures = built.transaction.message, list(built.transaction.signatures)
    signatures[0] = MAKER.sign_message(to_bytes_versioned(message))
    return replace(built, transaction=VersionedTransaction.populate(message, signatures))


def _through_table(venue: Venue, built: BuiltSwap) -> BuiltSwap:
    """Name every account that need not sign through a table of this pair's own."""
    pair = (built.quote.input_mint, built.quote.output_mint)
    place = Pubkey(sha256("\n".join(("lookup table", str(built.taker), *pair)).encode()).digest())
    programs = {step.program_id for step in built.steps}
    named = dict.fromkeys(meta.pubkey for step in built.steps for meta in step.accounts if not meta.is_signer)
    listed = [key for key in named if key not in programs and key not in (built.taker, built.payer)]
    data = _table_header(venue.ledger.slot - 1) + b"".join(map(bytes, listed))
    rent = venue.ledger.rent(len(data))
    venue.ledger.issue(place, Account(lamports=rent, data=data, owner=LOOKUP_PROGRAM, executable=False))
    message = MessageV0.try_compile(
        built.payer,
        list(built.steps),
        [AddressLookupTableAccount(place, listed)],
        built.transaction.message.recent_blockhash,
    )
    unsigned = [Signature.default()] * message.header.num_required_signatures
    return replace(built, transaction=VersionedTransaction.populate(message, unsigned))


def _table_header(slot: int) -> bytes:
    """Return what stands before a table's keys: it is one, in use, last extended in a slot, and nobody's."""
    return pack("<IQQBB32sH", 1, U64_MAX, slot, 0, 0, b"", 0)


def _too_old(venue: Venue, built: BuiltSwap) -> BuiltSwap:
    """Build on a block whose hash no node takes any more, and say it could still land."""
    old, _ = venue.ledger.blockhash_at(max(0, venue.ledger.height - VALID_BLOCKS - 1))
    return replace(built, transaction=compiled(built.payer, built.steps, old))

"""Transactions for somebody to sign, as Jupiter builds them: one signature slot, the swap an instruction of its own.

The wallet's wrapped SOL exists only inside the transaction: it is filled, swapped, and closed to the wallet at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from apps.core.money import SOL_MINT
from apps.sandbox.chain import accounts
from apps.sandbox.chain.outcomes import LAMPORTS_PER_SIGNATURE
from apps.sandbox.chain.program.route import (
    EVENT_AUTHORITY,
    PROGRAM_ID,
    VAULT_AUTHORITY,
    RouteAccount,
    RouteTerms,
)
from apps.sandbox.domain import quotes
from apps.sandbox.domain.mints import HARMLESS, MintRules
from apps.sandbox.exchange import mints
from apps.sandbox.exchange.venue import Venue

ASSOCIATED_TOKEN_PROGRAM = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
COMPUTE_UNIT_LIMIT = 160_000
DEFAULT_PRIORITY_FEE_LAMPORTS = 16_000
MICROLAMPORTS = 10**6
_SOL = Pubkey.from_string(SOL_MINT)
_CREATE_IDEMPOTENT, _SYNC_NATIVE, _CLOSE_ACCOUNT = bytes((1,)), bytes((17,)), bytes((9,))
_READ_ONLY_PLACES = frozenset(
    {
        RouteAccount.TOKEN_PROGRAM,
        RouteAccount.DESTINATION,
        RouteAccount.DESTINATION_MINT,
        RouteAccount.EVENT_AUTHORITY,
        RouteAccount.PROGRAM,
        RouteAccount.SOURCE_MINT,
        RouteAccount.VAULT_AUTHORITY,
        RouteAccount.SOURCE_PROGRAM,
        RouteAccount.DESTINATION_PROGRAM,
        RouteAccount.POOL,
        RouteAccount.SOL_MINT,
    }
)


@dataclass(frozen=True, slots=True)
class BuiltSwap:
    """An unsigned transaction and what it costs beside the swap. `short_of`: what its owner lacks, "input" or "gas"."""

    transaction: VersionedTransaction
    last_valid_block_height: int
    quote: quotes.Quote
    compute_unit_limit: int
    compute_unit_price: int
    rent_lamports: int
    short_of: str | None

    @property
    def signature_fee_lamports(self) -> int:
        return LAMPORTS_PER_SIGNATURE * len(self.transaction.signatures)

    @property
    def priority_fee_lamports(self) -> int:
        return -(-self.compute_unit_price * self.compute_unit_limit // MICROLAMPORTS)


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a swap: the mint, its program, the owner's account, the pool's."""

    mint: Pubkey
    program: Pubkey
    own: Pubkey
    vault: Pubkey
    rules: MintRules


def associated(owner: Pubkey, mint: Pubkey, program: Pubkey = accounts.TOKEN) -> Pubkey:
    """Return the address of an owner's usual account of a mint."""
    address, _ = Pubkey.find_program_address([bytes(owner), bytes(program), bytes(mint)], ASSOCIATED_TOKEN_PROGRAM)
    return address


def build_swap(
    venue: Venue,
    *,
    taker: Pubkey,
    mint: str,
    side: str,
    amount: int,
    slippage_bps: int | None = None,
    priority_fee_lamports: int = DEFAULT_PRIORITY_FEE_LAMPORTS,
) -> BuiltSwap:
    """Quote a buy (`amount` in lamports) or a sale (`amount` in the token's base units) now, and build it.

    Raises:
        quotes.NotTradable, quotes.NoRoute: there is nothing to build.
    """
    quote = quotes.quote(
        venue.market.view,
        input_mint=SOL_MINT if side == "buy" else mint,
        output_mint=mint if side == "buy" else SOL_MINT,
        amount=amount,
        fee_bps=venue.fee_bps,
        slippage_bps=slippage_bps,
    )
    price = priority_fee_lamports * MICROLAMPORTS // COMPUTE_UNIT_LIMIT
    return build(venue, quote, taker=taker, compute_unit_price=price)


def build(
    venue: Venue,
    quote: quotes.Quote,
    *,
    taker: Pubkey,
    compute_unit_price: int,
    compute_unit_limit: int = COMPUTE_UNIT_LIMIT,
    payer: Pubkey | None = None,
    wrap: bool = True,
    destination: Pubkey | None = None,
) -> BuiltSwap:
    """Return the transaction of a quote; the taker pays its fees unless somebody else is named.

    Without `wrap` the taker's wrapped SOL is left as it is. `destination` takes the output instead of the taker.
    """
    paying = taker if payer is None else payer
    source, target = _side(venue, quote, quote.input_mint, taker), _side(venue, quote, quote.output_mint, taker)
    steps = [set_compute_unit_limit(compute_unit_limit), set_compute_unit_price(compute_unit_price)]
    created = [side for side in (target, source) if side is target or (side.mint == _SOL and wrap)]
    steps += [_create(paying, taker, side) for side in created]
    if source.mint == _SOL and wrap:
        steps.append(transfer(TransferParams(from_pubkey=taker, to_pubkey=source.own, lamports=quote.in_amount)))
        steps.append(Instruction(accounts.TOKEN, _SYNC_NATIVE, [AccountMeta(source.own, False, True)]))
    steps.append(_route(venue, quote, taker, source, target, destination))
    if wrap and _SOL in (source.mint, target.mint):
        steps.append(_close(taker, source if source.mint == _SOL else target))
    blockhash, last_valid_block_height = venue.ledger.blockhash("confirmed")
    message = MessageV0.try_compile(paying, steps, [], blockhash)
    unsigned = [Signature.default()] * message.header.num_required_signatures
    missing = [side for side in created if venue.ledger.account(side.own) is None]
    fees = LAMPORTS_PER_SIGNATURE + -(-compute_unit_price * compute_unit_limit // MICROLAMPORTS)
    rent = {side.own: venue.ledger.rent(mints.account_size(side.rules)) for side in missing}
    stays = sum(lamports for own, lamports in rent.items() if not wrap or own not in _closed(source, target))
    return BuiltSwap(
        transaction=VersionedTransaction.populate(message, unsigned),
        last_valid_block_height=last_valid_block_height,
        quote=quote,
        compute_unit_limit=compute_unit_limit,
        compute_unit_price=compute_unit_price,
        rent_lamports=stays,
        short_of=_short_of(venue, quote, taker, source, fees + sum(rent.values()) if paying == taker else 0, wrap),
    )


def _side(venue: Venue, quote: quotes.Quote, mint: str, taker: Pubkey) -> _Side:
    if mint != SOL_MINT:
        places = venue.places(mint)
        own = associated(taker, places.mint, places.program)
        return _Side(places.mint, places.program, own, places.vault, places.rules)
    token = quote.output_mint if quote.input_mint == SOL_MINT else quote.input_mint
    return _Side(_SOL, accounts.TOKEN, associated(taker, _SOL), venue.places(token).sol_vault, HARMLESS)


def _closed(source: _Side, target: _Side) -> set[Pubkey]:
    return {side.own for side in (source, target) if side.mint == _SOL}


def _create(payer: Pubkey, owner: Pubkey, side: _Side) -> Instruction:
    keys = [
        AccountMeta(payer, True, True),
        AccountMeta(side.own, False, True),
        AccountMeta(owner, False, False),
        AccountMeta(side.mint, False, False),
        AccountMeta(SYSTEM, False, False),
        AccountMeta(side.program, False, False),
    ]
    return Instruction(ASSOCIATED_TOKEN_PROGRAM, _CREATE_IDEMPOTENT, keys)


def _close(owner: Pubkey, side: _Side) -> Instruction:
    keys = [AccountMeta(side.own, False, True), AccountMeta(owner, False, True), AccountMeta(owner, True, False)]
    return Instruction(side.program, _CLOSE_ACCOUNT, keys)


def _route(
    venue: Venue, quote: quotes.Quote, taker: Pubkey, source: _Side, target: _Side, destination: Pubkey | None
) -> Instruction:
    pooled = venue.places(quote.output_mint if quote.output_mint != SOL_MINT else quote.input_mint)
    keys = {
        RouteAccount.TOKEN_PROGRAM: accounts.TOKEN,
        RouteAccount.USER: taker,
        RouteAccount.USER_SOURCE: source.own,
        RouteAccount.USER_DESTINATION: destination or target.own,
        RouteAccount.DESTINATION: PROGRAM_ID,
        RouteAccount.DESTINATION_MINT: target.mint,
        RouteAccount.PLATFORM_FEE: venue.platform_fee_account,
        RouteAccount.EVENT_AUTHORITY: EVENT_AUTHORITY,
        RouteAccount.PROGRAM: PROGRAM_ID,
        RouteAccount.SOURCE_MINT: source.mint,
        RouteAccount.SOURCE_VAULT: source.vault,
        RouteAccount.DESTINATION_VAULT: target.vault,
        RouteAccount.VAULT_AUTHORITY: VAULT_AUTHORITY,
        RouteAccount.SOURCE_PROGRAM: source.program,
        RouteAccount.DESTINATION_PROGRAM: target.program,
        RouteAccount.POOL: pooled.pool,
        RouteAccount.SOL_VAULT: pooled.sol_vault,
        RouteAccount.SOL_MINT: _SOL,
    }
    metas = [
        AccountMeta(keys[place], place is RouteAccount.USER, place not in _READ_ONLY_PLACES) for place in RouteAccount
    ]
    terms = RouteTerms(quote.in_amount, quote.paid_out_amount, quote.slippage_bps, quote.fee_bps)
    return Instruction(PROGRAM_ID, terms.data(), metas)


def _short_of(venue: Venue, quote: quotes.Quote, taker: Pubkey, source: _Side, costs: int, wrap: bool) -> str | None:
    """Return what the taker lacks: enough of the input, or SOL for fees and rent besides."""
    account = venue.ledger.account(taker)
    lamports = 0 if account is None else account.lamports
    if source.mint == _SOL and wrap:
        if lamports < quote.in_amount:
            return "input"
        costs += quote.in_amount
    else:
        held = accounts.token_account(venue.ledger.account(source.own))
        if held is None or held.amount < quote.in_amount:
            return "input"
    return "gas" if lamports < costs else None

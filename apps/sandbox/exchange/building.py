"""Transactions for somebody to sign, as Jupiter builds them: one signature slot, the swap an instruction of its own.

The wallet's wrapped SOL exists only inside the transaction: it is filled, swapped, and closed to the wallet at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
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
    PLACES_V2,
    PROGRAM_ID,
    VAULT_AUTHORITY,
    RouteAccount,
    RouteTerms,
)
from apps.sandbox.domain import quotes
from apps.sandbox.domain.mints import HARMLESS, MintRules
from apps.sandbox.exchange import mints
from apps.sandbox.exchange.venue import TIP, Venue

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
class SwapTerms:
    """What whoever asks for a transaction may choose.

    `payer` pays its fees and rent instead of the taker, `receiver` gets the output. Without `wrap` the taker's wrapped
    SOL is left as it is. A tip goes to a block engine beside the fee. `second_generation`: the swap is a `route_v2`.
    """

    compute_unit_price: int
    compute_unit_limit: int = COMPUTE_UNIT_LIMIT
    tip_lamports: int = 0
    payer: Pubkey | None = None
    receiver: Pubkey | None = None
    wrap: bool = True
    second_generation: bool = False

    @classmethod
    def of_priority_fee(cls, lamports: int, **others: Any) -> Self:
        """Return terms with a priority fee of so many lamports, or the most below it that a price per unit can say."""
        limit = others.get("compute_unit_limit", COMPUTE_UNIT_LIMIT)
        return cls(compute_unit_price=lamports * MICROLAMPORTS // limit, **others)

    @property
    def priority_fee_lamports(self) -> int:
        return -(-self.compute_unit_price * self.compute_unit_limit // MICROLAMPORTS)


@dataclass(frozen=True, slots=True)
class BuiltSwap:
    """An unsigned transaction and what it costs beside the swap. `short_of`: what its owner lacks, "input" or "gas"."""

    transaction: VersionedTransaction
    last_valid_block_height: int
    quote: quotes.Quote
    taker: Pubkey
    terms: SwapTerms
    steps: tuple[Instruction, ...]
    rent_lamports: int
    short_of: str | None

    @property
    def payer(self) -> Pubkey:
        return self.terms.payer or self.taker

    @property
    def signature_fee_lamports(self) -> int:
        return LAMPORTS_PER_SIGNATURE * len(self.transaction.signatures)


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a swap: the mint, its program, the owner's account, the pool's."""

    owner: Pubkey
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
    return build(venue, quote, taker=taker, terms=SwapTerms.of_priority_fee(priority_fee_lamports))


def build(venue: Venue, quote: quotes.Quote, *, taker: Pubkey, terms: SwapTerms) -> BuiltSwap:
    """Return the transaction of a quote, for the taker and whoever pays to sign."""
    payer = terms.payer or taker
    source, target = _side(venue, quote, quote.input_mint, taker), _side(venue, quote, quote.output_mint, taker)
    if terms.receiver is not None:
        target = replace(target, owner=terms.receiver, own=associated(terms.receiver, target.mint, target.program))
    wraps = terms.wrap and source.mint == _SOL
    unwraps = terms.wrap and target.mint == _SOL and target.owner == taker
    created = [target, source] if wraps else [target]
    steps = [set_compute_unit_limit(terms.compute_unit_limit), set_compute_unit_price(terms.compute_unit_price)]
    steps += [_create(payer, side) for side in created]
    if wraps:
        steps.append(transfer(TransferParams(from_pubkey=taker, to_pubkey=source.own, lamports=quote.in_amount)))
        steps.append(Instruction(accounts.TOKEN, _SYNC_NATIVE, [AccountMeta(source.own, False, True)]))
    steps.append(_route(venue, quote, source, target, second_generation=terms.second_generation))
    if wraps or unwraps:
        steps.append(_close(source if wraps else target))
    if terms.tip_lamports:
        steps.append(transfer(TransferParams(from_pubkey=taker, to_pubkey=TIP, lamports=terms.tip_lamports)))
    blockhash, last_valid_block_height = venue.ledger.blockhash("confirmed")
    rents = {
        side.own: venue.ledger.rent(mints.account_size(side.rules))
        for side in created
        if venue.ledger.account(side.own) is None
    }
    closed = source.own if wraps else target.own if unwraps else None
    costs = LAMPORTS_PER_SIGNATURE + terms.priority_fee_lamports + sum(rents.values()) if payer == taker else 0
    return BuiltSwap(
        transaction=compiled(payer, steps, blockhash),
        last_valid_block_height=last_valid_block_height,
        quote=quote,
        taker=taker,
        terms=terms,
        steps=tuple(steps),
        rent_lamports=sum(lamports for own, lamports in rents.items() if own != closed),
        short_of=_short_of(venue, quote, source, costs + terms.tip_lamports, wraps=wraps),
    )


def compiled(payer: Pubkey, steps: Sequence[Instruction], blockhash: Hash) -> VersionedTransaction:
    """Return a transaction with every signature missing."""
    message = MessageV0.try_compile(payer, list(steps), [], blockhash)
    return VersionedTransaction.populate(message, [Signature.default()] * message.header.num_required_signatures)


def _side(venue: Venue, quote: quotes.Quote, mint: str, taker: Pubkey) -> _Side:
    if mint != SOL_MINT:
        places = venue.places(mint)
        own = associated(taker, places.mint, places.program)
        return _Side(taker, places.mint, places.program, own, places.vault, places.rules)
    token = quote.output_mint if quote.input_mint == SOL_MINT else quote.input_mint
    return _Side(taker, _SOL, accounts.TOKEN, associated(taker, _SOL), venue.places(token).sol_vault, HARMLESS)


def _create(payer: Pubkey, side: _Side) -> Instruction:
    keys = [
        AccountMeta(payer, True, True),
        AccountMeta(side.own, False, True),
        AccountMeta(side.owner, False, False),
        AccountMeta(side.mint, False, False),
        AccountMeta(SYSTEM, False, False),
        AccountMeta(side.program, False, False),
    ]
    return Instruction(ASSOCIATED_TOKEN_PROGRAM, _CREATE_IDEMPOTENT, keys)


def _close(side: _Side) -> Instruction:
    owner = side.owner
    keys = [AccountMeta(side.own, False, True), AccountMeta(owner, False, True), AccountMeta(owner, True, False)]
    return Instruction(side.program, _CLOSE_ACCOUNT, keys)


def _route(venue: Venue, quote: quotes.Quote, source: _Side, target: _Side, *, second_generation: bool) -> Instruction:
    pooled = venue.places(quote.output_mint if quote.output_mint != SOL_MINT else quote.input_mint)
    keys = {
        RouteAccount.TOKEN_PROGRAM: accounts.TOKEN,
        RouteAccount.USER: source.owner,
        RouteAccount.USER_SOURCE: source.own,
        RouteAccount.USER_DESTINATION: target.own,
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
        RouteAccount.POOL: pooled.pool if source.mint == _SOL else pooled.sale_pool,
        RouteAccount.SOL_VAULT: pooled.sol_vault,
        RouteAccount.SOL_MINT: _SOL,
    }
    metas = [
        AccountMeta(keys[place], place is RouteAccount.USER, place not in _READ_ONLY_PLACES)
        for place in (PLACES_V2 if second_generation else RouteAccount)
    ]
    terms = RouteTerms(quote.in_amount, quote.paid_out_amount, quote.slippage_bps, quote.fee_bps)
    return Instruction(PROGRAM_ID, terms.data_v2() if second_generation else terms.data(), metas)


def _short_of(venue: Venue, quote: quotes.Quote, source: _Side, costs: int, *, wraps: bool) -> str | None:
    """Return what the taker lacks: enough of the input, or SOL for fees and rent besides."""
    account = venue.ledger.account(source.owner)
    lamports = 0 if account is None else account.lamports
    if wraps:
        if lamports < quote.in_amount:
            return "input"
        costs += quote.in_amount
    else:
        held = accounts.token_account(venue.ledger.account(source.own))
        if held is None or held.amount < quote.in_amount:
            return "input"
    return "gas" if lamports < costs else None

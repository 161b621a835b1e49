"""A market on a chain in this process, without servers: what a test of swaps needs, and how it signs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import count

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from apps.sandbox.chain import accounts
from apps.sandbox.chain.ledger import Landed, Ledger
from apps.sandbox.domain.market import Market
from apps.sandbox.domain.mints import HARMLESS, MintRules
from apps.sandbox.domain.tokens import Rest, TokenOrder, ordered_token
from apps.sandbox.exchange.building import BuiltSwap, associated, build_swap
from apps.sandbox.exchange.venue import Venue

SOL = 10**9
FEE_BPS = 10
NOW = 1_800_000_000.0
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Desk:
    """One market, one chain, and what joins them."""

    market: Market
    ledger: Ledger
    venue: Venue

    def token(self, rules: MintRules = HARMLESS, *, liquidity_sol: int = 5_000, decimals: int = 6) -> str:
        """List a token that stands still; returns its mint."""
        order = TokenOrder(
            prefix="CHAIN",
            number=next(_numbers),
            rest=Rest.STILL,
            decimals=decimals,
            price_sol=Decimal("0.00004"),
            liquidity_sol=Decimal(liquidity_sol),
            volatility_percent=5.0,
            rules=rules,
        )
        token = ordered_token(self.market.seed, order)
        assert token is not None
        self.market.add([token])
        return token.mint

    def wallet(self, lamports: int = 10 * SOL) -> Keypair:
        owner = Keypair()
        self.ledger.airdrop(owner.pubkey(), lamports)
        return owner

    def build(self, owner: Keypair, mint: str, side: str, amount: int, slippage_bps: int = 50) -> BuiltSwap:
        return build_swap(
            self.venue, taker=owner.pubkey(), mint=mint, side=side, amount=amount, slippage_bps=slippage_bps
        )

    def land(self, built: BuiltSwap, owner: Keypair, *, preflight: bool = False) -> Landed:
        """Sign and send a transaction; returns it as it landed, failed or not."""
        return self.ledger.landed[self.send(signed(built, owner), preflight=preflight)]

    def send(self, transaction: VersionedTransaction, *, preflight: bool = True) -> Signature:
        return self.ledger.submit(transaction, preflight=preflight)

    def lamports(self, owner: Keypair) -> int:
        account = self.ledger.account(owner.pubkey())
        return 0 if account is None else account.lamports

    def tokens(self, owner: Keypair, mint: str) -> int | None:
        """Return what the wallet's own account of a token holds; None when it has none."""
        held = accounts.token_account(self.ledger.account(self.account_of(owner, mint)))
        return None if held is None else held.amount

    def account_of(self, owner: Keypair, mint: str) -> Pubkey:
        places = self.venue.places(mint)
        return associated(owner.pubkey(), places.mint, places.program)

    def pass_slots(self, number: int = 1) -> None:
        for _ in range(number):
            self.ledger.tick(self.ledger.now + 0.4)


def open_desk(ledger: Ledger | None = None) -> Desk:
    market = Market(seed=5, demo_tokens=2, tick_ms=500, now=NOW, autonomous=False)
    ledger = Ledger(seed=1, now=NOW) if ledger is None else ledger
    return Desk(market, ledger, Venue(market, ledger, fee_bps=FEE_BPS))


def signed(built: BuiltSwap, owner: Keypair) -> VersionedTransaction:
    return VersionedTransaction(built.transaction.message, [owner])

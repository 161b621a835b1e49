"""A market and a chain joined: tokens with mints, pools with vaults, swaps priced before they run and felt after.

Right before a transaction runs, every swap in it is priced from the market's pools as they are, and their vaults are
filled to what the pools hold, as other people's trades would have done. What lands moves the market.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solders.account import Account
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM
from solders.transaction import VersionedTransaction

from apps.core.money import SOL_MINT
from apps.sandbox.chain import accounts
from apps.sandbox.chain.ledger import Landed, Ledger
from apps.sandbox.chain.program.route import PROGRAM_ID, VAULT_AUTHORITY, Route, RouteAccount, routes_in
from apps.sandbox.chain.program.swap import PRICED, program_file
from apps.sandbox.domain import quotes
from apps.sandbox.domain.market import Market
from apps.sandbox.domain.mints import HARMLESS, MintRules
from apps.sandbox.domain.tokens import Token, address
from apps.sandbox.exchange import mints

_NOT_PRICED = PRICED.pack(0, 0, 0)
_SOL = Pubkey.from_string(SOL_MINT)
#: One of the accounts where block engines take their tips.
TIP = Pubkey.from_string("96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5")


@dataclass(frozen=True, slots=True)
class TokenPlaces:
    """Where a token and its pool are on the chain.

    Sales are priced in an account of their own, so that a transaction may buy and sell the same token.
    """

    mint: Pubkey
    program: Pubkey
    pool: Pubkey
    sale_pool: Pubkey
    vault: Pubkey
    sol_vault: Pubkey
    rules: MintRules

    @classmethod
    def of(cls, token: Token) -> TokenPlaces:
        return cls(
            mint=Pubkey.from_string(token.mint),
            program=accounts.TOKEN_2022 if token.rules.token_2022 else accounts.TOKEN,
            pool=Pubkey.from_string(token.launch_pool.address),
            sale_pool=Pubkey.from_string(address("sale pool", token.mint)),
            vault=Pubkey.from_string(address("vault", token.mint)),
            sol_vault=Pubkey.from_string(address("sol vault", token.mint)),
            rules=token.rules,
        )


@dataclass(frozen=True, slots=True)
class Swapped:
    """A swap that landed, in base units: what went into the pool's vault and what came out to the owner."""

    input_mint: str
    output_mint: str
    in_amount: int
    out_amount: int
    fee_lamports: int


class Venue:
    """One market on one chain. `fee_bps` is the protocol fee of every swap."""

    def __init__(self, market: Market, ledger: Ledger, *, fee_bps: int) -> None:
        self.market, self.ledger, self.fee_bps = market, ledger, fee_bps
        self.platform_fee_account = Pubkey.from_string(address("platform fee"))
        self._places: dict[str, TokenPlaces] = {}
        self._pools: set[Pubkey] = set()
        ledger.add_program(PROGRAM_ID, program_file())
        self._found(
            self.platform_fee_account,
            self._token_account(HARMLESS, _SOL, Pubkey.from_string(address("platform")), 0),
        )
        self._found(TIP, self._account(b"", SYSTEM))
        for listing in market.listings.values():
            self._place(listing.token)
        market.on_listed.append(self._place)
        ledger.before_running.append(self._price)
        ledger.on_landed.append(self._settle)
        ledger.on_rolled_back.append(self._take_back)

    def places(self, mint: str) -> TokenPlaces:
        """Return where a token is.

        Raises:
            KeyError: when it is not listed.
        """
        return self._places[mint]

    # -- accounts

    def _place(self, token: Token) -> None:
        """Give a token its mint, its pool and its vaults; a mint that was listed before as another is changed."""
        places = TokenPlaces.of(token)
        self._places[token.mint] = places
        self._pools |= {places.pool, places.sale_pool}
        developer = Pubkey.from_string(token.developer)
        told = mints.mint_bytes(
            token.rules, decimals=token.decimals, supply=token.supply_base_units, developer=developer
        )
        mint, before = self._account(told, places.program), self.ledger.account(places.mint)
        if before is None or bytes(before.data) != told:
            self.ledger.issue(places.mint, mint)
        for key in (places.pool, places.sale_pool):
            self._found(key, self._account(_NOT_PRICED, PROGRAM_ID))
        for key, account in self._vaults(token.mint):
            self._found(key, account)

    def _vaults(self, mint: str) -> list[tuple[Pubkey, Account]]:
        """Return the vaults of a token's pool as full as the pool is now."""
        places, pool = self._places[mint], self.market.listing(mint).pool
        base = self._token_account(places.rules, places.mint, VAULT_AUTHORITY, pool.base_reserve, places.program)
        sol = self._token_account(HARMLESS, _SOL, VAULT_AUTHORITY, pool.sol_reserve)
        return [(places.vault, base), (places.sol_vault, sol)]

    def _found(self, key: Pubkey, account: Account) -> None:
        if self.ledger.account(key) is None:
            self.ledger.issue(key, account)

    def _account(self, data: bytes, owner: Pubkey, lamports: int = 0) -> Account:
        return Account(lamports=self.ledger.rent(len(data)) + lamports, data=data, owner=owner, executable=False)

    def _token_account(
        self, rules: MintRules, mint: Pubkey, owner: Pubkey, amount: int, program: Pubkey = accounts.TOKEN
    ) -> Account:
        """Return a token account; one of wrapped SOL has its amount in lamports too."""
        is_sol = mint == _SOL
        rent = self.ledger.rent(accounts.TOKEN_ACCOUNT_BYTES) if is_sol else None
        data = mints.token_account_bytes(rules, mint=mint, owner=owner, amount=amount, native_rent=rent)
        return self._account(data, program, amount if is_sol else 0)

    # -- swaps

    def _price(self, transaction: VersionedTransaction, keys: Sequence[Pubkey]) -> None:
        """Write into the pool's account what each swap of a transaction would pay now."""
        for route in routes_in(transaction.message.instructions, keys):
            pool = route[RouteAccount.POOL]
            if pool not in self._pools:
                continue
            for mint in self._tokens_of(route):
                for key, account in self._vaults(mint):
                    self.ledger.arrange(key, account)
            self.ledger.arrange(pool, self._account(self._priced(route), PROGRAM_ID))

    def _priced(self, route: Route) -> bytes:
        input_mint, output_mint = str(route[RouteAccount.SOURCE_MINT]), str(route[RouteAccount.DESTINATION_MINT])
        try:
            quote = quotes.quote(
                self.market.view,
                input_mint=input_mint,
                output_mint=output_mint,
                amount=route.terms.in_amount,
                fee_bps=self.fee_bps,
                slippage_bps=0,
            )
        except (quotes.NotTradable, quotes.NoRoute):
            return _NOT_PRICED
        return PRICED.pack(quote.in_amount, quote.paid_out_amount, quote.fee_lamports)

    def _tokens_of(self, route: Route) -> list[str]:
        """Return the market's tokens that a swap is between; SOL is on the other side of each."""
        pair = (str(route[RouteAccount.SOURCE_MINT]), str(route[RouteAccount.DESTINATION_MINT]))
        return [mint for mint in pair if mint in self._places]

    def _settle(self, landed: Landed) -> None:
        """Let the market feel what landed."""
        for swapped in self.swaps_of(landed):
            if swapped.input_mint == SOL_MINT:
                self.market.take_buy(swapped.output_mint, swapped.in_amount - swapped.fee_lamports)
                continue
            pool = self.market.listing(swapped.input_mint).pool
            self.market.take_sale(swapped.input_mint, swapped.in_amount)
            if swapped.output_mint != SOL_MINT:
                self.market.take_buy(swapped.output_mint, pool.sell(swapped.in_amount) - swapped.fee_lamports)

    def _take_back(self, undone: Sequence[Landed]) -> None:
        """Let the market forget what a fork took back, but for swaps between tokens: the SOL between is not known."""
        for landed in reversed(undone):
            for swapped in self.swaps_of(landed):
                if swapped.input_mint == SOL_MINT:
                    paid = swapped.in_amount - swapped.fee_lamports
                    self.market.take_back_buy(swapped.output_mint, paid, swapped.out_amount)
                elif swapped.output_mint == SOL_MINT:
                    gross = swapped.out_amount + swapped.fee_lamports
                    self.market.take_back_sale(swapped.input_mint, swapped.in_amount, gross)

    def swaps_of(self, landed: Landed) -> list[Swapped]:
        """Return the swaps of a transaction that landed, read from its balances; none of one that failed."""
        if landed.error is not None:
            return []
        return [
            Swapped(
                input_mint=str(route[RouteAccount.SOURCE_MINT]),
                output_mint=str(route[RouteAccount.DESTINATION_MINT]),
                in_amount=route.terms.in_amount,
                out_amount=-_change(landed, route[RouteAccount.DESTINATION_VAULT]) - self._fee_inside(landed, route),
                fee_lamports=_change(landed, route[RouteAccount.PLATFORM_FEE]),
            )
            for route in routes_in(landed.transaction.message.instructions, landed.keys)
            if route[RouteAccount.POOL] in self._pools
        ]

    @staticmethod
    def _fee_inside(landed: Landed, route: Route) -> int:
        """Return what left the vault of the output as the platform's fee: only of a sale, whose output is SOL."""
        if route[RouteAccount.DESTINATION_VAULT] != route[RouteAccount.SOL_VAULT]:
            return 0
        return _change(landed, route[RouteAccount.PLATFORM_FEE])


def _change(landed: Landed, account: Pubkey) -> int:
    """Return by how much the tokens of an account changed."""
    index = landed.keys.index(account)

    def amount(name: str) -> int:
        rows = (row for row in landed.meta[name] if row["accountIndex"] == index)
        return next((int(row["uiTokenAmount"]["amount"]) for row in rows), 0)

    return amount("postTokenBalances") - amount("preTokenBalances")

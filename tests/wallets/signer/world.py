"""A signer in this process, with the sandbox's market and chain as its node and price source: no sockets, no slots.

`World` holds all of it; a test builds a swap, changes what it wants, and asks `sign`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from apps.sandbox.chain import accounts as chain_accounts
from apps.sandbox.chain.ledger import Ledger
from apps.sandbox.chain.rpc import Rpc
from apps.sandbox.domain import quotes
from apps.sandbox.domain.market import Market
from apps.sandbox.exchange.building import BuiltSwap, associated, build_swap
from apps.sandbox.exchange.venue import Venue
from apps.wallets.signer import requests
from apps.wallets.signer.caps import Caps, Limits
from apps.wallets.signer.keyring import Keyring
from apps.wallets.signer.nodes import NodeRefused, Nodes
from apps.wallets.signer.reasons import Reason, Refused
from apps.wallets.signer.service import Programs, Rules, Signer
from apps.wallets.signer.tally import Reach

SOL = 10**9
NOW = 1_790_000_000.0
FEE_BPS = 50


class LedgerNodes(Nodes):
    """The signer's nodes, each an `Rpc` over the ledger instead of an address. `away` ones do not answer."""

    def __init__(self, rpcs: Sequence[Rpc]) -> None:
        super().__init__([f"node {number}" for number in range(len(rpcs))], None)  # type: ignore[arg-type]
        self._rpcs = dict(zip(self.urls, rpcs, strict=True))
        self.away: set[str] = set()
        self.calls: list[str] = []
        self.lies: dict[str, Any] = {}

    async def call(self, method: str, *parameters: Any, node: str | None = None) -> Any:
        self.calls.append(method)
        for url in (node,) if node else self.urls:
            if url in self.away:
                continue
            answer = self._rpcs[url].answer({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)})
            if "error" in answer:
                raise NodeRefused(answer["error"]["code"], answer["error"]["message"])
            result = answer["result"]
            return self.lies[method](result) if method in self.lies else result
        raise Refused(Reason.NODE_UNAVAILABLE, "no node")


@dataclass
class MarketPrices:
    """The signer's price source: the market itself, or what a test says."""

    market: Market
    programs_listed: frozenset[str] | None = frozenset({"675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"})
    fixed: dict[str, Fraction | None] = field(default_factory=dict)
    quotes: dict[str, int | None] = field(default_factory=dict)
    away: bool = False
    reach: Reach = field(default_factory=Reach)

    async def lamports_per_base_unit(self, mint: str) -> Fraction | None:
        self._answer()
        if mint in self.fixed:
            return self.fixed[mint]
        pool = self.market.listing(mint).pool
        return Fraction(pool.sol_reserve, pool.base_reserve)

    async def quote(self, mint: str, base_units: int) -> int | None:
        self._answer()
        if mint in self.quotes:
            return self.quotes[mint]
        try:
            return quotes.quote(
                self.market.view,
                input_mint=mint,
                output_mint=str(chain_accounts.WRAPPED_SOL),
                amount=base_units,
                fee_bps=FEE_BPS,
                slippage_bps=0,
            ).paid_out_amount
        except (quotes.NoRoute, quotes.NotTradable):
            return None

    async def programs(self) -> frozenset[str] | None:
        return None if self.away else self.programs_listed

    def _answer(self) -> None:
        if self.away:
            raise Refused(Reason.PRICE_UNAVAILABLE, "away")


class World:
    """A market, a chain, a wallet with SOL, and a signer that holds its key."""

    def __init__(
        self,
        folder: Path,
        *,
        trade: int = 2 * SOL,
        day: int = 10 * SOL,
        reserve: int = SOL,
        max_fee_lamports: int = 1_000_000,
        max_slippage_bps: int = 1_000,
        max_impact_bps: int = 5_000,
        nodes: int = 1,
    ) -> None:
        self.folder = folder
        self.market = Market(seed=7, demo_tokens=2, tick_ms=60_000, now=NOW, autonomous=False)
        self.ledger = Ledger(seed=7, now=NOW)
        self.venue = Venue(self.market, self.ledger, fee_bps=FEE_BPS)
        self.keypair = Keypair.from_seed(bytes(range(32)))
        self.wallet = self.keypair.pubkey()
        self.mint = self.market.demo_mints[0]
        self.ledger.airdrop(self.wallet, 100 * SOL)
        self.nodes = LedgerNodes([Rpc(self.ledger) for _ in range(nodes)])
        self.prices = MarketPrices(self.market)
        self.now = NOW
        self.caps: Any = None
        self.limits = Limits(trade, day, reserve)
        self.rules = Rules(max_slippage_bps, max_impact_bps, max_fee_lamports)
        self.signer = self.started()

    def started(self) -> Signer:
        """Return a signer over the files that are there, as a process that was started again."""
        if self.caps is not None:
            self.caps.close()
        keys = Keyring(self.folder / "keys")
        keys.open({"WALLET_1": str(self.keypair)})
        self.caps = Caps(self.folder / "signed.jsonl", self.limits, now=lambda: self.now)
        self.caps.open()
        return Signer(keys, self.nodes, self.prices, Programs(self.prices), self.caps, self.rules)

    # -- what is signed

    def built(self, side: str = "buy", amount: int = SOL, **options: Any) -> BuiltSwap:
        return build_swap(
            self.venue, taker=self.wallet, mint=self.mint, side=side, amount=amount, **{"slippage_bps": 100, **options}
        )

    def request(self, built: BuiltSwap, side: str = "buy", **changes: Any) -> requests.SignSwap:
        """Return an honest request for a transaction, changed where a test says so."""
        quote = built.quote
        fields = {
            "op": "sign_swap",
            "order_id": "order-1",
            "wallet": str(self.wallet),
            "side": side,
            "mint": self.mint,
            "in_base_units": quote.in_amount,
            "minimum_out_base_units": -(-quote.paid_out_amount * (10_000 - quote.slippage_bps) // 10_000),
            "transaction": bytes(built.transaction),
        }
        return requests.SignSwap.model_construct(**{**fields, **changes})

    async def sign(self, request: requests.Request) -> VersionedTransaction:
        answer = await self.signer.answer(request)
        return VersionedTransaction.from_bytes(answer["transaction"])

    async def buy(self, amount: int = SOL, order_id: str = "bought") -> None:
        """Buy and let it land."""
        self.land(await self.sign(self.request(self.built(amount=amount), order_id=order_id)))

    def land(self, transaction: VersionedTransaction) -> Signature:
        signature = self.ledger.submit(transaction, preflight=True)
        self.ledger.tick(self.ledger.now + 0.4)
        return signature

    def pass_slots(self, count: int) -> None:
        for _ in range(count):
            self.ledger.tick(self.ledger.now + 0.4)

    # -- what there is

    def tokens(self) -> int:
        held = chain_accounts.token_account(self.ledger.account(self.token_account))
        return 0 if held is None else held.amount

    @property
    def token_account(self) -> Pubkey:
        places = self.venue.places(self.mint)
        return associated(self.wallet, places.mint, places.program)

    @property
    def sol_account(self) -> Pubkey:
        return associated(self.wallet, chain_accounts.WRAPPED_SOL)

    def lamports(self) -> int:
        """Return the wallet's lamports, with what lies in its own accounts of SOL and of the token."""
        keys = (self.wallet, self.token_account, self.sol_account)
        return sum(account.lamports for key in keys if (account := self.ledger.account(key)) is not None)

    def compiled(self, steps: Sequence[Instruction], **options: Any) -> bytes:
        """Return a transaction of these instructions, paid by the wallet, unsigned."""
        payer = options.get("payer", self.wallet)
        message = MessageV0.try_compile(
            payer, list(steps), options.get("tables", []), self.ledger.blockhash("confirmed")[0]
        )
        signatures = [Signature.default()] * message.header.num_required_signatures
        return bytes(VersionedTransaction.populate(message, signatures))


def changed(step: Instruction, *, data: bytes | None = None, **keys: Pubkey) -> Instruction:
    """Return an instruction with other bytes, or other keys at places given as `at_<place>`."""
    metas = list(step.accounts)
    for place, key in keys.items():
        number = int(place.removeprefix("at_"))
        metas[number] = AccountMeta(key, metas[number].is_signer, metas[number].is_writable)
    return Instruction(step.program_id, bytes(step.data) if data is None else data, metas)


@contextmanager
def refuses(world: World, reason: Reason):
    """Want a refusal with this reason, and nothing counted or written because of it."""
    before, size = world.caps.used(), (world.folder / "signed.jsonl").stat().st_size
    with pytest.raises(Refused) as caught:
        yield caught
    assert caught.value.reason == reason, caught.value
    assert world.caps.used() == before
    assert (world.folder / "signed.jsonl").stat().st_size == size


def token_account_of(world: World, owner: Pubkey, key: Pubkey, mint: Pubkey, amount: int) -> Account:
    """Put a token account there, and return it."""
    from solders.token.state import TokenAccount, TokenAccountState

    held = TokenAccount(mint, owner, amount, None, TokenAccountState.Initialized, None, 0, None)
    account = Account(lamports=world.ledger.rent(165), data=bytes(held), owner=chain_accounts.TOKEN, executable=False)
    world.ledger.issue(key, account)
    return account

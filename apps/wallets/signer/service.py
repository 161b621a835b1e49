"""The signer's operations, in the order that matters: judge, count on the disk, then sign.

Whatever the caller says, a transaction is signed only when its instructions are on the list, its simulation keeps the
promise, the promise is near the signer's own price, and the caps have room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from solders.pubkey import Pubkey
from solders.signature import Signature

from apps.wallets.signer import evidence, policy, prices, reading, requests
from apps.wallets.signer.caps import Caps, Entry
from apps.wallets.signer.evidence import Effect
from apps.wallets.signer.keyring import Keyring
from apps.wallets.signer.nodes import ChainAccount, NodeRefused, Nodes
from apps.wallets.signer.policy import BASIC_PROGRAMS, Outline, SwapTerms
from apps.wallets.signer.prices import PriceSource
from apps.wallets.signer.reading import Reading, Unread
from apps.wallets.signer.reasons import Reason, Refused
from apps.wallets.signer.tally import Tally

log = structlog.get_logger(__name__)
BPS = 10_000


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of the signer's own configuration."""

    max_slippage_bps: int
    max_impact_bps: int
    max_fee_lamports: int


@dataclass(slots=True)
class Programs:
    """The venues a swap may name: the provider's list, or the part of it that was set.

    `helpers` are programs of venues that an operator looked up, since the provider does not list them.
    """

    source: PriceSource
    wanted: Sequence[str] = ()
    helpers: Sequence[str] = ()
    unknown: tuple[str, ...] = ()
    _allowed: frozenset[Pubkey] | None = None

    async def allowed(self) -> frozenset[Pubkey]:
        """Return the programs, asking the provider until it has answered once.

        Raises:
            Refused: PROGRAMS_UNKNOWN.
        """
        if self._allowed is None:
            listed = await self.source.programs()
            if listed is None:
                raise Refused(Reason.PROGRAMS_UNKNOWN, "The provider's list of programs is not known yet.")
            chosen = listed.intersection(self.wanted) if self.wanted else listed
            self.unknown = tuple(sorted(set(self.wanted) - listed))
            if self.unknown:
                log.error("signer_programs_not_listed", programs=", ".join(self.unknown))
            self._allowed = BASIC_PROGRAMS | {Pubkey.from_string(key) for key in (*chosen, *self.helpers)}
        return self._allowed

    @property
    def count(self) -> int:
        return 0 if self._allowed is None else len(self._allowed - BASIC_PROGRAMS)


@dataclass(slots=True)
class Signer:
    """All operations; one event loop."""

    keys: Keyring
    nodes: Nodes
    prices: PriceSource
    programs: Programs
    caps: Caps
    rules: Rules
    tally: Tally = field(default_factory=Tally)
    _orders: dict[str, tuple[asyncio.Lock, int]] = field(default_factory=dict)

    async def answer(self, request: requests.Request) -> dict[str, Any]:
        """Do what is asked.

        Raises:
            Refused.
        """
        match request:
            case requests.SignSwap() | requests.SignReclaim():
                started = time.perf_counter()
                signed = await self._sign_request(request)
                self.tally.took(time.perf_counter() - started)
                return signed
            case requests.Figures():
                return self._figures()
            case requests.Create():
                made = await self.keys.create(name=request.name, passphrase=request.passphrase.get_secret_value())
                return {"key": made}
            case requests.Import():
                return {"key": await self.keys.take_in(request.file)}
            case requests.Unlock():
                passphrase = request.passphrase.get_secret_value()
                return {"key": await self.keys.unlock(address=request.address, passphrase=passphrase)}
            case requests.Lock():
                return {"key": self.keys.lock(request.address)}
            case requests.Export():
                passphrase = request.passphrase.get_secret_value()
                return {"file": await self.keys.export(address=request.address, passphrase=passphrase)}
        return await self._status()

    async def _status(self) -> dict[str, Any]:
        await self.keys.look_again()
        spent, risked = self.caps.used()
        return {
            "keys": self.keys.told(),
            "network": await self.nodes.network(),
            "max_trade_lamports": self.caps.limits.trade,
            "max_day_lamports": self.caps.limits.day,
            "spent_day_lamports": spent,
            "risked_day_lamports": risked,
            "max_slippage_bps": self.rules.max_slippage_bps,
            "max_fee_lamports": self.rules.max_fee_lamports,
            "nodes": len(self.nodes.urls),
            "programs": self.programs.count,
            "notes": [f"{program} is not on the provider's list" for program in self.programs.unknown],
        }

    def _figures(self) -> dict[str, Any]:
        """Return what is counted, from memory alone: no file is read and nobody is asked."""
        spent, risked = self.caps.used()
        locked = [key["locked"] for key in self.keys.told()]
        return {
            **self.tally.told(),
            "spent_day_lamports": spent,
            "risked_day_lamports": risked,
            "max_day_lamports": self.caps.limits.day,
            "keys_loaded": locked.count(False),
            "keys_locked": locked.count(True),
            "sources": {"nodes": self.nodes.reach.told(), "prices": self.prices.reach.told()},
        }

    async def look_for_lost(self) -> None:
        """Ask what did not answer the last time, so that its coming back is known before an order needs it.

        Nodes are asked at the start too. What answers is left alone: plans of nodes and prices are small.
        """
        with suppress(Refused, NodeRefused, TypeError, ValueError):  # nonsense of a node must not end the chores
            if self.nodes.reach.up is not True:
                await self.nodes.height()
        if self.prices.reach.up is False:
            await self.prices.programs()

    async def _sign_request(self, request: requests.SignSwap | requests.SignReclaim) -> dict[str, Any]:
        if isinstance(request, requests.SignSwap):
            return await self._sign_swap(request)
        return await self._sign_reclaim(request)

    async def _sign_swap(self, request: requests.SignSwap) -> dict[str, Any]:
        wallet = requests.key(request.wallet)
        self.keys.require(request.wallet)
        unread = reading.decode(request.transaction, wallet=wallet)
        terms = SwapTerms(
            wallet,
            buys=request.side == "buy",
            mint=requests.key(request.mint),
            in_amount=request.in_base_units,
            minimum_out=request.minimum_out_base_units,
        )
        async with self._alone(request.order_id):
            if await self._signed_before(request.order_id, request.wallet, unread):
                return self._sign(request, unread)
            allowed = await self.programs.allowed()
            read = await self._resolve(unread)
            outline = policy.check_swap(read, terms, max_fee_lamports=self.rules.max_fee_lamports)
            least = min(terms.minimum_out, outline.least_kept)
            worth, (accounts, effect), height = await _together(
                prices.check(
                    self.prices,
                    terms,
                    least,
                    max_slippage_bps=self.rules.max_slippage_bps,
                    max_impact_bps=self.rules.max_impact_bps,
                ),
                self._look(read, outline),
                self._height(),
            )
            evidence.check_programs(read.keys, accounts, allowed)
            evidence.check_swap(effect, terms, max_fee_lamports=self.rules.max_fee_lamports)
            fee = max(outline.fee_lamports, effect.sol_out - terms.in_amount if terms.buys else 0)
            entry = Entry(
                order_id=request.order_id,
                wallet=request.wallet,
                side=request.side,
                mint=request.mint,
                digest=unread.digest,
                spent=terms.in_amount + fee if terms.buys else fee,
                risked=0 if terms.buys else -(-worth * self.rules.max_slippage_bps // BPS),
                height=height,
            )
            await self.caps.reserve(entry, amount=terms.in_amount if terms.buys else 0)
            return self._sign(request, unread)

    async def _sign_reclaim(self, request: requests.SignReclaim) -> dict[str, Any]:
        wallet = requests.key(request.wallet)
        self.keys.require(request.wallet)
        unread = reading.decode(request.transaction, wallet=wallet)
        async with self._alone(request.order_id):
            if await self._signed_before(request.order_id, request.wallet, unread):
                return self._sign(request, unread)
            read = await self._resolve(unread)
            outline = policy.check_reclaim(
                read,
                wallet=wallet,
                mint=requests.key(request.mint),
                account=requests.key(request.token_account),
                max_fee_lamports=self.rules.max_fee_lamports,
            )
            (_, effect), height = await _together(self._look(read, outline), self._height())
            evidence.check_reclaim(effect)
            entry = Entry(
                order_id=request.order_id,
                wallet=request.wallet,
                side="reclaim",
                mint=request.mint,
                digest=unread.digest,
                spent=outline.fee_lamports,
                risked=0,
                height=height,
            )
            await self.caps.reserve(entry, amount=0)
            return self._sign(request, unread)

    async def _signed_before(self, order_id: str, wallet: str, unread: Unread) -> bool:
        """Tell whether these very bytes were let out for this order before.

        Raises:
            Refused: ORDER_SIGNED, others were, and they may still land.
        """
        former = self.caps.find(order_id)
        if former is None:
            return False
        if (former.digest, former.wallet) == (unread.digest, wallet):
            return True
        try:
            dead = await self.nodes.can_land_no_more(self.caps.signature_of(order_id), former.height)
        except NodeRefused:
            dead = False
        if not dead:
            raise Refused(Reason.ORDER_SIGNED, "Another transaction of this order was signed and may still land.")
        return False

    def _sign(self, request: requests.SignSwap | requests.SignReclaim, unread: Unread) -> dict[str, Any]:
        signature = self.keys.sign(request.wallet, unread.signed_bytes)
        text = str(Signature.from_bytes(signature))
        if self.caps.signature_of(request.order_id) is None:
            self.caps.note_signature(request.order_id, text)
            self.tally.signed(request.side if isinstance(request, requests.SignSwap) else "reclaim")
        log.info("signer_signed", op=request.op, order_id=request.order_id, wallet=request.wallet, signature=text)
        return {"transaction": unread.with_signature(signature), "signature": text}

    async def _resolve(self, unread: Unread) -> Reading:
        names = list(unread.tables)
        try:
            found = await asyncio.gather(*(self.nodes.table(name, unread.tables[name]) for name in names))
        except NodeRefused as error:
            raise Refused(Reason.LOOKUP_TABLE, f"The signer's node refused a lookup table: {error}") from None
        return reading.resolve(unread, dict(zip(names, found, strict=True)))

    async def _look(self, read: Reading, outline: Outline) -> tuple[list[ChainAccount | None], Effect]:
        """Ask the own node what the accounts are and what the transaction does."""
        try:
            accounts, value = await _together(
                self.nodes.accounts([str(key) for key in read.keys]),
                self.nodes.simulate(read.unsigned, evidence.watched(read, outline)),
            )
        except NodeRefused as error:
            raise Refused(Reason.SIMULATION_FAILED, f"The signer's node refused to simulate: {error}") from None
        return accounts, evidence.judge(value, read, outline)

    async def _height(self) -> int:
        try:
            return await self.nodes.height()
        except NodeRefused:
            raise Refused(Reason.NODE_UNAVAILABLE, "The signer's node does not tell the block height.") from None

    @asynccontextmanager
    async def _alone(self, order_id: str) -> AsyncIterator[None]:
        """Let the requests of one order wait for each other."""
        lock, waiting = self._orders.get(order_id, (asyncio.Lock(), 0))
        self._orders[order_id] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._orders[order_id]
            if waiting == 1:
                del self._orders[order_id]
            else:
                self._orders[order_id] = (lock, waiting - 1)


async def _together(*work: Any) -> list[Any]:
    """Wait for all of it; the first refusal ends the rest."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()

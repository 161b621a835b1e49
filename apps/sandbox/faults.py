"""Faults on demand: what goes wrong, at which source, how often and for how long.

A fault is drawn per request; the HTTP layer acts on it. How long one lasts and how often it strikes is kept by
`domain.fault_book`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from itertools import count
from typing import Any

from apps.core.money import SOL_MINT
from apps.sandbox.domain import noise
from apps.sandbox.domain.fault_book import Book, SwitchedOn, ends_in
from apps.sandbox.domain.sources import Source
from apps.sandbox.domain.tokens import USDC_MINT
from apps.sandbox.domain.views import MarketView, bent


class FaultKind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"
    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    UNAUTHORIZED = "unauthorized"
    HANG = "hang"
    DISCONNECT = "disconnect"
    MISSING_PRICE = "missing_price"
    NULL_PRICE = "null_price"
    ABSURD_PRICE = "absurd_price"
    STALE_PRICE = "stale_price"
    DELISTED = "delisted"

    # of a transaction handed out to sign
    EXPIRED_BLOCKHASH = "expired_blockhash"
    REPLACED_FEE_PAYER = "replaced_fee_payer"
    RFQ_ROUTE = "rfq_route"
    LOOKUP_TABLE = "lookup_table"
    DRAINED_WALLET = "drained_wallet"
    SWAPPED_DESTINATION = "swapped_destination"
    ADDED_INSTRUCTION = "added_instruction"
    UNKNOWN_VENUE = "unknown_venue"

    # of a signed transaction that comes back
    ANSWER_LOST = "answer_lost"
    ERROR_AFTER_LANDING = "error_after_landing"
    EARLY_ANSWER = "early_answer"
    LATE_LANDING = "late_landing"
    FALSE_FAILURE = "false_failure"
    FALSE_SUCCESS = "false_success"


#: Faults of a whole answer, whatever prices it would tell.
WITHOUT_ANSWER = frozenset(
    {
        FaultKind.LATENCY,
        FaultKind.RATE_LIMIT,
        FaultKind.SERVER_ERROR,
        FaultKind.UNAUTHORIZED,
        FaultKind.HANG,
        FaultKind.DISCONNECT,
    }
)
#: Faults of the transactions of one source, and of no other.
TAMPERING = (
    FaultKind.RFQ_ROUTE,
    FaultKind.REPLACED_FEE_PAYER,
    FaultKind.SWAPPED_DESTINATION,
    FaultKind.DRAINED_WALLET,
    FaultKind.ADDED_INSTRUCTION,
    FaultKind.UNKNOWN_VENUE,
    FaultKind.LOOKUP_TABLE,
    FaultKind.EXPIRED_BLOCKHASH,
)
LANDING = frozenset(
    {
        FaultKind.ANSWER_LOST,
        FaultKind.ERROR_AFTER_LANDING,
        FaultKind.EARLY_ANSWER,
        FaultKind.LATE_LANDING,
        FaultKind.FALSE_FAILURE,
        FaultKind.FALSE_SUCCESS,
    }
)
ONLY_OF = {Source.JUPITER_ORDER: frozenset(TAMPERING), Source.JUPITER_EXECUTE: LANDING}
_REFUSALS = frozenset({FaultKind.LATENCY, FaultKind.RATE_LIMIT, FaultKind.SERVER_ERROR, FaultKind.DISCONNECT})
#: What a storm brings unless other kinds are asked for: everything a wallet loses nothing by.
STORM_KINDS = _REFUSALS | LANDING | {FaultKind.EXPIRED_BLOCKHASH, FaultKind.RFQ_ROUTE, FaultKind.LOOKUP_TABLE}
#: Faults after which there is no proper answer, so that an open stream must end.
OUTAGES = frozenset({FaultKind.RATE_LIMIT, FaultKind.SERVER_ERROR, FaultKind.UNAUTHORIZED, FaultKind.DISCONNECT})


@dataclass(slots=True, eq=False, kw_only=True)
class Fault(SwitchedOn):
    """One switched-on fault of a source. An empty `mints` means every token."""

    source: Source
    kind: FaultKind
    mints: frozenset[str]
    latency_ms: int
    status: int
    retry_after_seconds: int
    factor: Decimal
    age_seconds: float
    frozen: MarketView | None
    slots: int = 4
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def place(self) -> str:
        return self.source

    def end(self) -> None:
        self.gone.set()

    def touches(self, mint: str) -> bool:
        """Say whether the fault is about this token."""
        return not self.mints or mint in self.mints

    def as_document(self, now: float) -> dict[str, Any]:
        """Return the fault as the control API shows it."""
        document: dict[str, Any] = {
            "id": self.number,
            "source": self.source,
            "kind": self.kind,
            "mints": sorted(self.mints),
            **self.life(now),
        }
        match self.kind:
            case FaultKind.LATENCY:
                document["latency_ms"] = self.latency_ms
            case FaultKind.SERVER_ERROR | FaultKind.ERROR_AFTER_LANDING:
                document["status"] = self.status
            case FaultKind.RATE_LIMIT:
                document["retry_after_seconds"] = self.retry_after_seconds
            case FaultKind.ABSURD_PRICE:
                document["factor"] = str(self.factor)
            case FaultKind.STALE_PRICE:
                document["age_seconds"] = self.age_seconds
            case FaultKind.EARLY_ANSWER | FaultKind.LATE_LANDING:
                document["slots"] = self.slots
        return document


@dataclass(frozen=True, slots=True)
class Effects:
    """What an answer is made from after its faults: a view, and which tokens go without a price.

    `sol_usd_factor` bends only the reported dollar price of SOL: bending the view's would cancel out in SOL prices.
    """

    view: MarketView
    missing: tuple[Fault, ...] = ()
    null: tuple[Fault, ...] = ()
    sol_usd_factor: Decimal = Decimal(1)
    met: tuple[Fault, ...] = ()

    def of_kinds(self, kinds: Collection[FaultKind]) -> list[FaultKind]:
        """Return which of these kinds the request met."""
        met = {fault.kind for fault in self.met}
        return [kind for kind in kinds if kind in met]

    def is_missing(self, mint: str) -> bool:
        """Say whether the token is left out of the answer."""
        return any(fault.touches(mint) for fault in self.missing)

    def is_null(self, mint: str) -> bool:
        """Say whether the token's price is null in the answer."""
        return any(fault.touches(mint) for fault in self.null)


class FaultBook(Book[Fault]):
    """All faults of the market's sources that are on."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self.numbers = count(1)

    def add(
        self,
        *,
        source: Source,
        kind: FaultKind,
        view: MarketView,
        probability: float = 1.0,
        mints: frozenset[str] = frozenset(),
        duration_seconds: float | None = None,
        times: int | None = None,
        latency_ms: int = 1_000,
        status: int = 503,
        retry_after_seconds: int = 2,
        factor: Decimal = Decimal(10),
        age_seconds: float = 60.0,
        slots: int = 4,
    ) -> Fault:
        """Switch a fault on; a stale one freezes `view`."""
        number = next(self.numbers)
        fault = Fault(
            number=number,
            source=source,
            kind=kind,
            probability=probability,
            mints=mints,
            ends_at=ends_in(duration_seconds),
            remaining=times,
            drawn_by=(self._seed, number),
            latency_ms=latency_ms,
            status=status,
            retry_after_seconds=retry_after_seconds,
            factor=factor,
            age_seconds=age_seconds,
            frozen=view.aged(age_seconds) if kind is FaultKind.STALE_PRICE else None,
            slots=slots,
        )
        self._faults.append(fault)
        return fault

    def storm(
        self, seed: int, *, rate: float, view: MarketView, kinds: Iterable[FaultKind] = STORM_KINDS
    ) -> list[Fault]:
        """Let everything go wrong with orders now and then: each kind with a share of the requests that `seed` draws.

        No share is above `rate`. Thefts are no weather: they come only where `kinds` names them.
        """
        added = []
        wanted = frozenset(kinds)
        for source in (Source.JUPITER_ORDER, Source.JUPITER_EXECUTE):
            for kind in [kind for kind in FaultKind if kind in wanted & (_REFUSALS | ONLY_OF[source])]:
                name = (seed, source, kind)
                added.append(
                    self.add(
                        source=source,
                        kind=kind,
                        view=view,
                        probability=rate * noise.uniform("storm", *name),
                        latency_ms=int(noise.between(10, 400, "storm latency", *name)),
                        retry_after_seconds=0,
                        slots=int(noise.between(1, 40, "storm slots", *name)),
                    )
                )
        return added

    def draw(self, source: Source, request: str = "") -> list[Fault]:
        """Return the faults one request to `source` meets, and count them; `request` is text that names its tokens.

        A fault of some tokens that is about the whole answer meets only requests that name one of them.
        """
        if not self._faults:
            return []
        met = []
        for fault in self.active(source):
            whole = fault.kind in WITHOUT_ANSWER or any(fault.kind in kinds for kinds in ONLY_OF.values())
            if whole and fault.mints and not any(mint in request for mint in fault.mints):
                continue
            if self._strikes(fault):
                met.append(fault)
        return met


def effects_of(met: list[Fault], live: MarketView) -> Effects:
    """Return what the faults a request met make of its answer; without any, the live view."""
    if not met:
        return Effects(live)
    view = live
    sol_usd_factor = Decimal(1)
    for fault in met:
        if fault.frozen is not None:
            if fault.mints:
                view = view.with_pools({m: p for m, p in fault.frozen.pools.items() if m in fault.mints})
            else:
                view = fault.frozen
        if fault.kind is FaultKind.DELISTED:
            listed = {mint: pool for mint, pool in view.pools.items() if mint == USDC_MINT or not fault.touches(mint)}
            view = replace(view, pools=listed)
        if fault.kind is FaultKind.ABSURD_PRICE:
            view = view.with_pools(
                {
                    mint: bent(pool, fault.factor)
                    for mint, pool in view.pools.items()
                    if mint != USDC_MINT and fault.touches(mint)
                }
            )
            if SOL_MINT in fault.mints or fault.source is Source.PYTH:
                sol_usd_factor *= fault.factor
    return Effects(
        view=view,
        missing=tuple(fault for fault in met if fault.kind is FaultKind.MISSING_PRICE),
        null=tuple(fault for fault in met if fault.kind is FaultKind.NULL_PRICE),
        sol_usd_factor=sol_usd_factor,
        met=tuple(met),
    )

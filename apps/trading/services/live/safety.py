"""The token safety gate of live buys: what the chain says of the mint, whether prices agree, whether it can be sold.

Fails closed: what nobody answers speaks against the token. Buys of one token share what is looked up, so that a hundred
agents on one signal cost no more than one; each is then judged by its own agent's policy. Evidence goes with the order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import structlog

from apps.chain.errors import NodeError
from apps.chain.pool import NodePool
from apps.core.errors import SoldeskError
from apps.core.http import Lane, ProviderError
from apps.prices.services import fetching
from apps.trading.adapters import jupiter_trials
from apps.trading.adapters.jupiter_trials import Trial
from apps.trading.domain import token_safety as rules
from apps.trading.domain.token_safety import STRICT, MintFacts, NamedPrice, Policy, TriedSale, UnreadableMint
from apps.trading.errors import TokenNotTradable
from apps.trading.models import TokenSafetyPolicy
from apps.trading.services import token_policies
from apps.trading.services.live import trial_bytes
from apps.trading.services.live.building import TryLater
from apps.trading.services.live.driving import Judgement
from apps.trading.services.live.live_order import LiveOrder
from apps.trading.services.live.together import Together

log = structlog.get_logger(__name__)

#: What a mint's bytes say is kept so long. An authority that was given up never comes back, so a token without any
#: stays as it is; where one was allowed by name, half a minute of another fee is what the allowance may cost.
MINT_SECONDS = 30.0
#: A mint that could not be read may be there in the next slot: who asks together hears one answer, who asks again not.
UNREAD_SECONDS = 1.0
#: Prices and tried sales are kept as long as a signal's buys take, no longer: pools are drained within seconds.
MARKET_SECONDS = 4.0
_PRICE_AGE_SECONDS = 30
_PROVIDER_SECONDS = 4.0
_LONGEST_ERROR = 200
#: Codes of who did not answer, against those of who answered with a no.
_UNANSWERED = ("PROVIDER_", "NODE_", "TIMEOUT")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class SafetyVerdict:
    """Whether a token may be bought with real money, the codes against it, and what was looked at, ready for JSON.

    `passing` tells that all that speaks against it is that somebody did not answer: it may be asked again.
    """

    allowed: bool
    codes: tuple[str, ...]
    evidence: dict[str, Any] = field(repr=False)
    passing: bool = False


@dataclass(frozen=True, slots=True)
class _Prices:
    """The fresh prices there are; `unanswered` that a source did not say whether it knows the token."""

    known: tuple[NamedPrice, ...]
    unanswered: bool


@dataclass(slots=True)
class _Kept:
    """What is being looked up or was a moment ago."""

    task: asyncio.Task[Any]
    until: float = float("inf")


class Judging:
    """The gate for one event loop. `policies` reads what agents let pass; it runs in a thread."""

    def __init__(self, pool: NodePool, policies: Callable[[Sequence[UUID]], list[Policy]] | None = None) -> None:
        self._pool = pool
        self._policies = Together("safety", policies or read_policies)
        self._kept: dict[tuple[Any, ...], _Kept] = {}

    async def judge_order(self, order: LiveOrder) -> Judgement:
        """Judge a buy by its agent's policy.

        Raises:
            DatabaseAway: nobody could say what the agent lets pass. TryLater: nobody said anything against the token,
                but not everybody answered.
        """
        policy = await self._policies.ask(order.agent_id)
        verdict = await self.judge(
            order.mint, policy, wallet=order.wallet, lamports=order.in_base_units, slippage_bps=order.slippage_bps
        )
        if verdict.passing:
            raise TryLater(verdict.codes[0], "Not everybody answered who is asked about a token's safety.")
        if not verdict.allowed:
            log.info("token_refused", order_id=str(order.id), mint=order.mint, codes=list(verdict.codes))
        return Judgement("" if verdict.allowed else verdict.codes[0], verdict.evidence)

    async def judge(
        self, mint: str, policy: Policy, *, wallet: str, lamports: int, slippage_bps: int = 1_000
    ) -> SafetyVerdict:
        """Look at a token as `wallet` would buy it with `lamports`, and judge it; what cannot be known is refused."""
        size = 1 << (lamports - 1).bit_length()
        told, prices, sale = await asyncio.gather(
            self._shared(("mint", mint), _mint_seconds, lambda: self._mint(mint)),
            self._shared(("prices", mint), _market_seconds, lambda: _prices(mint)),
            self._shared(
                ("sale", mint, size), _market_seconds, lambda: self._sale(mint, wallet, lamports, slippage_bps)
            ),
        )
        facts, unread = told
        codes = [unread] if facts is None else rules.against_mint(facts, policy)
        codes += rules.against_prices(prices.known, policy)
        codes += rules.against_sale(sale, policy)
        silent = {
            *((rules.CHAIN_UNREADABLE,) if facts is None else ()),
            *((rules.PRICE_UNKNOWN, rules.PRICE_UNCONFIRMED) if prices.unanswered else ()),
            *((rules.SALE_NOT_QUOTED, rules.SALE_NOT_TRIED) if sale.error.startswith(_UNANSWERED) else ()),
        }
        evidence = _evidence(facts, prices.known, sale, codes, policy)
        return SafetyVerdict(not codes, tuple(codes), evidence, bool(codes) and silent.issuperset(codes))

    def close(self) -> None:
        self._policies.close()

    async def _shared(
        self, key: tuple[Any, ...], seconds: Callable[[Any], float], look: Callable[[], Awaitable[Found]]
    ) -> Found:
        """Return what is known under `key`, looked up once for all who ask within `seconds` of the answer."""
        now = time.monotonic()
        for other in [name for name, kept in self._kept.items() if kept.until < now]:
            del self._kept[other]
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = _Kept(asyncio.ensure_future(look()))
            kept.task.add_done_callback(lambda task: self._done(key, task, seconds))
        found: Found = await asyncio.shield(kept.task)
        return found

    def _done(self, key: tuple[Any, ...], task: asyncio.Task[Any], seconds: Callable[[Any], float]) -> None:
        kept = self._kept.get(key)
        if kept is None or kept.task is not task:
            return
        if task.cancelled() or task.exception() is not None:
            del self._kept[key]
        else:
            kept.until = time.monotonic() + seconds(task.result())

    async def _mint(self, mint: str) -> tuple[MintFacts | None, str]:
        """Return what the mint's bytes say, or the code of why they say nothing."""
        try:
            (account,) = await self._pool.accounts([mint], lane=Lane.ENTRY_QUOTE)
        except (NodeError, TimeoutError):
            return None, rules.CHAIN_UNREADABLE
        if account is None:
            return None, rules.NOT_A_MINT
        try:
            return rules.read_mint(account.owner, account.data), ""
        except UnreadableMint:
            return None, rules.NOT_A_MINT

    async def _sale(self, mint: str, wallet: str, lamports: int, slippage_bps: int) -> TriedSale:
        """Have a sale of what would be bought quoted, and tried behind the buy in one transaction."""
        try:
            trial = await jupiter_trials.round_trip(
                mint=mint,
                lamports=lamports,
                taker=wallet,
                slippage_bps=slippage_bps,
                deadline_seconds=_PROVIDER_SECONDS,
            )
        except (TokenNotTradable, ProviderError) as error:
            return TriedSale(lamports, None, None, error.code)
        succeeded, error_text = await self._tried(trial, wallet)
        return TriedSale(lamports, trial.back_lamports, succeeded, error_text)

    async def _tried(self, trial: Trial, wallet: str) -> tuple[bool | None, str]:
        """Return whether a node let buy and sale happen in one transaction; None when it could not be tried."""
        if trial.buy is None or trial.sale is None:
            return None, "NOT_BUILT"
        try:
            tables = await self._pool.lookup_tables(
                sorted(trial_bytes.tables_of(trial.buy, trial.sale)), lane=Lane.ENTRY_QUOTE
            )
            raw = trial_bytes.joined([trial.buy, trial.sale], payer=wallet, tables=tables)
            if raw is None:
                return None, "TOO_LARGE"
            done = await self._pool.simulate(raw, replace_blockhash=True, lane=Lane.ENTRY_QUOTE)
        except (NodeError, TimeoutError) as error:
            return None, getattr(error, "code", "TIMEOUT")
        except (ValueError, IndexError) as error:
            return None, str(error)[:_LONGEST_ERROR]
        return done.err is None, "" if done.err is None else str(done.err)[:_LONGEST_ERROR]


def _mint_seconds(told: tuple[MintFacts | None, str]) -> float:
    return UNREAD_SECONDS if told[0] is None else MINT_SECONDS


def _market_seconds(_: object) -> float:
    return MARKET_SECONDS


def read_policies(agent_ids: Sequence[UUID]) -> list[Policy]:
    """Return what each agent lets pass, in the order asked."""
    rows = TokenSafetyPolicy.objects.filter(agent_id__in=set(agent_ids))
    known = {row.agent_id: token_policies.policy_of(row) for row in rows}
    return [known.get(agent_id, STRICT) for agent_id in agent_ids]


async def _prices(mint: str) -> _Prices:
    """Return the token's fresh price of each source that has one."""
    told = await asyncio.gather(*(_price(source, mint) for source in fetching.sources()))
    return _Prices(tuple(price for price, _ in told if price is not None), any(unanswered for _, unanswered in told))


async def _price(source: Any, mint: str) -> tuple[NamedPrice | None, bool]:
    """Return a source's fresh price, and whether it did not answer at all."""
    try:
        answer = await source.fetch([mint], lane=Lane.ENTRY_QUOTE, deadline_seconds=_PROVIDER_SECONDS)
    except (SoldeskError, TimeoutError):
        return None, True
    point = answer.points.get(mint)
    if point is None or point.age(datetime.now(UTC)).total_seconds() > _PRICE_AGE_SECONDS:
        return None, bool(answer.errors)
    return NamedPrice(point.source, point.price_sol), False


def _evidence(
    facts: MintFacts | None, prices: Sequence[NamedPrice], sale: TriedSale, codes: list[str], policy: Policy
) -> dict[str, Any]:
    """Return what was looked at as JSON holds it; of the policy what is not strict."""
    strict = asdict(STRICT)
    return {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "codes": list(codes),
        "mint": None if facts is None else {name: _plain(value) for name, value in asdict(facts).items()},
        "prices": {price.source: str(price.price_sol) for price in prices},
        "sale": {
            "spentLamports": sale.spent_lamports,
            "backLamports": sale.back_lamports,
            "succeeded": sale.succeeded,
            "error": sale.error,
        },
        "allowed": {name: _plain(value) for name, value in asdict(policy).items() if value != strict[name]},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)

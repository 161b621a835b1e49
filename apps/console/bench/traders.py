"""Users, keys, agents and tokens of the bench's own, so that it never touches anybody's desk."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

import httpx
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import Scope, User
from apps.accounts.services import api_keys
from apps.agents import services as agent_services
from apps.agents.models import Agent, AgentState, TradingMode
from apps.core.money import SOL_MINT
from apps.wallets.models import LedgerReason, Origin, TransactionType, Wallet
from apps.wallets.services import books

_KEYS = 8
_UNLIMITED_POSITIONS = 100_000
FUNDS_SOL = Decimal(1000)
_CHUNK = 250
BENCH_DOMAIN = "bench.soldesk.local"


@dataclass(frozen=True, slots=True)
class Trader:
    """A user of the bench with `agents` funded agents and keys to signal with."""

    user: User
    keys: Sequence[str]
    agent_ids: Sequence[UUID]
    wallet_ids: Sequence[UUID]


def make_trader(agents: int, *, stop_percent: int = -90, live: Sequence[str] = ()) -> Trader:
    """Make a user with `agents` funded agents, each with random sizes of its own and its stop at `stop_percent`.

    Each trades live with a wallet of `live`, if there are any: addresses that hold `FUNDS_SOL` on the chain.
    """
    user = User.objects.create_user(f"{secrets.token_hex(6)}@{BENCH_DOMAIN}", None, is_active=True)
    keys = [
        api_keys.create(user=user, name=f"bench {number}", scopes=[Scope.SIGNALS], actor=None)[1]
        for number in range(_KEYS)
    ]
    made = [
        Agent(
            user=user,
            name=f"Bench {number}",
            trading_config=_config(number, stop_percent),
            trading_mode=TradingMode.LIVE if live else TradingMode.SIMULATION,
            automated_trading_live=bool(live),
        )
        for number in range(agents)
    ]
    wallets = [
        Wallet(
            agent=agent,
            wallet_type=agent.trading_mode,
            address=live[number] if live else f"sim_bench{uuid4().hex}"[:44],
        )
        for number, agent in enumerate(made)
    ]
    for start in range(0, agents, _CHUNK):
        with transaction.atomic():
            part, part_wallets = made[start : start + _CHUNK], wallets[start : start + _CHUNK]
            Agent.objects.bulk_create(part)
            AgentState.objects.bulk_create(
                AgentState(agent=agent, max_open_positions=_UNLIMITED_POSITIONS) for agent in part
            )
            Wallet.objects.bulk_create(part_wallets)
            _fund(part_wallets)
    return Trader(user, keys, [agent.pk for agent in made], [wallet.pk for wallet in wallets])


def _config(number: int, stop_percent: int) -> dict[str, object]:
    span = {"min": 0.1 + number % 5 / 10, "max": 0.6 + number % 7 / 10}
    return {
        "stopLoss": {"defaultPercentage": stop_percent},
        "staleTrade": {"enabled": False},
        "purchaseLimits": {"maxPriceImpact": 0.5},
        "positionCalculator": {"positionSizes": {"small": span, "medium": span, "large": span}},
    }


def _fund(wallets: Sequence[Wallet]) -> None:
    """Deposit to many new wallets at once, through the books; nobody else knows these wallets yet."""
    books.lock_wallets([wallet.pk for wallet in wallets])
    deposits = [
        books.NewTransaction(
            id=uuid4(),
            agent_id=wallet.agent_id,
            wallet_id=wallet.pk,
            epoch=wallet.epoch,
            transaction_type=TransactionType.DEPOSIT,
            transaction_time=timezone.now(),
            origin=Origin.HAND,
            input_mint=SOL_MINT,
            input_symbol="SOL",
            input_amount=FUNDS_SOL,
            input_price=Decimal(1),
        )
        for wallet in wallets
    ]
    books.insert_transactions(deposits)
    books.post(
        [
            books.Posting(item.wallet_id, item.epoch, SOL_MINT, "SOL", FUNDS_SOL, LedgerReason.DEPOSIT, item.id)
            for item in deposits
        ]
    )


def retire(trader: Trader) -> None:
    """Archive the trader's agents, which closes their positions: what the bench made weighs on nobody's desk."""
    for agent in Agent.objects.filter(pk__in=trader.agent_ids):
        agent_services.archive_agent(agent=agent, actor=None)


class Sandbox:
    """The local market as the bench needs it: tokens that stand still, no faults, no other signals."""

    def __init__(self) -> None:
        self._client = httpx.Client(base_url=settings.SANDBOX_URL, timeout=10)

    def quieten(self) -> None:
        """Stop the demo's signals and every fault."""
        self._client.request("DELETE", "/control/faults").raise_for_status()
        self._client.post("/control/signals", json={"enabled": False}).raise_for_status()

    def resume(self) -> None:
        """Let the demo's signals flow again."""
        self._client.post("/control/signals", json={"enabled": True}).raise_for_status()

    def fund(self, addresses: Sequence[str]) -> None:
        """Give each address what the books of its wallet will say, from the chain's faucet."""
        for address in addresses:
            body = {"address": address, "sol": str(FUNDS_SOL)}
            self._client.post("/control/chain/airdrop", json=body).raise_for_status()

    def tokens(self, count: int, **fields: str) -> list[str]:
        """Add `count` tokens whose prices stand still and return their mints; `fields` as in the control API."""
        prefix = f"B{secrets.token_hex(2)}".upper()
        body = {"count": count, "prefix": prefix, "scenario": "still", **fields}
        answer = self._client.post("/control/tokens", json=body)
        answer.raise_for_status()
        return [token["mint"] for token in answer.json()["tokens"]]

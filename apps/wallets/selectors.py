"""Reads of wallets and their books, by the wallets' present epoch: what was before a reset is history."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from uuid import UUID

from django.db.models import F, Q, QuerySet

from apps.accounts.models import User
from apps.agents.errors import NotYourAgent
from apps.agents.models import Agent
from apps.core.errors import NotFound
from apps.wallets.errors import WalletNotFound
from apps.wallets.models import Balance, DifferenceStatus, LiveKey, Transaction, Wallet, WalletDifference


def list_wallets(*, agent: Agent) -> QuerySet[Wallet]:
    """Return the agent's wallets, newest first."""
    return Wallet.objects.filter(agent=agent, released_at=None).order_by("-created_at", "-id")


def get_wallet(*, agent: Agent, address: str) -> Wallet:
    """Return the agent's wallet at `address`.

    Raises:
        WalletNotFound: the agent has no such wallet (now).
    """
    wallet = list_wallets(agent=agent).filter(address=address).first()
    if wallet is None:
        raise WalletNotFound
    return wallet


def get_owned_wallet(*, user: User, address: str) -> Wallet:
    """Return the wallet at `address` of any of the user's agents.

    Raises:
        WalletNotFound: unknown, released, or another user's.
    """
    wallet = (
        Wallet.objects.select_related("agent")
        .filter(address=address, released_at=None, agent__user=user, agent__archived_at=None)
        .first()
    )
    if wallet is None:
        raise WalletNotFound("There is no such wallet.")
    return wallet


def assignable_keys(*, user: User) -> QuerySet[LiveKey]:
    """Return the loaded live keys that `user` may see and assign: staff all, others those they were allowed."""
    loaded = LiveKey.objects.filter(loaded=True).order_by("address")
    return loaded if user.is_staff else loaded.filter(grants__user=user)


def loaded_addresses(addresses: Iterable[str]) -> set[str]:
    """Return those of the addresses whose key the signer has loaded."""
    return set(LiveKey.objects.filter(address__in=list(addresses), loaded=True).values_list("address", flat=True))


def list_balances(*, agent: Agent) -> QuerySet[Balance]:
    """Return what the agent's wallets hold, last changed first; what they hold nothing of is left out."""
    return (
        Balance.objects.select_related("wallet")
        .filter(wallet__agent=agent, wallet__released_at=None)
        .exclude(amount=0, held=0)
        .order_by("-updated_at", "-id")
    )


def get_balance(*, user: User, balance_id: UUID) -> Balance:
    """Return one balance of the user.

    Raises:
        NotFound: BALANCE_NOT_FOUND.
    """
    balance = (
        Balance.objects.select_related("wallet__agent")
        .filter(pk=balance_id, wallet__agent__user=user, wallet__agent__archived_at=None, wallet__released_at=None)
        .first()
    )
    if balance is None:
        raise NotFound("BALANCE_NOT_FOUND", "There is no such balance.")
    return balance


def rows_of(wallets: Iterable[Wallet]) -> Q:
    """Return the condition for rows of the wallets' present epochs, by value: joined, the planner misjudges them."""
    pairs = [Q(wallet_id=wallet.pk, epoch=wallet.epoch) for wallet in wallets]
    return reduce(or_, pairs, Q(pk__in=[]))


def list_unexplained() -> QuerySet[WalletDifference]:
    """Return what the chain holds in live wallets otherwise than their books and nobody has explained, oldest first.

    What only one node says is there once people were told of it.
    """
    told = Q(status=DifferenceStatus.OPEN) | Q(status=DifferenceStatus.SUSPECTED, told_at__isnull=False)
    return WalletDifference.objects.select_related("wallet__agent").filter(told).order_by("first_seen_at", "id")


def list_transactions(*, agent: Agent, wallet_address: str | None = None) -> QuerySet[Transaction]:
    """Return the transactions of the agent's wallets, or of one of them, unordered."""
    wallets = list_wallets(agent=agent)
    if wallet_address is not None:
        wallets = wallets.filter(address=wallet_address)
    return (
        Transaction.objects.prefetch_related("wallet")
        .filter(rows_of(wallets), agent=agent, deleted_at=None)
        .defer("swap_payload")
    )


def get_transaction(*, user: User, transaction_id: UUID) -> Transaction:
    """Return one transaction of the user.

    Raises:
        NotFound: TRANSACTION_NOT_FOUND. NotYourAgent: it is of another user's agent.
    """
    row = (
        Transaction.objects.select_related("wallet", "agent")
        .filter(
            pk=transaction_id,
            epoch=F("wallet__epoch"),
            wallet__released_at=None,
            agent__archived_at=None,
            deleted_at=None,
        )
        .first()
    )
    if row is None:
        raise NotFound("TRANSACTION_NOT_FOUND", "There is no such transaction.")
    if row.agent.user_id != user.pk:
        raise NotYourAgent
    return row

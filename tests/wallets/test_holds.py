"""What an order puts aside in a wallet: neither spent nor free until it is given back."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import transaction

from apps.core.money import SOL_MINT
from apps.wallets.errors import InsufficientBalance
from apps.wallets.models import Balance
from apps.wallets.services import books
from apps.wallets.services.books import Hold
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def wallet():
    wallet = factories.make_wallet(factories.make_agent(), wallet_type="live")
    factories.fund(wallet, "2")
    return wallet


def figures(wallet) -> tuple[Decimal, Decimal]:
    row = Balance.objects.get(wallet=wallet, mint=SOL_MINT)
    return row.amount, row.held


def test_what_is_held_is_not_free_and_comes_back_whole(wallet):
    books.hold([Hold(wallet.pk, SOL_MINT, Decimal("1.5"))])
    assert figures(wallet) == (Decimal("0.5"), Decimal("1.5"))
    books.release([Hold(wallet.pk, SOL_MINT, Decimal("1.5"))])
    assert figures(wallet) == (Decimal(2), Decimal(0))


def test_more_than_is_free_is_not_held_and_nothing_changes(wallet):
    books.hold([Hold(wallet.pk, SOL_MINT, Decimal("1.5"))])
    with pytest.raises(InsufficientBalance), transaction.atomic():
        books.hold([Hold(wallet.pk, SOL_MINT, Decimal("0.500000001"))])
    assert figures(wallet) == (Decimal("0.5"), Decimal("1.5"))


def test_more_than_was_held_is_not_given_back(wallet):
    books.hold([Hold(wallet.pk, SOL_MINT, Decimal(1))])
    with pytest.raises(InsufficientBalance), transaction.atomic():
        books.release([Hold(wallet.pk, SOL_MINT, Decimal("1.000000001"))])
    assert figures(wallet) == (Decimal(1), Decimal(1))

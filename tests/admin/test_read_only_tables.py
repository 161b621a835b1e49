"""What the engine wrote cannot be added to, changed or deleted in the admin, whoever asks."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.accounts.models import AuditEntry
from apps.agents.models import Agent
from apps.core.adminkit.base import ReadOnlyAdmin
from apps.core.models import OutboxMessage
from apps.prices.models import Candle, Tick
from apps.trading.models import BalanceSnapshot, ClosedTrade, ExitIntent, Position, SignalExecution, TradingState
from apps.wallets.models import Balance, LedgerEntry, Transaction, Wallet
from tests.admin.rows import Desk, first

MONEY = {
    AuditEntry,
    Balance,
    BalanceSnapshot,
    Candle,
    ClosedTrade,
    ExitIntent,
    LedgerEntry,
    OutboxMessage,
    Position,
    SignalExecution,
    Tick,
    TradingState,
    Transaction,
    Wallet,
}
READ_ONLY = sorted(
    (model for model, page in admin.site._registry.items() if isinstance(page, ReadOnlyAdmin)),
    key=lambda model: model._meta.label,
)


def _url(model: type[Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def _kept(row: Model) -> list[dict[str, Any]]:
    """Return the row as stored, without when it was last used: an operator's session is used by asking."""
    found = type(row)._default_manager.filter(pk=row.pk).values()
    return [{name: value for name, value in values.items() if name != "last_used_at"} for values in found]


def test_every_table_of_money_and_record_is_read_only() -> None:
    assert set(READ_ONLY) >= MONEY


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model._meta.label)
def test_a_read_only_table_refuses_every_post(model: type[Model], client: Client, desk: Desk) -> None:
    row = first(model)
    before = _kept(row)
    number = model._default_manager.count()
    for url in (_url(model, "add"), _url(model, "change", row.pk), _url(model, "delete", row.pk)):
        assert client.post(url, {"post": "yes"}).status_code == 403, url
    marked = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    assert client.post(_url(model, "changelist"), marked).status_code in (200, 302)
    assert model._default_manager.count() == number
    assert _kept(row) == before


def test_agents_and_users_cannot_be_deleted(client: Client, desk: Desk) -> None:
    for row in (desk.agent, desk.owner):
        assert client.post(_url(type(row), "delete", row.pk), {"post": "yes"}).status_code == 403
    assert Agent.objects.filter(pk=desk.agent.pk).exists()


def test_nobody_but_staff_gets_in(db: None) -> None:
    from tests import factories

    client = Client()
    client.force_login(factories.make_user())
    assert client.get(reverse("admin:index")).status_code == 302


def test_staff_without_permissions_sees_no_table_and_presses_no_button(desk: Desk) -> None:
    from tests import factories

    client = Client()
    client.force_login(factories.make_user(is_staff=True))
    assert client.get(reverse("admin:index")).status_code == 200
    assert client.get(_url(Position, "changelist")).status_code == 403
    assert client.post(_url(Position, "close_position", desk.open_position.pk)).status_code == 403
    assert client.post(reverse("admin:trading_tradingstate_switch_desk"), {"state": "halted"}).status_code == 403
    assert not TradingState.objects.get(agent=None).reason

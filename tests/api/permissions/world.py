"""The things the table is about: one owner with one of everything, another user, staff, and everybody's credentials."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db import connection
from django.utils import timezone

from apps.accounts import tokens
from apps.accounts.models import User
from apps.notify.services import endpoints
from apps.notify.services.endpoints import Wish
from apps.signals import webhook_setup
from apps.signals.domain.mapping import Mapping
from tests import factories
from tests.api.permissions.table import SCOPES
from tests.factories import PASSWORD, mint_of

NEW_PASSWORD = "another-long-passphrase"


@dataclass
class World:
    """Names of the table's paths, headers by caller, and the rows that are the owner's."""

    places: dict[str, str] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    owned: list[Any] = field(default_factory=list)
    refresh_token: str = ""
    email: str = ""

    def path(self, template: str) -> str:
        return template.format(**self.places)

    def secrets(self) -> dict[str, str]:
        """Return what names the owner's things: nobody else is told any of it."""
        return {name: value for name, value in self.places.items() if name not in ("mint", "tradable", "signal")}

    def body(self, method: str, template: str) -> Any:
        """Return what the owner would send: right in every way, so that who asks is all that matters."""
        agent, now = self.places["agent"], timezone.now().isoformat()
        mint = mint_of("a token nobody holds")
        deposit = {
            "agentId": agent,
            "transactionType": "DEPOSIT",
            "transactionValueUsd": "150",
            "transactionTime": now,
            "inputMint": "So11111111111111111111111111111111111111112",
            "inputSymbol": "SOL",
            "inputAmount": "1",
        }
        swap = {
            "agentId": agent,
            "tokenAddress": mint,
            "tokenSymbol": "NEW",
            "amount": "1000",
            "purchasePrice": "0.001",
            "salePrice": "0.002",
            "changePercent": "100",
            "profitLossUsd": "150",
            "profitLossSol": "1",
            "purchaseTime": now,
            "saleTime": now,
        }
        signal = {"tokenAddress": mint, "signalType": "Momentum", "signalStrength": 3}
        bodies: dict[str, Any] = {
            "POST /auth/login": {"email": self.email, "password": PASSWORD},
            "POST /auth/refresh": {"refreshToken": self.refresh_token},
            "POST /auth/password": {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD},
            "POST /auth/totp": {"password": PASSWORD},
            "DELETE /auth/totp": {"password": PASSWORD, "totpCode": "123456"},
            "POST /auth/totp/confirm": {"code": "123456"},
            "POST /auth/totp/recovery-codes": {"totpCode": "123456"},
            "POST /api-keys": {"name": "New key", "scopes": ["agents"]},
            "POST /agents": {"name": "New agent"},
            "PUT /agents/{agent}": {"name": "Renamed"},
            "PUT /agents/{agent}/config": {"config": {"signals": {"minScore": 2}}},
            "PATCH /agents/{agent}/config": {"config": {"signals": {"minScore": 2}}},
            "POST /agent-balances": {"agentId": agent, "tokenAddress": mint, "tokenSymbol": "NEW", "balance": "5"},
            "PUT /agent-balances/{balance}": {"balance": "3"},
            "POST /agent-transactions": deposit,
            "PUT /agent-transactions/{deposit}": {"inputAmount": "20"},
            "POST /agent-historical-swaps": swap,
            "PUT /agent-historical-swaps/{trade}": {"salePrice": "0.003"},
            "POST /trading-signals": signal,
            "PUT /trading-signals/{signal}": {"symbol": "NEW"},
            "POST /wallets/assign": {
                "agentId": self.places["spare"],
                "walletAddress": "sim_another",
                "walletType": "simulation",
            },
            "POST /wallets/{wallet}/reset": {"confirm": True},
            "POST /wallets/{live}/unassign": {"confirm": True},
            "POST /wallets/{live}/check-deposits": {"agentId": agent},
            "POST /wallets/keys": {"name": "Desk", "passphrase": "a passphrase of a test"},
            "POST /wallets/keys/import": {"file": {}},
            "POST /wallets/keys/{key_address}/unlock": {"passphrase": "a passphrase of a test"},
            "POST /wallets/keys/{key_address}/export": {"passphrase": "a passphrase of a test", "totpCode": "000000"},
            "POST /trades/execute": {"agentId": agent, "tokenAddress": self.places["tradable"], "positionSize": 0.5},
            "PUT /trading-state": {"state": "REDUCING"},
            "PUT /trading-state/loss-limits": {"maxDailyLossSol": 2},
            "PUT /agents/{agent}/loss-limits": {"maxExposureSol": "12.5"},
            "PUT /agents/{agent}/token-safety": {"allowFreezeAuthority": True},
            "POST /webhook-endpoints": {"url": "http://127.0.0.1:19999/hook", "events": ["alert"]},
            "PUT /webhook-endpoints/{endpoint}": {"description": "Renamed"},
            "PATCH /webhook-endpoints/{endpoint}": {"description": "Renamed"},
            "POST /webhooks/signals/{token}": {"ticker": "BONKUSDT", "action": "buy"},
        }
        return bodies.get(f"{method} {template}")


def make_world(held: Any, tradable: Any) -> World:
    """Write the world. `held` and `tradable` are tokens of the sandbox: what is sold or bought can really be."""
    world = World()
    owner, other, staff = factories.make_user(), factories.make_user(), factories.make_operator()
    world.email = owner.email
    agent = factories.make_agent(owner, sol=None)
    wallet = factories.wallet_of(agent)
    factories.fund(wallet, "100")
    deposit = factories.fund(wallet, "1")
    spare = factories.make_agent(owner, sol=None)
    live = factories.make_wallet(agent, wallet_type="live")
    token = factories.make_token(held.symbol, mint=held.mint, decimals=held.decimals)
    signal = factories.make_signal(owner, token, status="done")
    position = factories.make_position(agent, token, price=str(held.price_sol), signal=signal)
    trade = factories.close_position(factories.make_position(agent, factories.make_token()), proceeds="1.5")
    given = factories.fund(wallet, "7", mint=mint_of("given"), symbol="GIVEN")
    balance = wallet.balances.get(mint=given.input_mint)
    key, _ = factories.make_api_key(owner)
    session = factories.make_session(owner)
    factories.make_snapshot(wallet)
    webhook, address = factories.make_webhook(
        owner,
        mapping=Mapping(webhook_setup.USUAL.places, {"BONKUSDT": mint_of("BONK")}, webhook_setup.USUAL.strengths, ()),
    )
    endpoint, _ = endpoints.create(
        user=owner, wish=Wish(url="http://127.0.0.1:19999/hook", events=["alert"]), actor=owner
    )
    delivery = endpoints.send_test(endpoint_id=endpoint.pk, actor=owner)
    world.places = {
        "agent": str(agent.pk),
        "spare": str(spare.pk),
        "wallet": wallet.address,
        "key_address": mint_of("a key"),
        "live": live.address,
        "position": str(position.pk),
        "trade": str(trade.pk),
        "deposit": str(deposit.pk),
        "balance": str(balance.pk),
        "signal": str(signal.pk),
        "key": str(key.pk),
        "session": str(session.pk),
        "mint": token.mint,
        "tradable": tradable.mint,
        "token": address,
        "endpoint": str(endpoint.pk),
        "delivery": str(delivery.pk),
    }
    people_and_keys = [owner, key, session, webhook, endpoint, delivery]
    books = [wallet, live, position, trade, deposit, given, balance, signal]
    world.owned = [*people_and_keys, agent, agent.state, *books]
    world.refresh_token = tokens.refresh_token(owner, family=session, generation=0)
    _hand_out(world, owner, other, staff)
    return world


def _hand_out(world: World, owner: User, other: User, staff: User) -> None:
    """Give everybody what they call with."""
    barred, gone = factories.make_user(is_active=False), factories.make_user()
    now = timezone.now()
    of_gone = tokens.access_token(gone, family_id=None, now=now)
    gone.delete()
    session = factories.make_session(owner)
    expired = now - timedelta(hours=1)
    world.headers = {
        "nobody": {},
        "owner": _bearer(tokens.access_token(owner, family_id=None, now=now)),
        "other": _bearer(tokens.access_token(other, family_id=None, now=now)),
        "staff": _bearer(tokens.access_token(staff, family_id=None, now=now)),
        "refresh token": _bearer(tokens.refresh_token(owner, family=session, generation=0)),
        "expired token": _bearer(tokens.access_token(owner, family_id=None, now=expired)),
        "deactivated user": _bearer(tokens.access_token(barred, family_id=None, now=now)),
        "deleted user": _bearer(of_gone),
        "deactivated user's key": _key(barred),
        "expired key": _key(owner, expires_at=expired),
        "other's key": _key(other),
        **{f"key {scope}": _key(owner, scopes=(scope,)) for scope in SCOPES},
        "key as bearer": _bearer(factories.make_api_key(owner)[1]),
    }


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _key(user: User, **fields: Any) -> dict[str, str]:
    return {"x-api-key": factories.make_api_key(user, **fields)[1]}


# Written when a key or session is used, whoever is refused afterwards; and what counts attempts.
_NOTES = ["last_used_at"]


def whole_database() -> str:
    """Return a digest of every row there is: a refused change leaves it as it was."""
    tables = sorted({model._meta.db_table for model in apps.get_models() if model._meta.managed})
    parts = " UNION ALL ".join(
        f"SELECT '{table}:' || count(*) || ':' || coalesce(md5(string_agg(row.text, ',' ORDER BY row.text)), '')"
        f' FROM (SELECT (to_jsonb(t) - %(notes)s::text[])::text AS text FROM "{table}" t) row'
        for table in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT string_agg(line, E'\\n' ORDER BY line) FROM ({parts}) AS all_tables(line)", {"notes": _NOTES}
        )
        return str(cursor.fetchone()[0])


def rows_of_owner(world: World) -> str:
    """Return a digest of the owner's rows: what others may do leaves them as they are."""
    parts = " UNION ALL ".join(
        f'SELECT (to_jsonb(t) - %s::text[])::text FROM "{row._meta.db_table}" t WHERE {row._meta.pk.column} = %s'
        for row in world.owned
    )
    values = [value for row in world.owned for value in (_NOTES, row.pk)]
    with connection.cursor() as cursor:
        cursor.execute(parts, values)
        return hashlib.sha256("\n".join(line for (line,) in cursor.fetchall()).encode()).hexdigest()


__all__ = ["World", "make_world", "rows_of_owner", "whole_database"]

"""A desk with one row of everything, and the price of a page in queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Model
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from apps.accounts.models import IdempotencyKey, RevokedToken, StrangerAttempts, User
from apps.accounts.services import audit
from apps.agents.models import Agent
from apps.core.models import FeedStream, OutboxMessage, OutboxReader
from apps.notify.models import SUBSCRIBABLE, WebhookAttempt
from apps.notify.services import endpoints
from apps.prices.models import Token
from apps.trading.models import Position, Verdict, WatchProgress
from apps.wallets.models import LiveKeyGrant, WalletDifference
from tests import factories


@dataclass
class Desk:
    """What the pages show."""

    operator: User
    owner: User
    agent: Agent
    token: Token
    open_position: Position


def make_desk(operator: User) -> Desk:
    """Write one row of every model (and two positions, one closed)."""
    owner = factories.make_user()
    agent = factories.make_agent(owner)
    wallet = factories.wallet_of(agent)
    token = factories.make_token()
    factories.make_tick(token, "0.00000000006632", price_usd="0.00000001")
    factories.make_candle(token, "0.00000000006632")
    signal = factories.make_signal(owner, token)
    position = factories.make_position(agent, token, signal=signal, price="0.00000000005", network_fee="0.000005")
    factories.make_execution(signal, agent, verdict=Verdict.EXECUTED, position=position)
    factories.make_intent(position)
    factories.make_order(agent, token)
    factories.make_stop_move(position, peak="0.00000000007", percent="30", price="0.000000000065")
    WatchProgress.objects.get_or_create(shards=1, shard=0, defaults={"tick_id": 1})
    factories.make_dead_token(token)
    other = factories.make_token()
    factories.make_tick(other, "0.25")
    closed = factories.make_position(agent, other, price="0.125")
    factories.close_position(closed, proceeds="1.75", reason="take_profit")
    factories.make_execution(
        factories.make_signal(owner, other), agent, verdict=Verdict.FAILED, code="PRICE_IMPACT_TOO_HIGH"
    )
    factories.make_snapshot(wallet)
    factories.set_state("halted", agent=agent, reason="testing")
    factories.make_loss_limit(agent, daily_loss="2", exposure="20", cooldown=60)
    factories.make_token_policy(agent, allow_mint_authority=True)
    factories.make_api_key(owner)
    factories.make_second_factor(owner)  # which ends sessions
    factories.make_session(owner)
    factories.make_admin_session(owner)
    StrangerAttempts.objects.create(email_hash=owner.pk.hex, failed_logins=1, updated_at=timezone.now())
    factories.make_webhook_request(factories.make_webhook(owner)[0], outcome="created", signal=signal)
    LiveKeyGrant.objects.create(key=factories.make_live_key(), user=owner)
    WalletDifference.objects.create(
        wallet=wallet, epoch=1, mint=token.mint, symbol="DUST", status="open", books_amount=0, chain_amount=5, slot=1
    )
    audit.record(
        actor=operator, action="agent.updated", object_type="agent", object_id=agent.pk, before={"a": 1}, after={"a": 2}
    )
    later = timezone.now() + timedelta(hours=1)
    RevokedToken.objects.create(jti=owner.pk, expires_at=later)
    IdempotencyKey.objects.create(user=owner, key=f"key {owner.pk}", fingerprint="0" * 64, locked_until=later)
    FeedStream.objects.create(stream=f"user:{owner.pk}", sequence=1)
    OutboxMessage.objects.create(stream=f"user:{owner.pk}", sequence=1, kind="signal_created", payload={"id": 1})
    OutboxReader.objects.get_or_create(name="tests", defaults={"watermark": 1})
    _make_webhook(owner)
    _make_schedules(f"of {owner.email}")
    return Desk(operator, owner, agent, token, position)


def count_queries(client: Client, url: str) -> int:
    """Return how many queries a page costs, its permission look-ups included."""
    with connection.execute_wrapper(counter := _Counter()):
        answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return counter.count


def first(model: type[Model]) -> Any:
    row = model._default_manager.first()
    assert row is not None, f"the desk has no {model.__name__}"
    return row


class _Counter:
    count = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.count += 1
        return execute(sql, params, many, context)


def _make_webhook(owner: User) -> None:
    wish = endpoints.Wish(url="https://example.com/hooks/secret", events=SUBSCRIBABLE, description="A bot")
    endpoint, _ = endpoints.create(user=owner, wish=wish, actor=owner)
    delivery = endpoints.send_test(endpoint_id=endpoint.pk, actor=owner)
    WebhookAttempt.objects.create(
        delivery=delivery, number=1, at=timezone.now(), status_code=500, error="http_500", duration_ms=12
    )


def _make_schedules(name: str) -> None:
    interval = IntervalSchedule.objects.create(every=10, period="seconds")
    CrontabSchedule.objects.create(minute="5")
    SolarSchedule.objects.get_or_create(event="sunrise", latitude=50, longitude=8)
    ClockedSchedule.objects.create(clocked_time=timezone.now())
    PeriodicTask.objects.create(name=name, task="trading.watch", interval=interval)

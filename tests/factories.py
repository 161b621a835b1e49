"""Rows for tests, with books that balance: every balance is the sum of its ledger entries, every position of its fills.

Plain ORM, so that a test of a service does not lean on another service. Amounts are given as text and kept exact;
`make_` functions fill in what the test does not name. Unique names are counted, nothing is random.
"""

from __future__ import annotations

import hashlib
import itertools
import uuid
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import cache
from typing import Any

from django.contrib.auth.hashers import get_hasher, make_password
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django_otp.oath import totp

from apps.accounts.models import AdminSession, ApiKey, RefreshFamily, SecondFactor, User
from apps.accounts.services import second_factor
from apps.agents.models import Agent, AgentState
from apps.core import base58
from apps.core.money import MONEY, SOL_MINT, divide, quantize_price, quantize_sol
from apps.prices.models import Candle, Tick, Token
from apps.signals import webhook_setup
from apps.signals.domain import mapping_text
from apps.signals.models import SignalWebhook, TradingSignal, WebhookRequest
from apps.trading.models import (
    BalanceSnapshot,
    ClosedTrade,
    CloseReason,
    DeadToken,
    ExitIntent,
    LossLimit,
    Order,
    OrderPurpose,
    OrderSide,
    Position,
    SignalExecution,
    StopMove,
    TokenSafetyPolicy,
    TradingState,
    Verdict,
)
from apps.wallets.models import (
    Balance,
    KeySource,
    LedgerEntry,
    LedgerReason,
    LiveKey,
    Origin,
    Transaction,
    TransactionType,
    Wallet,
)

_counter = itertools.count(1)
PASSWORD = "correct-horse-battery"
KEY_PREFIX_LENGTH = 8


def mint_of(name: str) -> str:
    """Return a well-formed mint address that belongs to `name`."""
    return base58.encode(hashlib.sha256(name.encode()).digest())


def make_user(email: str | None = None, *, password: str = PASSWORD, **fields: Any) -> User:
    address = (email or f"user{next(_counter)}@example.com").lower()
    return User.objects.create(email=address, password=_hashed(password, get_hasher().algorithm), **fields)


@cache
def _hashed(password: str, algorithm: str) -> str:
    """Return the password's hash, worked out once per hasher in force: a good hash is slow on purpose."""
    return make_password(password, hasher=algorithm)


def make_operator(email: str | None = None, *, password: str = PASSWORD) -> User:
    """Return a user who may do everything in the admin."""
    return make_user(email, password=password, is_staff=True, is_superuser=True)


def make_api_key(user: User, *, scopes: tuple[str, ...] = ("full_access",), **fields: Any) -> tuple[ApiKey, str]:
    """Return a key and its secret, in the form of real ones."""
    secret = f"nex_{uuid.uuid4().hex}"
    key = ApiKey.objects.create(
        user=user,
        name=fields.pop("name", f"Key {next(_counter)}"),
        key_hash=hashlib.sha256(secret.encode()).hexdigest(),
        prefix=secret[:KEY_PREFIX_LENGTH],
        scopes=list(scopes),
        **fields,
    )
    return key, secret


def make_session(user: User, **fields: Any) -> RefreshFamily:
    fields.setdefault("expires_at", timezone.now() + timedelta(days=1))
    return RefreshFamily.objects.create(user=user, **fields)


def make_admin_session(user: User, **fields: Any) -> AdminSession:
    """Return a session of the admin that no browser holds."""
    fields = {"expires_at": timezone.now() + timedelta(days=1), "created_at": timezone.now(), **fields}
    return AdminSession.objects.create(pk=uuid.uuid4(), user=user, session_data="", **fields)


def make_second_factor(user: User) -> list[str]:
    """Turn the user's second factor on and return the recovery codes; the app's present code is still good."""
    second_factor.begin(user=user)
    codes = second_factor.confirm(user=user, code=totp_code(user), keep=None)
    SecondFactor.objects.filter(user=user).update(last_t=-1, drift=0)
    return codes


def totp_code(user: User, *, steps: int = 0) -> str:
    """Return what the user's authenticator app shows, `steps` half minutes from now."""
    device = SecondFactor.objects.filter(user=user).order_by("-pk")[0]
    return f"{totp(device.bin_key, drift=steps):06d}"


@transaction.atomic
def make_agent(
    user: User | None = None,
    *,
    name: str | None = None,
    sol: str | None = "10",
    config: dict[str, Any] | None = None,
    max_open_positions: int = 25,
    **fields: Any,
) -> Agent:
    """Return an agent with its state and a simulation wallet that holds `sol` (None: no deposit)."""
    agent = Agent.objects.create(
        user=user or make_user(), name=name or f"Agent {next(_counter)}", trading_config=config, **fields
    )
    AgentState.objects.create(agent=agent, max_open_positions=max_open_positions)
    wallet = make_wallet(agent)
    if sol is not None:
        fund(wallet, sol)
    return agent


def make_wallet(agent: Agent, *, wallet_type: str = "simulation", address: str | None = None) -> Wallet:
    return Wallet.objects.create(
        agent=agent, wallet_type=wallet_type, address=address or mint_of(f"wallet {next(_counter)}")
    )


def make_live_key(*, address: str | None = None, loaded: bool = True, **fields: Any) -> LiveKey:
    """Return a key as the signer reports it; nothing of the key itself exists here."""
    fields.setdefault("loaded_at", timezone.now() if loaded else None)
    fields.setdefault("source", KeySource.ENV)
    number = next(_counter)
    return LiveKey.objects.create(
        address=address or mint_of(f"live key {number}"), name=f"WALLET_{number}", loaded=loaded, **fields
    )


def wallet_of(agent: Agent, wallet_type: str = "simulation") -> Wallet:
    return Wallet.objects.get(agent=agent, wallet_type=wallet_type, released_at=None)


@transaction.atomic
def fund(
    wallet: Wallet, amount: str, *, mint: str = SOL_MINT, symbol: str = "SOL", at: datetime | None = None
) -> Transaction:
    """Deposit whole tokens, with transaction, ledger entry and balance."""
    deposit = Transaction.objects.create(
        agent_id=wallet.agent_id,
        wallet=wallet,
        epoch=wallet.epoch,
        transaction_type=TransactionType.DEPOSIT,
        origin=Origin.HAND,
        transaction_time=at or timezone.now(),
        input_mint=mint,
        input_symbol=symbol,
        input_amount=Decimal(amount),
        input_price=Decimal(1) if mint == SOL_MINT else None,
    )
    _post(wallet, mint, symbol, Decimal(amount), LedgerReason.DEPOSIT, deposit)
    return deposit


def make_token(symbol: str | None = None, *, mint: str | None = None, decimals: int = 6, name: str = "") -> Token:
    symbol = symbol or f"TKN{next(_counter)}"
    token, _ = Token.objects.get_or_create(
        mint=mint or mint_of(symbol), defaults={"symbol": symbol, "name": name or symbol, "decimals": decimals}
    )
    return token


def make_tick(
    token: Token, price_sol: str, *, source: str = "jupiter", at: datetime | None = None, price_usd: str | None = None
) -> Tick:
    received = at or timezone.now()
    return Tick.objects.create(
        mint=token.mint,
        price_sol=Decimal(price_sol),
        price_usd=None if price_usd is None else Decimal(price_usd),
        source=source,
        provider_at=received,
        received_at=received,
    )


def make_candle(token: Token, price_sol: str, *, interval: str = "1m", at: datetime | None = None) -> Candle:
    price = Decimal(price_sol)
    opened = (at or timezone.now()).replace(second=0, microsecond=0)
    return Candle.objects.create(
        mint=token.mint,
        interval=interval,
        opened_at=opened,
        open_sol=price,
        high_sol=price,
        low_sol=price,
        close_sol=price,
        ticks=1,
        last_tick=1,
    )


def make_signal(user: User, token: Token, **fields: Any) -> TradingSignal:
    values = {"signal_type": "Momentum", "signal_strength": 3, "source": "tests", "symbol": token.symbol, **fields}
    return TradingSignal.objects.create(user=user, token_address=token.mint, **values)


def make_webhook(user: User, *, token: str | None = None, **fields: Any) -> tuple[SignalWebhook, str]:
    """Return a webhook of signals, with the usual mapping, and its token."""
    token = token or f"{webhook_setup.TOKEN_PREFIX}{uuid.uuid4().hex}"
    mapping = fields.pop("mapping", webhook_setup.USUAL)
    webhook = SignalWebhook.objects.create(
        user=user,
        name=fields.pop("name", f"Webhook {next(_counter)}"),
        token_hash=webhook_setup.digest(token),
        prefix=token[:KEY_PREFIX_LENGTH],
        mapping=mapping_text.as_json(mapping),
        **fields,
    )
    return webhook, token


def make_webhook_request(webhook: SignalWebhook, *, outcome: str = "ignored", **fields: Any) -> WebhookRequest:
    values = {"address": "52.89.214.238", "payload": '{"ticker": "BONKUSDT"}', "payload_bytes": 22, **fields}
    return WebhookRequest.objects.create(webhook=webhook, outcome=outcome, **values)


def make_execution(
    signal: TradingSignal, agent: Agent, *, verdict: str = Verdict.SKIPPED, code: str = "", **fields: Any
) -> SignalExecution:
    position = fields.get("position")
    if position is not None:
        fields.setdefault("transaction_id", position.purchase_transaction_id)
        fields.setdefault("executed_at", position.opened_at)
    fields.setdefault("reasons", [code] if code else [])
    fields.setdefault("inputs", {"size_sol": "1"})
    return SignalExecution.objects.create(signal=signal, agent=agent, verdict=verdict, code=code, **fields)


@transaction.atomic
def make_position(
    agent: Agent,
    token: Token,
    *,
    invested: str = "1",
    price: str = "0.001",
    network_fee: str = "0",
    signal: TradingSignal | None = None,
    wallet: Wallet | None = None,
    opened_at: datetime | None = None,
    **fields: Any,
) -> Position:
    """Open a position: `invested` SOL (fees included) buy tokens at `price` SOL each; books and counters move along.

    `price` should divide what is invested to 18 places, or the amount is cut there.
    """
    wallet = wallet or wallet_of(agent)
    at = opened_at or timezone.now()
    fee = Decimal(network_fee)
    spent = Decimal(invested) - fee
    amount = divide(spent, Decimal(price)).quantize(Decimal(1).scaleb(-18), context=MONEY)
    position_id = uuid.uuid4()
    buy = Transaction.objects.create(
        agent=agent,
        wallet=wallet,
        epoch=wallet.epoch,
        transaction_type=TransactionType.SWAP,
        position_id=position_id,
        signal=signal,
        transaction_time=at,
        input_mint=SOL_MINT,
        input_symbol="SOL",
        input_amount=spent,
        input_price=Decimal(1),
        output_mint=token.mint,
        output_symbol=token.symbol,
        output_amount=amount,
        output_price=Decimal(price),
        network_fee_sol=fee,
        protocol_fee_sol=Decimal(0),
    )
    _post(wallet, SOL_MINT, "SOL", -spent, LedgerReason.SWAP, buy)
    if fee:
        _post(wallet, SOL_MINT, "SOL", -fee, LedgerReason.NETWORK_FEE, buy)
    _post(wallet, token.mint, token.symbol, amount, LedgerReason.SWAP, buy)
    average = quantize_price(divide(Decimal(invested), amount))
    AgentState.objects.filter(agent=agent).update(open_positions=F("open_positions") + 1)
    values: dict[str, Any] = {
        "purchase_price": average,
        "peak_price_sol": average,
        "stop_percent": Decimal(-32),
        "stop_price_sol": quantize_price(MONEY.multiply(average, Decimal("0.68"))),
        **fields,
    }
    return Position.objects.create(
        id=position_id,
        agent=agent,
        wallet=wallet,
        epoch=wallet.epoch,
        mint=token.mint,
        symbol=token.symbol,
        decimals=token.decimals,
        signal=signal,
        purchase_transaction=buy,
        purchase_amount=amount,
        remaining_amount=amount,
        total_invested_sol=Decimal(invested),
        remaining_cost_sol=Decimal(invested),
        opened_at=at,
        **values,
    )


@transaction.atomic
def take_profit(
    position: Position, *, tokens: str, proceeds: str, at: datetime | None = None, levels: int = 1
) -> Transaction:
    """Sell `tokens` of a position for `proceeds` SOL (after fees); its cost shrinks by the sold share."""
    at = at or timezone.now()
    sold, got = Decimal(tokens), Decimal(proceeds)
    sale = Transaction.objects.create(
        agent_id=position.agent_id,
        wallet=position.wallet,
        epoch=position.epoch,
        transaction_type=TransactionType.SWAP,
        position=position,
        signal_id=position.signal_id,
        transaction_time=at,
        input_mint=position.mint,
        input_symbol=position.symbol,
        input_amount=sold,
        input_price=quantize_price(divide(got, sold)),
        output_mint=SOL_MINT,
        output_symbol="SOL",
        output_amount=got,
        output_price=Decimal(1),
        network_fee_sol=Decimal(0),
        protocol_fee_sol=Decimal(0),
        is_take_profit=True,
    )
    _post(position.wallet, position.mint, position.symbol, sold.copy_negate(), LedgerReason.SWAP, sale)
    _post(position.wallet, SOL_MINT, "SOL", got, LedgerReason.SWAP, sale)
    share = MONEY.multiply(position.remaining_cost_sol, sold)
    cost = divide(share, position.remaining_amount).quantize(Decimal("1e-9"), rounding=ROUND_DOWN, context=MONEY)
    position.remaining_amount -= sold
    position.remaining_cost_sol -= cost
    position.proceeds_sol += got
    position.realized_profit_sol += got - cost
    position.generation += 1
    position.take_profit_levels_hit += levels
    position.last_take_profit_at = at
    position.save()
    return sale


@transaction.atomic
def add_to(position: Position, *, invested: str, price: str, at: datetime | None = None) -> Transaction:
    """Buy more of a token for `invested` SOL at `price`, as a DCA does: average, peak and stop start over."""
    at = at or timezone.now()
    spent = Decimal(invested)
    amount = divide(spent, Decimal(price)).quantize(Decimal(1).scaleb(-18), context=MONEY)
    buy = Transaction.objects.create(
        agent_id=position.agent_id,
        wallet=position.wallet,
        epoch=position.epoch,
        transaction_type=TransactionType.SWAP,
        position=position,
        signal_id=position.signal_id,
        transaction_time=at,
        input_mint=SOL_MINT,
        input_symbol="SOL",
        input_amount=spent,
        input_price=Decimal(1),
        output_mint=position.mint,
        output_symbol=position.symbol,
        output_amount=amount,
        output_price=Decimal(price),
        network_fee_sol=Decimal(0),
        protocol_fee_sol=Decimal(0),
        is_dca=True,
    )
    _post(position.wallet, SOL_MINT, "SOL", -spent, LedgerReason.SWAP, buy)
    _post(position.wallet, position.mint, position.symbol, amount, LedgerReason.SWAP, buy)
    position.purchase_amount += amount
    position.remaining_amount += amount
    position.total_invested_sol += spent
    position.remaining_cost_sol += spent
    position.purchase_price = quantize_price(divide(position.total_invested_sol, position.purchase_amount))
    position.peak_price_sol = Decimal(price)
    position.stop_percent = Decimal(-32)
    position.stop_price_sol = quantize_price(MONEY.multiply(position.purchase_price, Decimal("0.68")))
    position.generation += 1
    position.peak_generation = position.generation
    position.dca_count += 1
    position.last_dca_at = at
    position.save()
    return buy


@transaction.atomic
def close_position(
    position: Position,
    *,
    proceeds: str,
    reason: str = CloseReason.MANUAL,
    at: datetime | None = None,
    sol_usd: str | None = "150",
) -> ClosedTrade:
    """Sell everything left for `proceeds` SOL (after fees), close the position and write its closed trade."""
    at = at or timezone.now()
    wallet, got, sold = position.wallet, Decimal(proceeds), position.remaining_amount
    sale = Transaction.objects.create(
        agent_id=position.agent_id,
        wallet=wallet,
        epoch=position.epoch,
        transaction_type=TransactionType.SWAP,
        position=position,
        signal_id=position.signal_id,
        transaction_time=at,
        input_mint=position.mint,
        input_symbol=position.symbol,
        input_amount=sold,
        input_price=quantize_price(divide(got, sold)),
        output_mint=SOL_MINT,
        output_symbol="SOL",
        output_amount=got,
        output_price=Decimal(1),
        network_fee_sol=Decimal(0),
        protocol_fee_sol=Decimal(0),
    )
    _post(wallet, position.mint, position.symbol, sold.copy_negate(), LedgerReason.SWAP, sale)
    _post(wallet, SOL_MINT, "SOL", got, LedgerReason.SWAP, sale)
    position.proceeds_sol += got
    position.realized_profit_sol += got - position.remaining_cost_sol
    position.remaining_amount = position.remaining_cost_sol = Decimal(0)
    position.generation += 1
    position.closed_at, position.close_reason = at, reason
    position.save()
    AgentState.objects.filter(agent_id=position.agent_id).update(open_positions=F("open_positions") - 1)
    profit = position.realized_profit_sol
    return ClosedTrade.objects.create(
        agent_id=position.agent_id,
        wallet=wallet,
        epoch=position.epoch,
        position=position,
        mint=position.mint,
        symbol=position.symbol,
        amount=position.purchase_amount,
        purchase_price=position.purchase_price,
        sale_price=quantize_price(divide(position.proceeds_sol, position.purchase_amount)),
        change_percent=divide(profit * 100, position.total_invested_sol).quantize(Decimal("1e-8"), context=MONEY),
        profit_sol=quantize_sol(profit),
        profit_usd=None if sol_usd is None else MONEY.multiply(profit, Decimal(sol_usd)),
        purchase_time=position.opened_at,
        sale_time=at,
        purchase_transaction_id=position.purchase_transaction_id,
        sale_transaction=sale,
        signal_id=position.signal_id,
        close_reason=reason,
    )


def make_intent(position: Position, *, reason: str = CloseReason.STOP_LOSS, **fields: Any) -> ExitIntent:
    fields.setdefault("generation", position.generation)
    return ExitIntent.objects.create(position=position, reason=reason, **fields)


def make_order(agent: Agent, token: Token, **fields: Any) -> Order:
    """Write an order as the engine reserves it; a live wallet of the agent is made where there is none."""
    wallet = Wallet.objects.filter(agent=agent, wallet_type="live", released_at=None).first()
    wallet = wallet or make_wallet(agent, wallet_type="live")
    defaults: dict[str, Any] = {
        "side": OrderSide.BUY,
        "purpose": OrderPurpose.MANUAL,
        "in_base_units": 100_000_000,
        "slippage_bps": 100,
        "fee_cap_lamports": 5_000_000,
        "held_mint": SOL_MINT,
        "held_amount": 0,
    }
    return Order.objects.create(
        agent=agent,
        wallet=wallet,
        epoch=wallet.epoch,
        mint=token.mint,
        symbol=token.symbol,
        decimals=token.decimals,
        **{**defaults, **fields},
    )


def make_stop_move(position: Position, *, peak: str, percent: str, price: str, **fields: Any) -> StopMove:
    """Write a rise of the stop as the watch does; the position's own columns are left to the test."""
    fields.setdefault("source", "jupiter")
    fields.setdefault("created_at", timezone.now())
    fields.setdefault("price_at", fields["created_at"])
    return StopMove.objects.create(
        position=position,
        peak_price_sol=Decimal(peak),
        stop_percent=Decimal(percent),
        stop_price_sol=Decimal(price),
        **fields,
    )


def make_dead_token(token: Token, *, checks: int = 3, seconds: float = 120, **fields: Any) -> DeadToken:
    """Write evidence of `checks` checks, the first `seconds` ago, the last now."""
    now = timezone.now()
    values = {
        "symbol": token.symbol,
        "asked_at": now,
        "first_seen_at": now - timedelta(seconds=seconds) if checks else None,
        "last_seen_at": now if checks else None,
        "checks": checks,
        "last_code": "TOKEN_NOT_TRADABLE" if checks else "",
        **fields,
    }
    return DeadToken.objects.create(mint=token.mint, **values)


def make_snapshot(wallet: Wallet, *, portfolio: str = "10", hour: datetime | None = None) -> BalanceSnapshot:
    hour = (hour or timezone.now()).replace(minute=0, second=0, microsecond=0)
    return BalanceSnapshot.objects.create(
        wallet=wallet,
        agent_id=wallet.agent_id,
        epoch=wallet.epoch,
        hour=hour,
        portfolio_sol=Decimal(portfolio),
        sol_balance=Decimal(portfolio),
        positions_value_sol=Decimal(0),
        unrealized_profit_sol=Decimal(0),
    )


def set_state(state: str, *, agent: Agent | None = None, exits_enabled: bool = True, reason: str = "") -> TradingState:
    row, _ = TradingState.objects.update_or_create(
        agent=agent, defaults={"state": state, "exits_enabled": exits_enabled, "reason": reason}
    )
    return row


def make_loss_limit(
    agent: Agent | None = None,
    *,
    trading_mode: str = "simulation",
    daily_loss: str | None = None,
    exposure: str | None = None,
    cooldown: int | None = None,
) -> LossLimit:
    """Bound an agent, or the desk without one; figures in SOL and seconds."""
    return LossLimit.objects.create(
        agent=agent,
        trading_mode=trading_mode,
        max_daily_loss_sol=None if daily_loss is None else Decimal(daily_loss),
        max_exposure_sol=None if exposure is None else Decimal(exposure),
        cooldown_seconds=cooldown,
    )


def make_token_policy(agent: Agent, **allowed: Any) -> TokenSafetyPolicy:
    return TokenSafetyPolicy.objects.create(agent=agent, **allowed)


def _post(wallet: Wallet, mint: str, symbol: str, delta: Decimal, reason: str, cause: Transaction) -> None:
    LedgerEntry.objects.create(
        wallet=wallet, epoch=wallet.epoch, mint=mint, delta=delta, reason=reason, transaction=cause
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO balance (id, wallet_id, mint, symbol, amount, held, updated_at)"
            " VALUES (gen_random_uuid(), %s, %s, %s, 0, 0, now()) ON CONFLICT (wallet_id, mint) DO NOTHING",
            [wallet.pk, mint, symbol],
        )
    Balance.objects.filter(wallet=wallet, mint=mint).update(amount=F("amount") + delta, updated_at=timezone.now())

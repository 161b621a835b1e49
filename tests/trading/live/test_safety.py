"""The token safety gate on the sandbox's mints, prices, quotes and nodes: what passes, and that it asks once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from solders.keypair import Keypair

from apps.chain import nodes
from apps.core import http
from apps.trading.domain import token_safety as rules
from apps.trading.domain.token_safety import STRICT, Policy
from apps.trading.models import Order
from apps.trading.services.live import safety
from apps.trading.services.live.driving import Judgement
from apps.trading.services.live.live_order import LiveOrder
from apps.trading.services.live.safety import Judging, SafetyVerdict, read_policies
from tests import factories
from tests.trading.live.orders_world import Desk, becomes, driving, live_wallet, reserve_buy


def judged(desk: Desk, token: Any, policy: Policy = STRICT, *, times: int = 1, sol: int = 2) -> list[SafetyVerdict]:
    """Judge a buy of a token by a wallet with `sol` SOL, several at once."""
    wallet = Keypair().pubkey()
    desk.market.airdrop(wallet, sol * 10**9)

    async def ask() -> list[SafetyVerdict]:
        judging = Judging(nodes.pool(), lambda agents: [policy] * len(agents))
        try:
            looks = [judging.judge(token.mint, policy, wallet=str(wallet), lamports=10**8) for _ in range(times)]
            return await asyncio.gather(*looks)
        finally:
            judging.close()
            await nodes.close_pool()
            await http.close_async_clients()

    return asyncio.run(ask())


def test_a_harmless_token_passes_with_its_evidence(desk: Desk) -> None:
    (verdict,) = judged(desk, desk.token())
    assert verdict.codes == (), verdict.evidence
    assert verdict.evidence["sale"]["succeeded"] is True, verdict.evidence
    assert set(verdict.evidence["prices"]) == {"jupiter", "dexscreener"}
    assert verdict.evidence["mint"]["mint_authority"] is None
    assert 0 < verdict.evidence["sale"]["backLamports"] < 10**8


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"mint_authority": True}, rules.MINT_AUTHORITY),
        ({"freeze_authority": True}, rules.FREEZE_AUTHORITY),
        ({"extensions": ["permanent_delegate"]}, rules.PERMANENT_DELEGATE),
        ({"extensions": ["transfer_hook"]}, rules.TRANSFER_HOOK),
        ({"extensions": ["transfer_fee"]}, rules.TRANSFER_FEE),
        ({"extensions": ["mint_close_authority"]}, rules.MINT_CLOSE_AUTHORITY),
        ({"extensions": ["default_frozen"]}, rules.DEFAULT_FROZEN),
        ({"extensions": ["non_transferable"]}, rules.NON_TRANSFERABLE),
    ],
)
def test_a_dangerous_token_is_refused(desk: Desk, options: dict[str, Any], code: str) -> None:
    (verdict,) = judged(desk, desk.token(**options))
    assert not verdict.allowed
    assert code in verdict.codes


def test_a_token_that_cannot_be_sold_is_refused_whatever_is_allowed(desk: Desk) -> None:
    allowed = Policy(allow_freeze_authority=True, allow_unsold_sale=True, max_transfer_fee_bps=500)
    (verdict,) = judged(desk, desk.token(extensions=["default_frozen"]), allowed)
    assert rules.SALE_FAILED in verdict.codes, verdict.evidence


def test_what_nobody_answers_is_refused(desk: Desk, settings) -> None:
    token = desk.token()
    desk.market.fault("server_error", times=500)
    (verdict,) = judged(desk, token)
    assert {rules.CHAIN_UNREADABLE, rules.SALE_NOT_TRIED} <= set(verdict.codes)
    assert verdict.passing and not verdict.allowed
    desk.market.calm()
    (verdict,) = judged(desk, type(token)(str(Keypair().pubkey()), "NONE", 6, token.price_sol))
    assert verdict.codes == (rules.NOT_A_MINT, rules.PRICE_UNKNOWN, rules.SALE_NOT_QUOTED)
    assert not verdict.passing


def test_buys_of_one_token_share_what_is_looked_up(desk: Desk) -> None:
    token = desk.token()
    verdicts = judged(desk, token, times=20)
    assert [verdict.codes for verdict in verdicts] == [()] * 20
    assert all(verdict.evidence["sale"] is not None for verdict in verdicts)
    assert len({str(verdict.evidence["prices"]) for verdict in verdicts}) == 1


def test_a_mint_that_could_not_be_read_is_read_again_by_who_asks_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safety, "UNREAD_SECONDS", 0.0)
    monkeypatch.setattr(safety, "MARKET_SECONDS", 0.0)
    token, wallet = desk.token(), Keypair().pubkey()
    desk.market.airdrop(wallet, 2 * 10**9)

    async def ask() -> list[tuple[str, ...]]:
        judging = Judging(nodes.pool(), lambda agents: [STRICT] * len(agents))
        try:
            desk.market.fault("server_error", times=500)
            first = await judging.judge(token.mint, STRICT, wallet=str(wallet), lamports=10**8)
            desk.market.calm()
            second = await judging.judge(token.mint, STRICT, wallet=str(wallet), lamports=10**8)
            return [first.codes, second.codes]
        finally:
            judging.close()
            await nodes.close_pool()
            await http.close_async_clients()

    first, second = asyncio.run(ask())
    assert rules.CHAIN_UNREADABLE in first
    assert rules.CHAIN_UNREADABLE not in second and rules.NOT_A_MINT not in second


def test_each_agent_is_judged_by_its_own_policy(desk: Desk) -> None:
    strict, lenient = factories.make_agent(), factories.make_agent()
    factories.make_token_policy(lenient, allow_mint_authority=True, max_price_gap_percent=7)
    policies = read_policies([lenient.pk, strict.pk, lenient.pk])
    assert [policy.allow_mint_authority for policy in policies] == [True, False, True]
    assert policies[1] == STRICT


def test_a_refused_buy_ends_unsigned_with_its_evidence_and_its_funds_back(desk: Desk) -> None:
    agent, token = desk.agent(), desk.token(freeze_authority=True)
    judging: list[Judging] = []

    async def judge(asked: LiveOrder) -> Judgement:
        if not judging:
            judging.append(Judging(nodes.pool()))
        return await judging[0].judge_order(asked)

    with driving(desk, judge=judge):
        order = becomes(reserve_buy(agent, token), "failed")
    judging[0].close()
    assert order.code == rules.FREEZE_AUTHORITY
    assert order.evidence["codes"] == [rules.FREEZE_AUTHORITY]
    assert desk.signer.signed == []
    held = live_wallet(agent).balances.get(symbol="SOL")
    assert [held.amount, held.held] == [Decimal(5), Decimal(0)]
    assert Order.objects.get(pk=order.pk).signature is None

"""Evidence that a token is dead: what counts, how often, over how long, and what ends it, against the sandbox."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.core.models import OutboxMessage
from apps.prices.domain.points import SolUsd
from apps.prices.services import FetchResult
from apps.trading.domain import dead_tokens as rules
from apps.trading.domain.dead_tokens import Evidence, Rule
from apps.trading.errors import TokenNotTradable
from apps.trading.models import DeadToken, Position
from apps.trading.services import dead_tokens, retention
from apps.trading.services.dead_tokens import Finding
from tests import factories
from tests.sandbox_server import SandboxControl, SandboxToken
from tests.trading import closing

pytestmark = pytest.mark.django_db(transaction=True)

NOON = timezone.now().replace(hour=12, minute=0)


def held(market: SandboxControl, number: int = 1) -> list[tuple[SandboxToken, Position]]:
    """Return tokens and the positions one agent has held in them for five minutes."""
    agent = factories.make_agent(sol="100")
    opened_at = timezone.now() - timedelta(minutes=5)
    return [(token, closing.hold(agent, token, opened_at=opened_at)) for token in market.add_tokens(number)]


def delist(market: SandboxControl, *tokens: SandboxToken) -> list[int]:
    return market.fault("all", "delisted", mints=[token.mint for token in tokens])


def dead(market: SandboxControl) -> SandboxToken:
    ((token, _),) = held(market)
    delist(market, token)
    return token


def check_again(seconds: float = 30) -> list[Finding]:
    """Let the time between two checks pass, and check."""
    by = timedelta(seconds=seconds)
    for row in DeadToken.objects.all():
        row.asked_at -= by
        row.first_seen_at = None if row.first_seen_at is None else row.first_seen_at - by
        row.last_seen_at = None if row.last_seen_at is None else row.last_seen_at - by
        row.save()
    return [found.finding for found in dead_tokens.check()]


def alerts() -> list[tuple[str, str]]:
    return [(row.payload["code"], row.payload["mint"]) for row in OutboxMessage.objects.filter(kind="alert")]


def evidence_of(token: SandboxToken) -> tuple[int, str]:
    row = DeadToken.objects.get(mint=token.mint)
    return row.checks, row.last_code


def test_no_price_anywhere_and_a_refused_sale_is_evidence(market):
    token = dead(market)
    assert [found.finding for found in dead_tokens.check()] == [Finding.DEAD]
    assert evidence_of(token) == (1, "TOKEN_NOT_TRADABLE")
    row = DeadToken.objects.get()
    assert row.first_seen_at == row.last_seen_at == row.asked_at and row.cleared_at is None


def test_the_provider_refuses_a_dead_token_as_the_real_one_does(market):
    token = dead(market)
    answer = market.get(
        "/jupiter/swap/v2/order", inputMint=token.mint, outputMint=dead_tokens.SOL_MINT, amount=1_000_000
    )
    assert answer.status_code == 400 and answer.json()["errorCode"] == "TOKEN_NOT_TRADABLE"
    assert market.get("/jupiter/price/v3", ids=token.mint).json() == {}
    assert market.get(f"/dexscreener/tokens/v1/solana/{token.mint}").json() == []


def test_checks_of_a_token_are_at_least_thirty_seconds_apart(market):
    token = dead(market)
    assert len(dead_tokens.check()) == 1
    assert dead_tokens.check() == []
    assert check_again(29) == []
    assert check_again(1) == [Finding.DEAD]
    assert evidence_of(token)[0] == 2
    row = DeadToken.objects.get()
    assert timedelta(seconds=30) <= row.last_seen_at - row.first_seen_at < timedelta(seconds=40)


@pytest.mark.parametrize(
    ("source", "kind", "options"),
    [
        ("jupiter_price", "server_error", {}),
        ("jupiter_price", "rate_limit", {}),
        ("jupiter_price", "unauthorized", {}),
        ("jupiter_price", "disconnect", {}),
        ("dexscreener", "server_error", {}),
        ("dexscreener", "rate_limit", {}),
        ("dexscreener", "hang", {}),
        ("jupiter_quote", "server_error", {"status": 500}),
        ("jupiter_quote", "rate_limit", {}),
        ("jupiter_quote", "unauthorized", {}),
        ("jupiter_quote", "hang", {}),
        ("jupiter_quote", "disconnect", {}),
    ],
)
def test_a_failed_call_is_no_evidence_and_says_nothing_against_it(market, monkeypatch, source, kind, options):
    token = dead(market)
    dead_tokens.check()
    monkeypatch.setattr(dead_tokens, "PRICE_SECONDS", 1.0)
    monkeypatch.setattr(dead_tokens, "QUOTE_SECONDS", 0.5)
    market.fault(source, kind, **options)
    assert check_again() == [Finding.UNKNOWN]
    row = DeadToken.objects.get(mint=token.mint)
    assert (row.checks, row.cleared_at) == (1, None)
    assert row.last_code.startswith("PROVIDER_") or row.last_code == "CONTROL_QUOTE_FAILED"


def test_a_price_feed_without_sol_itself_knows_nothing(market):
    token = dead(market)
    market.fault("jupiter_price", "missing_price", mints=[dead_tokens.SOL_MINT])
    assert [found.finding for found in dead_tokens.check()] == [Finding.UNKNOWN]
    assert evidence_of(token) == (0, "SOL_PRICE_MISSING")


def test_a_poll_that_took_all_its_time_may_have_asked_one_source_only():
    sol_usd = SolUsd(Decimal(150), NOON, "jupiter")
    assert dead_tokens._failure(FetchResult(sol_usd=sol_usd, took_seconds=4.4)) is None
    assert dead_tokens._failure(FetchResult(sol_usd=sol_usd, took_seconds=4.6)) == "PRICES_TOO_SLOW"


def test_refusals_of_everything_are_the_providers_trouble(market):
    token = dead(market)
    market.clear_faults("jupiter_quote")
    market.fault("jupiter_quote", "delisted")
    usdc = dead_tokens._CONTROL[1]
    market.fault("jupiter_quote", "null_price", mints=[usdc])
    assert [found.finding for found in dead_tokens.check()] == [Finding.UNKNOWN]
    assert evidence_of(token) == (0, "CONTROL_QUOTE_FAILED")


def test_a_token_without_a_price_that_can_be_sold_is_not_dead(market):
    ((token, _),) = held(market)
    market.fault(["jupiter_price", "dexscreener"], "missing_price", mints=[token.mint])
    assert [found.finding for found in dead_tokens.check()] == [Finding.QUOTE]
    assert DeadToken.objects.get().cleared_code == "quote"


def test_a_token_with_a_price_is_not_even_asked_to_be_sold(market):
    ((token, _),) = held(market)
    market.fault("jupiter_quote", "delisted", mints=[token.mint])
    market.fault("dexscreener", "missing_price", mints=[token.mint])
    assert [found.finding for found in dead_tokens.check()] == [Finding.PRICE]
    assert evidence_of(token)[0] == 0


def test_one_source_with_a_price_is_enough_to_live(market):
    dead(market)
    market.clear_faults("dexscreener")
    assert [found.finding for found in dead_tokens.check()] == [Finding.PRICE]


def test_only_silent_tokens_are_asked_about(market):
    (priced, _), (young, position), (silent, _), (closed, gone) = held(market, 4)
    delist(market, priced, young, silent, closed)
    factories.make_tick(closing.stored(priced), "0.001", at=timezone.now() - timedelta(seconds=30))
    factories.make_tick(closing.stored(silent), "0.001", at=timezone.now() - timedelta(seconds=90))
    Position.objects.filter(pk=position.pk).update(opened_at=timezone.now() - timedelta(seconds=30))
    factories.close_position(gone, proceeds="1")
    assert [found.suspect.mint for found in dead_tokens.check()] == [silent.mint]


def test_the_largest_holding_is_offered_for_sale(market):
    token = market.add_token()
    delist(market, token)
    opened_at = timezone.now() - timedelta(minutes=5)
    for invested in ("1", "3", "2"):
        closing.hold(factories.make_agent(), token, invested=invested, opened_at=opened_at)
    (found,) = dead_tokens.check()
    largest = Position.objects.order_by("-remaining_amount")[0]
    assert found.suspect.amount == largest.remaining_amount


def test_many_silent_tokens_take_turns(market, monkeypatch):
    monkeypatch.setattr(dead_tokens, "AT_ONCE", 2)
    tokens = [token for token, _ in held(market, 3)]
    delist(market, *tokens)
    first = {found.suspect.mint for found in dead_tokens.check()}
    second = {found.suspect.mint for found in dead_tokens.check()}
    assert len(first) == 2 and first | second == {token.mint for token in tokens} and not first & second


def test_a_tick_of_the_watch_ends_the_evidence_without_a_question(market):
    token = dead(market)
    dead_tokens.check()
    factories.make_tick(closing.stored(token), "0.00004")
    assert dead_tokens.check() == []
    assert DeadToken.objects.get().cleared_code == "price"


def test_a_quote_in_a_later_check_ends_the_evidence(market):
    token = dead(market)
    dead_tokens.check()
    market.clear_faults("jupiter_quote")
    assert check_again() == [Finding.QUOTE]
    assert DeadToken.objects.get(mint=token.mint).cleared_code == "quote"


def test_evidence_begins_anew_when_a_token_that_lived_dies_again(market):
    token = dead(market)
    for _ in range(3):
        check_again()
    market.clear_faults()
    check_again()
    delist(market, token)
    assert check_again() == [Finding.DEAD]
    row = DeadToken.objects.get()
    assert (row.checks, row.cleared_at, row.cleared_code, row.alerted_at) == (1, None, "", None)
    assert row.first_seen_at == row.last_seen_at


def test_evidence_begins_anew_after_a_gap_nobody_can_speak_for(market):
    token = dead(market)
    check_again()
    check_again()
    assert check_again(rules.LONGEST_GAP.total_seconds() + 1) == [Finding.DEAD]
    assert evidence_of(token)[0] == 1
    assert DeadToken.objects.get().first_seen_at == DeadToken.objects.get().last_seen_at


def test_what_nobody_holds_any_more_is_no_longer_looked_at(market):
    ((token, position),) = held(market)
    delist(market, token)
    dead_tokens.check()
    factories.close_position(position, proceeds="0.5")
    assert check_again() == []
    assert DeadToken.objects.get().cleared_code == "not_held"
    assert alerts() == []


def test_the_holders_are_told_once_when_there_are_enough_checks_and_when_it_lives(market, settings):
    settings.WRITE_OFF_MINIMUM_CHECKS = 3
    token = dead(market)
    check_again()
    check_again()
    assert alerts() == []
    check_again()
    check_again()
    assert alerts() == [("TOKEN_DEAD", token.mint)]
    message = OutboxMessage.objects.get(kind="alert")
    assert message.stream == f"user:{Position.objects.get().agent.user_id}"
    assert message.payload["symbol"] == token.symbol
    market.clear_faults()
    check_again()
    assert alerts() == [("TOKEN_DEAD", token.mint), ("TOKEN_LIVES", token.mint)]


def test_a_suspicion_that_was_never_told_ends_silently(market):
    dead(market)
    dead_tokens.check()
    market.clear_faults()
    assert check_again() == [Finding.PRICE]
    assert alerts() == []


def test_evidence_that_ended_long_ago_is_forgotten_and_open_evidence_is_not(db):
    now = timezone.now()
    factories.make_dead_token(factories.make_token(), cleared_at=now - timedelta(days=31), cleared_code="price")
    kept = [
        factories.make_dead_token(factories.make_token(), cleared_at=now - timedelta(days=29), cleared_code="price"),
        factories.make_dead_token(factories.make_token(), seconds=90 * 24 * 3600),
    ]
    assert retention.prune()["dead_tokens"] == 1
    assert set(DeadToken.objects.all()) == set(kept)


def test_two_processes_at_once_ask_about_a_token_once(market):
    tokens = [token for token, _ in held(market, 3)]
    delist(market, *tokens)
    found = []

    def check() -> None:
        try:
            found.extend(dead_tokens.check())
        finally:
            connection.close()

    threads = [threading.Thread(target=check) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.suspect.mint for one in found) == sorted(token.mint for token in tokens)
    assert set(DeadToken.objects.values_list("checks", flat=True)) == {1}


def test_a_slow_check_whose_turn_has_passed_to_another_writes_nothing(market):
    token = dead(market)
    late = [dead_tokens.Found(suspect, Finding.DEAD, "TOKEN_NOT_TRADABLE") for suspect in dead_tokens._claim()]
    assert check_again(31) == [Finding.DEAD]
    dead_tokens._store(late)
    assert evidence_of(token)[0] == 1


@given(
    checks=st.integers(0, 20),
    minutes=st.integers(0, 60),
    after=st.integers(0, 60),
    minimum=st.integers(2, 10),
    asked=st.booleans(),
)
def test_the_desk_writes_off_by_itself_only_with_enough_checks_over_enough_time(checks, minutes, after, minimum, asked):
    seen = Evidence(checks, NOON - timedelta(minutes=minutes), NOON) if checks else Evidence(0, None, None)
    rule = Rule(timedelta(minutes=after), minimum)
    decision = rules.decide(seen, rule, asked_by_operator=asked, now=NOON)
    wanted = checks >= 1 if asked else after > 0 and checks >= max(minimum, 1) and minutes >= after
    assert decision.allowed == wanted and (decision.code == rules.ALLOWED) == wanted


def test_old_evidence_allows_nothing_until_it_is_renewed():
    old = Evidence(50, NOON - timedelta(hours=9), NOON - timedelta(minutes=11))
    for asked in (True, False):
        decision = rules.decide(old, Rule(timedelta(minutes=1), 2), asked_by_operator=asked, now=NOON)
        assert (decision.allowed, decision.code) == (False, rules.EVIDENCE_TOO_OLD)


def test_a_write_off_is_never_automatic_unless_somebody_says_so(settings):
    assert settings.WRITE_OFF_AFTER_MINUTES == 0
    long_dead = Evidence(10_000, NOON - timedelta(days=30), NOON)
    rule = Rule(timedelta(minutes=settings.WRITE_OFF_AFTER_MINUTES), settings.WRITE_OFF_MINIMUM_CHECKS)
    assert rules.decide(long_dead, rule, asked_by_operator=False, now=NOON).code == rules.NOT_AUTOMATIC


def test_a_refusal_about_the_amount_is_no_evidence():
    suspect = dead_tokens.Suspect("mint", "TKN", 6, Decimal(1), NOON)
    for reason, finding in (
        ("ROUTE_PLAN_DOES_NOT_CONSUME_ALL_THE_AMOUNT", Finding.UNKNOWN),
        ("COULD_NOT_FIND_ANY_ROUTE", Finding.DEAD),
    ):
        refusal = TokenNotTradable("mint", dead_tokens.SOL_MINT, reason=reason)
        found = dead_tokens._judge(suspect, refusal, refusals_count=True)
        assert (found.finding, found.code) == (finding, reason)

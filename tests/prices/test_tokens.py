"""Meeting tokens: exact mint only, stored once, asked once."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core.http import ProviderError
from apps.core.money import SOL_MINT
from apps.prices import services as prices
from apps.prices.models import Token
from apps.prices.services import tokens as token_services
from tests.sandbox_server import SandboxControl

pytestmark = pytest.mark.django_db(transaction=True)
UNKNOWN = "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"


def test_a_new_token_is_met_stored_and_then_known_without_any_call(market: SandboxControl) -> None:
    token = market.add_token(decimals=9)
    facts = prices.ensure_tokens([token.mint])[token.mint]
    assert (facts.symbol, facts.decimals) == (token.symbol, 9)
    assert Token.objects.get(pk=token.mint).decimals == 9
    market.fault("jupiter_tokens", "server_error")
    with CaptureQueriesContext(connection) as queries:
        assert prices.ensure_tokens([token.mint, SOL_MINT])[SOL_MINT].decimals == 9
    assert len(queries) == 0
    token_services.forget_tokens()
    assert prices.ensure_tokens([token.mint])[token.mint] == facts


def test_many_tokens_are_met_in_batches(market: SandboxControl) -> None:
    mints = [token.mint for token in market.add_tokens(130)]
    assert set(prices.ensure_tokens(mints)) == set(mints)
    assert Token.objects.count() == 130


def test_a_mint_nobody_knows_is_left_out_and_not_asked_for_again_at_once(market: SandboxControl) -> None:
    assert prices.ensure_tokens([UNKNOWN, "not a mint"]) == {}
    market.fault("jupiter_tokens", "server_error")
    assert prices.ensure_tokens([UNKNOWN]) == {}
    assert Token.objects.count() == 0


def test_a_provider_that_cannot_be_asked_is_not_the_same_as_an_unknown_token(market: SandboxControl) -> None:
    token = market.add_token()
    market.fault("jupiter_tokens", "server_error")
    with pytest.raises(ProviderError):
        prices.ensure_tokens([token.mint])
    market.clear_faults()
    assert token.mint in prices.ensure_tokens([token.mint])


def test_decimals_never_change_once_stored(market: SandboxControl) -> None:
    token = market.add_token(decimals=6)
    Token.objects.create(mint=token.mint, symbol="OLD", decimals=4)
    assert prices.ensure_tokens([token.mint])[token.mint].decimals == 4


def test_metrics_are_those_of_exactly_this_mint(market: SandboxControl) -> None:
    token = market.add_token()
    metrics = prices.token_metrics(token.mint)
    state = market.token_state(token.mint)
    assert metrics is not None
    assert metrics.market_cap_usd is not None
    assert abs(float(metrics.market_cap_usd) - state["market_cap_usd"]) < 1
    assert metrics.liquidity_usd is not None
    assert metrics.holder_count is not None
    assert prices.token_metrics(UNKNOWN) is None
    assert prices.token_metrics(token.symbol) is None


@pytest.mark.parametrize("kind", ["server_error", "hang", "rate_limit", "missing_price"])
def test_metrics_are_unknown_while_the_provider_fails(market: SandboxControl, kind: str) -> None:
    token = market.add_token()
    market.fault("jupiter_tokens", kind)
    assert prices.token_metrics(token.mint, deadline_seconds=0.5) is None

"""Exports: CSV to the letter, oldest first, in batches that hold no transaction while the client reads."""

from __future__ import annotations

import csv
import io
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.http import StreamingHttpResponse
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from psycopg.pq import TransactionStatus

from apps.core.api import exports
from apps.signals.models import TradingSignal
from apps.trading.models import ClosedTrade
from tests.apiclient import api_of, api_with_key
from tests.factories import (
    close_position,
    fund,
    make_agent,
    make_api_key,
    make_position,
    make_signal,
    make_token,
    make_user,
    make_wallet,
    wallet_of,
)
from tests.holding import held, terminate, waiting_session

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 2, 15, 4, 5, tzinfo=UTC)
TRADES = (
    "Time,Token Symbol,Token Address,Amount,Average Purchase Price ({0}),Sale Price ({0}),Profit / Loss ({0}),"
    "Change (%),Signal ID,Signal Type,Activation Reason"
)
SIGNALS = (
    "Signal ID,Created At,Signal Strength,Token Symbol,Token Address,Trading Strategy,Activation Reason,Source,"
    "Updated At"
)


@pytest.fixture
def agent(user):
    return make_agent(user, sol="1000")


def make_trades(agent, number, *, at=START, **fields):
    """Write `number` trades entered by hand, all sold in the same moment; return their ids in order."""
    values = {
        "agent": agent,
        "wallet": wallet_of(agent),
        "epoch": 1,
        "origin": "hand",
        "mint": make_token("WIF").mint,
        "symbol": "WIF",
        "amount": Decimal("1000"),
        "purchase_price": Decimal("0.001"),
        "sale_price": Decimal("0.002"),
        "change_percent": Decimal("100"),
        "profit_sol": Decimal("1"),
        "profit_usd": Decimal("150"),
        "purchase_time": at - timedelta(hours=1),
        "sale_time": at,
        **fields,
    }
    rows = ClosedTrade.objects.bulk_create([ClosedTrade(**values) for _ in range(number)])
    return sorted(row.pk for row in rows)


def table(answer):
    """Return an export's rows without its header, as a spreadsheet reads them."""
    assert answer.status == 200, answer
    return list(csv.reader(io.StringIO(answer.text.decode(), newline="")))[1:]


def test_trades_are_exported_to_the_letter(api, agent, user):
    token = make_token("WIF")
    signal = make_signal(user, token, signal_type="Momentum", activation_reason='broke out, "hard"\nand fast')
    make_trades(
        agent,
        1,
        signal=signal,
        amount=Decimal("1234.565"),
        purchase_price=Decimal("0.00000000006632"),
        sale_price=Decimal("0.5"),
        change_percent=Decimal("12.345"),
        profit_sol=Decimal("0.00005"),
        profit_usd=Decimal("-3.14159"),
    )
    answer = api.get(f"/agent-historical-swaps/export?agentId={agent.pk}&solPrice=150")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    today = timezone.now().date().isoformat()
    assert answer.headers["Content-Disposition"] == f'attachment; filename="agent-trades-{today}.csv"'
    quoted = '"broke out, ""hard""\nand fast"'
    assert answer.text.decode() == (
        TRADES.format("USD") + "\n"
        f'"Jan 02, 2026 03:04:05 PM",WIF,{token.mint},1234.57,0.00000001,75.00000000,-3.14,12.35%,{signal.pk},Momentum,'
        f"{quoted}\n"
    )
    answer = api.get(
        f"/agent-historical-swaps/export?agentId={agent.pk}&currency=SOL&timezone=America/New_York&solPrice=150"
    )
    assert answer.text.decode() == (
        TRADES.format("SOL") + "\n"
        f'"Jan 02, 2026 10:04:05 AM",WIF,{token.mint},1234.57,0.0000000001,0.5000000000,+0.0001,12.35%,{signal.pk},'
        f"Momentum,{quoted}\n"
    )


def test_what_is_missing_is_not_available_and_sol_is_worth_a_hundred_dollars_unless_told(api, agent):
    make_trades(agent, 1, profit_usd=None, profit_sol=Decimal(0), symbol="")
    (row,) = table(api.get(f"/agent-historical-swaps/export?agentId={agent.pk}&timezone=Mars/Base&currency=EUR"))
    assert row[0] == "Jan 02, 2026 03:04:05 PM"
    assert row[1] == "N/A"
    assert row[4:] == ["0.10000000", "0.20000000", "N/A", "100.00%", "N/A", "N/A", "N/A"]
    (row,) = table(api.get(f"/agent-historical-swaps/export?agentId={agent.pk}&currency=SOL"))
    assert row[6] == "+0.0000"


def test_an_export_without_rows_is_its_header(api, agent):
    answer = api.get(f"/agent-historical-swaps/export?agentId={agent.pk}")
    assert answer.text.decode() == TRADES.format("USD") + "\n"
    assert api.get("/trading-signals/export").text.decode() == SIGNALS + "\n"


def test_trades_of_the_engine_and_by_hand_are_exported_oldest_first_and_no_others(api, agent):
    late, early = START + timedelta(days=2), START - timedelta(days=2)
    make_trades(agent, 1, symbol="HAND")
    close_position(make_position(agent, make_token("LATE")), proceeds="2", at=late)
    close_position(make_position(agent, make_token("EARLY")), proceeds="2", at=early)
    make_trades(agent, 1, symbol="GONE", deleted_at=START)
    make_trades(make_agent(), 1, symbol="OTHER")
    rows = table(api.get(f"/agent-historical-swaps/export?agentId={agent.pk}"))
    assert [row[1] for row in rows] == ["EARLY", "HAND", "LATE"]


def test_an_export_takes_the_filters_of_its_list(api, agent, user):
    live = make_wallet(agent, wallet_type="live")
    make_trades(agent, 1, symbol="A", profit_usd=Decimal(5))
    make_trades(agent, 1, symbol="B", at=START + timedelta(days=1), wallet=live)

    def symbols(query):
        path = f"agentId={agent.pk}&{query}"
        exported = [row[1] for row in table(api.get(f"/agent-historical-swaps/export?{path}"))]
        listed = [row["tokenSymbol"] for row in api.get(f"/agent-historical-swaps?{path}").json]
        assert exported == listed[::-1]
        return exported

    assert symbols("") == ["A", "B"]
    assert symbols("tokenSymbol=A") == ["A"]
    assert symbols(f"walletAddress={live.address}") == ["B"]
    assert symbols("endSaleTime=2026-01-02T15:04:05Z") == ["A"]
    assert symbols("maxProfitLossUsd=5") == ["A"]
    for query, field in [("startSaleTime=x", "startSaleTime"), ("solPrice=x", "solPrice"), ("solPrice=0", "solPrice")]:
        answer = api.get(f"/agent-historical-swaps/export?agentId={agent.pk}&{query}")
        assert (answer.status, answer.json["field"]) == (400, field)
    assert api.get("/agent-historical-swaps/export").code == "INVALID_AGENT_ID"


def test_signals_are_exported_to_the_letter(api, user):
    token = make_token("WIF")
    signal = make_signal(user, token, signal_type="Dip", activation_reason="because", source=None)
    bare = make_signal(user, make_token(), symbol=None, signal_strength=5)
    make_signal(user, token, deleted_at=START)
    make_signal(make_user(), token)
    TradingSignal.objects.filter(pk=signal.pk).update(created_at=START, updated_at=START + timedelta(hours=9))
    answer = api.get("/trading-signals/export?timezone=Asia/Tokyo")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="trading-signals-2')
    header, first, second, end = answer.text.decode().split("\n")
    assert header == SIGNALS
    assert first == (
        f'{signal.pk},"Jan 03, 2026 12:04:05 AM",3,WIF,{token.mint},Dip,because,N/A,"Jan 03, 2026 09:04:05 AM"'
    )
    assert second.startswith(f"{bare.pk},") and second.split(",")[3:6] == ["5", "N/A", bare.token_address]
    assert end == ""
    assert len(table(api.get(f"/trading-signals/export?tokenAddress={token.mint}"))) == 1
    assert len(table(api.get("/trading-signals/export?signalType=Dip&startDate=2026-01-02&endDate=2026-01-03"))) == 1
    assert api.get("/trading-signals/export?startDate=then").code == "INVALID_START_DATE"


def test_transactions_are_exported_with_every_digit(api, agent, user):
    token = make_token("WIF")
    signal = make_signal(user, token)
    position = make_position(
        agent, token, price="0.00000000006632", network_fee="0.000005", signal=signal, opened_at=START
    )
    fund(wallet_of(agent), "0.000000001", at=START + timedelta(days=1))
    answer = api.get(f"/agent-transactions/export?agentId={agent.pk}&endTime=2026-02-01")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="agent-transactions-2')
    bought, deposited = csv.DictReader(io.StringIO(answer.text.decode(), newline=""))
    assert bought["Time"] == "Jan 02, 2026 03:04:05 PM"
    assert bought["Transaction ID"] == str(position.purchase_transaction_id)
    assert (bought["Type"], bought["Input Symbol"], bought["Input Amount"]) == ("SWAP", "SOL", "0.999995")
    assert (bought["Output Address"], bought["Output Price (SOL)"]) == (token.mint, "0.00000000006632")
    assert (bought["Network Fee (SOL)"], bought["Value (USD)"], bought["DCA"]) == ("0.000005", "N/A", "No")
    assert (bought["Signal ID"], bought["Wallet Address"]) == (str(signal.pk), wallet_of(agent).address)
    assert (deposited["Type"], deposited["Input Amount"], deposited["Output Amount"]) == (
        "DEPOSIT",
        "0.000000001",
        "N/A",
    )
    assert len(table(api.get(f"/agent-transactions/export?agentId={agent.pk}&transactionType=SWAP"))) == 1


def test_no_text_from_elsewhere_becomes_a_formula(api, agent, user):
    nasty = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "\uff1d1", "=cmd|' /C calc'!A0, \"x\""]
    for number, text in enumerate(nasty):
        token = make_token(f"T{number}")
        signal = make_signal(user, token, signal_type=text[:50], activation_reason=text, source=text, symbol=text)
        make_trades(agent, 1, at=START + timedelta(seconds=number), symbol=text, signal=signal)
        TradingSignal.objects.filter(pk=signal.pk).update(created_at=START + timedelta(seconds=number))
    trades = table(api.get(f"/agent-historical-swaps/export?agentId={agent.pk}"))
    sent = table(api.get("/trading-signals/export"))
    for text, traded, signalled in zip(nasty, trades, sent, strict=True):
        assert [traded[1], traded[9], traded[10]] == [f"'{text}"] * 3
        assert [signalled[3], signalled[5], signalled[6], signalled[7]] == [f"'{text}"] * 4
        assert traded[6] == "+150.00"


def test_a_time_at_the_edge_of_the_calendar_is_exported(api, agent):
    make_trades(agent, 1, at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    (row,) = table(api.get(f"/agent-historical-swaps/export?agentId={agent.pk}&timezone=Pacific/Kiritimati"))
    assert row[0] == "Dec 31, 9999 11:59:59 PM"


def test_exports_are_for_their_owner_and_keys_with_the_scope(api, agent, user):
    stranger = api_of(make_user())
    for path, scope in (("agent-historical-swaps", "history"), ("agent-transactions", "transactions")):
        url = f"/{path}/export?agentId={agent.pk}"
        answer = stranger.get(url)
        assert (answer.status, answer.code) == (403, "AGENT_NOT_YOURS")
        assert stranger.get(f"/{path}/export?agentId=6f1f0d1e-0000-4000-8000-00000000000f").code == "AGENT_NOT_FOUND"
        _, secret = make_api_key(user, scopes=(scope,))
        assert api_with_key(secret).get(url).status == 200
        _, other = make_api_key(user, scopes=("signals",))
        assert api_with_key(other).get(url).code == "SCOPE_MISSING"
    assert api_with_key(other).get("/trading-signals/export").status == 200
    _, poster = make_api_key(user, scopes=("signals:create",))
    assert api_with_key(poster).get("/trading-signals/export").code == "SCOPE_MISSING"


def test_every_row_comes_once_in_batches_of_a_thousand_however_equal_their_times(api, agent):
    first = make_trades(agent, 1500)
    last = make_trades(agent, 500, at=START + timedelta(microseconds=1), symbol="LAST")
    with CaptureQueriesContext(connection) as captured:
        answer = api.get(f"/agent-historical-swaps/export?agentId={agent.pk}")
    rows = table(answer)
    assert [row[1] for row in rows] == ["WIF"] * len(first) + ["LAST"] * len(last)
    reads = [query["sql"] for query in captured.captured_queries if 'FROM "closed_trade"' in query["sql"]]
    assert len(reads) == 3
    assert all("LIMIT 1000" in sql and "OFFSET" not in sql for sql in reads)


def stream_of(user, path):
    """Start an export and return its chunks as they come."""
    answer = api_of(user).client.get(f"/api/v1{path}")
    assert isinstance(answer, StreamingHttpResponse)
    return iter(answer.streaming_content)


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_client_reads(user):
    agent = make_agent(user, sol=None)
    make_trades(agent, 2500)
    lines = []
    for chunk in stream_of(user, f"/agent-historical-swaps/export?agentId={agent.pk}"):
        lines.append(chunk.count(b"\n"))
        assert connection.connection.pgconn.transaction_status == TransactionStatus.IDLE
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            assert cursor.fetchone() == ("0",)
    assert lines == [1001, 1000, 500]


@pytest.mark.django_db(transaction=True)
def test_an_export_goes_on_when_its_connection_died_while_the_client_read(user):
    agent = make_agent(user, sol=None)
    make_trades(agent, 1500)
    chunks = stream_of(user, f"/agent-historical-swaps/export?agentId={agent.pk}")
    got = next(chunks)
    terminate(connection.connection.info.backend_pid)
    time.sleep(0.2)
    got += b"".join(chunks)
    assert got.count(b"\n") == 1501


def test_an_export_that_took_too_long_before_its_first_row_answers_408(api, agent, monkeypatch):
    monkeypatch.setattr(exports, "TIME_LIMIT_SECONDS", 0.0)
    answer = api.get(f"/agent-historical-swaps/export?agentId={agent.pk}")
    assert (answer.status, answer.code) == (408, "EXPORT_TIMEOUT")
    assert answer.json["error"] and answer.json["message"]


@pytest.mark.django_db(transaction=True)
def test_an_export_that_takes_too_long_later_is_cut(user, monkeypatch):
    agent = make_agent(user, sol=None)
    make_trades(agent, 1500)
    monkeypatch.setattr(exports, "TIME_LIMIT_SECONDS", 1.0)
    chunks = stream_of(user, f"/agent-historical-swaps/export?agentId={agent.pk}")
    assert next(chunks)
    time.sleep(1.1)
    with pytest.raises(exports.ExportTimeout):
        next(chunks)


@pytest.mark.django_db(transaction=True)
def test_a_query_that_hangs_is_ended_by_the_time_limit(user, monkeypatch):
    agent = make_agent(user, sol=None)
    monkeypatch.setattr(exports, "TIME_LIMIT_SECONDS", 0.3)
    with held("LOCK TABLE closed_trade IN ACCESS EXCLUSIVE MODE"):
        answer = api_of(user).get(f"/agent-historical-swaps/export?agentId={agent.pk}")
    assert (answer.status, answer.code) == (408, "EXPORT_TIMEOUT")
    assert api_of(user).get(f"/agent-historical-swaps/export?agentId={agent.pk}").status == 200


@pytest.mark.django_db(transaction=True)
def test_a_database_that_hangs_up_answers_503(user):
    agent = make_agent(user, sol=None)
    answers = []

    def export():
        try:
            answers.append(api_of(user).get(f"/agent-historical-swaps/export?agentId={agent.pk}"))
        finally:
            connection.close()

    with held("LOCK TABLE closed_trade IN ACCESS EXCLUSIVE MODE"):
        asking = threading.Thread(target=export)
        asking.start()
        terminate(waiting_session('SELECT "closed_trade"'))
        asking.join()
    (answer,) = answers
    assert (answer.status, answer.code) == (503, "DATABASE_UNAVAILABLE")
    assert answer.json["error"] and answer.json["message"]


def test_head_tells_the_file_without_writing_it(api, agent):
    make_trades(agent, 3)
    answer = api.call("HEAD", f"/agent-historical-swaps/export?agentId={agent.pk}")
    assert (answer.status, answer.text) == (200, b"")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"

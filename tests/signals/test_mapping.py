"""How messages become signals: paths, constants, tables, ignored messages; and how an operator writes them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.signals.domain import mapping as rules
from apps.signals.domain import mapping_text
from apps.signals.domain.mapping import (
    Comparison,
    Ignore,
    Mapping,
    MappingFault,
    Place,
    apply,
    ignored_by,
    text_message,
)
from tests.factories import mint_of

MINT = mint_of("BONK")
FULL = Mapping(
    places={
        "token_address": Place("order.ticker"),
        "symbol": Place("order.name"),
        "signal_type": Place("kind", "Chart"),
        "signal_strength": Place("action", "2"),
        "activation_reason": Place("why"),
        "source": Place("", "TradingView"),
    },
    tickers={"BONKUSDT": MINT},
    strengths={"buy": 3, "strong buy": 5},
    ignore=(Ignore("action", Comparison.EQUALS, "sell"), Ignore("order.tags", Comparison.CONTAINS, "exit")),
)


def message(**changes):
    return {"order": {"ticker": "BONKUSDT", "name": "BONK"}, "action": "buy", "why": "breakout", **changes}


def test_every_field_is_taken_from_its_place():
    signal = apply(FULL, message(kind="Momentum"))
    assert (signal.token_address, signal.symbol, signal.signal_type) == (MINT, "BONK", "Momentum")
    assert (signal.signal_strength, signal.activation_reason, signal.source) == (3, "breakout", "TradingView")


@pytest.mark.parametrize("ticker", ["bonkusdt", "BINANCE:BONKUSDT", " BonkUsdt ", MINT])
def test_a_ticker_is_found_whatever_its_case_and_exchange_and_a_mint_stands_for_itself(ticker):
    assert apply(FULL, message(order={"ticker": ticker})).token_address == MINT


@pytest.mark.parametrize("empty", [None, "", "   "])
def test_a_constant_stands_in_where_the_message_has_nothing(empty):
    signal = apply(FULL, message(kind=empty, action=empty))
    assert (signal.signal_type, signal.signal_strength) == ("Chart", 2)


@pytest.mark.parametrize(("given", "strength"), [("Strong Buy", 5), (4, 4), ("1", 1), (Decimal("5.0"), 5)])
def test_strength_is_a_word_of_the_table_or_a_number(given, strength):
    assert apply(FULL, message(action=given)).signal_strength == strength


@pytest.mark.parametrize("given", ["hold", 0, 6, Decimal("2.5"), True, "3.0 "])
def test_a_strength_that_is_neither_is_no_constant_but_a_fault(given):
    with pytest.raises(MappingFault) as fault:
        apply(FULL, message(action=given))
    assert fault.value.field == "signal_strength"


@pytest.mark.parametrize("bad", [{"a": 1}, ["x"], "a\0b", "\ud800"])
def test_a_value_that_cannot_be_kept_as_text_is_a_fault_of_its_field(bad):
    with pytest.raises(MappingFault) as fault:
        apply(FULL, message(why=bad))
    assert fault.value.field == "activation_reason"


def test_a_missing_token_is_a_fault_that_names_the_path():
    with pytest.raises(MappingFault, match=r"order\.ticker") as fault:
        apply(FULL, message(order={}))
    assert fault.value.field == "token_address"


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Ignore("action", Comparison.EQUALS, "BUY"), True),
        (Ignore("action", Comparison.EQUALS, "bu"), False),
        (Ignore("action", Comparison.DIFFERS, "buy"), False),
        (Ignore("missing", Comparison.DIFFERS, "long"), True),
        (Ignore("missing", Comparison.EQUALS, "long"), False),
        (Ignore("why", Comparison.CONTAINS, "BREAK"), True),
        (Ignore("order.tags.1", Comparison.CONTAINS, "exit"), False),
    ],
)
def test_a_rule_leaves_messages_alone(rule, matches):
    assert (ignored_by(Mapping(ignore=(rule,)), message()) is not None) is matches


def test_plain_text_is_found_by_words_and_lines():
    words = Mapping(
        places={
            "token_address": Place("words.0"),
            "signal_strength": Place("words.1"),
            "signal_type": Place("lines.1"),
        },
        tickers={"BONKUSDT": MINT},
        strengths={"buy": 4},
    )
    signal = apply(words, text_message("BONKUSDT buy\nBreakout of the day\n"))
    assert (signal.token_address, signal.signal_strength, signal.signal_type) == (MINT, 4, "Breakout of the day")


def test_hiding_a_value_leaves_the_message_itself_as_it_was():
    sent = {"auth": {"key": "s"}, "list": ["s", "t"]}
    assert rules.masked(sent, "auth.key") == {"auth": {"key": "***"}, "list": ["s", "t"]}
    assert rules.masked(sent, "list.0") == {"auth": {"key": "s"}, "list": ["***", "t"]}
    assert rules.masked(sent, "nowhere.at.all") == sent == {"auth": {"key": "s"}, "list": ["s", "t"]}


def test_what_is_stored_is_what_was_said():
    assert mapping_text.from_json(mapping_text.as_json(FULL)) == FULL


_word = st.text("abcxyz_-", min_size=1, max_size=8)


@given(st.dictionaries(_word, st.integers(1, 5), max_size=5))
def test_a_table_reads_back_as_it_was_written(table):
    assert mapping_text.read_strengths(mapping_text.write_table(table)) == table


@given(st.lists(st.builds(Ignore, _word, st.sampled_from(Comparison), _word), max_size=5))
def test_rules_read_back_as_they_were_written(ignored):
    assert mapping_text.read_ignores(mapping_text.write_ignores(ignored)) == tuple(ignored)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (mapping_text.read_tickers, "BONKUSDT"),
        (mapping_text.read_tickers, "BONKUSDT = 0xabc"),
        (mapping_text.read_tickers, f"A = {MINT}\na = {MINT}"),
        (mapping_text.read_strengths, "buy = 6"),
        (mapping_text.read_strengths, "buy = 3.5"),
        (mapping_text.read_strengths, "= 3"),
        (mapping_text.read_ignores, "action"),
        (mapping_text.read_ignores, "action ="),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_by_its_number(read, text):
    with pytest.raises(mapping_text.LineFault, match=r"Line \d"):
        read(text)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_word, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["order", "action", "why", "kind"]), _json))
def test_no_message_breaks_the_mapping(sent):
    ignored_by(FULL, sent)
    try:
        signal = apply(FULL, sent)
    except MappingFault as fault:
        assert fault.field in rules.FIELDS
    else:
        assert 1 <= signal.signal_strength <= 5 and signal.token_address and signal.signal_type

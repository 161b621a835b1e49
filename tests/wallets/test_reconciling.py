"""Books and chain agree, or buys stop and people are told; one node of two neither stops a wallet nor hides a thing."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.models import AuditEntry
from apps.chain import nodes
from apps.core.errors import Conflict, Invalid
from apps.core.money import SOL_MINT
from apps.trading.domain import entry_rules
from apps.trading.models import ClosedTrade, ExitIntent
from apps.trading.services import audit_chain, gate
from apps.wallets import errors
from apps.wallets.domain.reconciliation import Holdings, judge
from apps.wallets.models import Balance, LedgerEntry, LedgerReason, WalletDifference
from apps.wallets.services import books, chain_deposits, differences, reconciling
from tests import factories
from tests.trading.closing import differences as audit_differences
from tests.wallets.chain_wallet import ChainWallet

D = Decimal
amounts = st.sampled_from([D(0), D(1), D("1.5"), D(7)])


def told(node: str, **by_mint: Decimal) -> Holdings:
    return Holdings(node, 100, by_mint)


# -- the rule


@given(amounts, amounts, amounts, st.permutations([0, 1]))
def test_what_counts_is_what_two_nodes_say(in_books, first, second, order):
    said = [told("a", MINT=first), told("b", MINT=second)]
    found = judge({"MINT": in_books}, [said[place] for place in order], nodes=2)
    if first == second == in_books == 0:
        assert found == []
        return
    (judgement,) = found
    assert judgement.agreed is (first == second)
    assert judgement.differs is (first != in_books or second != in_books)


@given(amounts, amounts, amounts)
def test_one_liar_of_three_changes_nothing(in_books, truth, lie):
    found = judge({"MINT": in_books}, [told("a", MINT=truth), told("b", MINT=lie), told("c", MINT=truth)], nodes=3)
    for judgement in found:
        assert (judgement.agreed, judgement.chain) == (True, truth)


@given(amounts, amounts)
def test_one_of_two_that_answers_is_not_believed_and_the_only_one_is(in_books, said):
    for judgement in judge({"MINT": in_books}, [told("a", MINT=said)], nodes=2):
        assert not judgement.agreed
    for judgement in judge({"MINT": in_books}, [told("a", MINT=said)], nodes=1):
        assert judgement.agreed


def test_nobody_heard_is_no_empty_wallet():
    assert judge({"MINT": D(5)}, [], nodes=2) == []


# -- against the nodes


@pytest.fixture
def live(on_chain: ChainWallet) -> ChainWallet:
    """A wallet whose books say what the chain says: two SOL."""
    on_chain.holds("2")
    assert on_chain.look() == 0
    assert on_chain.books() == 2
    return on_chain


def test_books_never_written_are_opened_with_the_sol_the_wallet_came_with(live: ChainWallet):
    assert live.rows() == []
    assert live.may_buy
    assert audit_differences() == []
    (entry,) = LedgerEntry.objects.filter(wallet=live.wallet)
    assert entry.reason == LedgerReason.DEPOSIT
    assert entry.delta == 2


@pytest.mark.parametrize("sol", ["2.000000001", "1.999999999", "0"])
def test_a_lamport_nobody_explains_stops_buys_and_is_told_once(live: ChainWallet, sol: str):
    live.holds(sol)
    assert live.look() == 1
    assert live.look() == 1
    assert live.rows() == [(SOL_MINT, "open", D(sol) - 2)]
    assert not live.may_buy
    assert live.alerts() == ["WALLET_NOT_RECONCILED"]
    assert live.books() == 2
    assert refusal(live) == entry_rules.WALLET_NOT_RECONCILED


def refusal(live: ChainWallet) -> str | None:
    with transaction.atomic():
        wallet = books.lock_wallets([live.wallet.pk])[live.wallet.pk]
        return gate.buy_refusal(
            desk_state="active", own_state="active", archived=False, wallet=wallet, epoch=wallet.epoch, paused=False
        )


def test_what_goes_away_by_itself_lets_the_wallet_buy_again(live: ChainWallet):
    live.holds("3")
    live.look()
    live.holds("2")
    assert live.look() == 0
    assert live.rows() == [(SOL_MINT, "gone", D(1))]
    assert live.may_buy
    assert refusal(live) is None
    assert live.alerts() == ["WALLET_NOT_RECONCILED", "WALLET_RECONCILED"]


def test_checking_deposits_explains_sol(live: ChainWallet):
    live.holds("3")
    live.look()
    found = chain_deposits.check_deposits(wallet=live.wallet, actor=None)
    assert found.deposited_sol == 1
    assert live.may_buy
    assert live.look() == 0
    live.holds("0.5")
    assert chain_deposits.check_deposits(wallet=live.wallet, actor=None).withdrawn_sol == D("2.5")
    assert chain_deposits.check_deposits(wallet=live.wallet, actor=None).transaction_id is None
    assert live.look() == 0
    assert audit_differences() == []


def test_wrapped_sol_is_sol_and_rent_is_none(live: ChainWallet):
    live.holds("1.25")
    live.holds_tokens(SOL_MINT, "0.75", is_native=True)
    assert live.look() == 0
    assert live.rows() == []


def test_tokens_that_strangers_send_stop_buys_until_ignored_and_only_that_amount_is(live: ChainWallet):
    mint = live.new_token()
    live.holds_tokens(mint, "5")
    assert live.look() == 1
    assert live.rows() == [(mint, "open", D(5))]
    differences.ignore(difference=live.row(), actor=None)
    assert live.may_buy
    assert live.look() == 0
    assert live.may_buy
    assert live.books(mint) == 0
    live.holds_tokens(mint, "6")
    assert live.look() == 1
    assert live.rows()[-1] == (mint, "open", D(6))
    assert not live.may_buy


def test_tokens_that_came_and_left_again_no_longer_stop_buys(live: ChainWallet):
    """Neither the books nor the chain know of them then, and still somebody has to say that it is over."""
    mint = live.new_token()
    live.holds_tokens(mint, "5")
    assert live.look() == 1
    live.holds_tokens(mint, "0")
    assert live.look() == 0
    assert live.rows() == [(mint, "gone", D(5))]
    assert live.may_buy
    assert live.alerts() == ["WALLET_NOT_RECONCILED", "WALLET_RECONCILED"]

    live.holds_tokens(mint, "5")
    live.look()
    differences.ignore(difference=live.row(), actor=None)
    live.holds_tokens(mint, "0")
    live.look()
    assert [status for _, status, _ in live.rows()] == ["gone", "gone"]


def test_adopted_tokens_are_a_plain_balance_with_the_cost_they_had(live: ChainWallet):
    mint = live.new_token()
    live.holds_tokens(mint, "5")
    live.look()
    row = differences.adopt(difference=live.row(), cost_sol=D("0.5"), actor=None)
    assert (row.status, row.cost_sol) == ("adopted", D("0.5"))
    assert row.transaction is not None
    assert (row.transaction.transaction_type, row.transaction.input_price) == ("deposit", D("0.1"))
    assert live.books(mint) == 5
    assert live.may_buy
    assert live.look() == 0
    again = differences.adopt(difference=row, cost_sol=D("0.5"), actor=None)
    assert again.transaction_id == row.transaction_id
    assert LedgerEntry.objects.filter(wallet=live.wallet, mint=mint).count() == 1
    assert AuditEntry.objects.filter(action="wallet.difference_adopted").count() == 1
    assert audit_differences() == []


def test_an_unknown_cost_is_unknown_and_not_zero(live: ChainWallet):
    live.holds_tokens(live.new_token(), "5")
    live.look()
    row = differences.adopt(difference=live.row(), cost_sol=None, actor=None)
    assert row.transaction is not None
    assert (row.cost_sol, row.transaction.input_price) == (None, None)


def test_what_left_is_adopted_as_a_withdrawal_or_written_off_as_burned(live: ChainWallet):
    live.holds("1.5")
    live.look()
    differences.adopt(difference=live.row(), cost_sol=None, actor=None)
    live.holds("1.25")
    live.look()
    differences.write_off(difference=live.row(), actor=None)
    reasons = LedgerEntry.objects.filter(wallet=live.wallet, delta__lt=0).order_by("id").values_list("reason", "delta")
    assert list(reasons) == [(LedgerReason.WITHDRAWAL, D("-0.5")), (LedgerReason.BURN, D("-0.25"))]
    assert live.look() == 0
    assert audit_differences() == []


def test_what_is_too_much_cannot_be_written_off(live: ChainWallet):
    live.holds("3")
    live.look()
    with pytest.raises(Invalid):
        differences.write_off(difference=live.row(), actor=None)
    assert live.rows() == [(SOL_MINT, "open", D(1))]
    assert live.books() == 2


def test_tokens_of_an_open_position_are_not_booked_away(live: ChainWallet):
    token = factories.make_token(decimals=6, mint=live.new_token())
    position = factories.make_position(live.agent, token, wallet=live.wallet, invested="1", price="0.1")
    held = live.books(token.mint)
    assert held == position.remaining_amount
    live.holds(str(live.books()))
    live.holds_tokens(token.mint, str(held - 1))
    live.look()
    for act in (differences.write_off, lambda **given: differences.adopt(cost_sol=None, **given)):
        with pytest.raises(Conflict):
            act(difference=live.row(), actor=None)
    assert live.books(token.mint) == held
    assert not live.may_buy


def test_a_position_whose_tokens_are_all_gone_ends_with_its_loss_when_they_are_written_off(live: ChainWallet):
    token = factories.make_token(decimals=6, mint=live.new_token())
    position = factories.make_position(live.agent, token, wallet=live.wallet, invested="1", price="0.1")
    factories.make_intent(position)
    live.holds(str(live.books()))
    assert live.look() == 1
    row = differences.write_off(difference=live.row(), actor=None)
    differences.write_off(difference=row, actor=None)
    position.refresh_from_db()
    assert position.close_reason == "write_off"
    assert position.remaining_amount == 0
    assert position.realized_profit_sol == -1
    trade = ClosedTrade.objects.get(position=position)
    assert trade.profit_sol == -1
    assert trade.sale_transaction_id == row.transaction_id
    assert not ExitIntent.objects.filter(position=position, status="due").exists()
    assert live.books(token.mint) == 0
    assert live.look() == 0
    assert live.may_buy
    assert audit_differences() == []


def test_what_was_ended_is_not_ended_otherwise(live: ChainWallet):
    live.holds("3")
    live.look()
    row = live.row()
    differences.ignore(difference=row, actor=None)
    with pytest.raises(Conflict):
        differences.adopt(difference=row, cost_sol=None, actor=None)
    assert live.books() == 2


def test_books_that_moved_since_are_looked_at_again_first(live: ChainWallet):
    live.holds("3")
    live.look()
    factories.fund(live.wallet, "1")
    with pytest.raises(Conflict):
        differences.adopt(difference=live.row(), cost_sol=None, actor=None)
    assert live.books() == 3
    assert live.look() == 0
    assert live.may_buy


def test_a_wallet_with_an_order_under_way_is_judged_when_it_has_ended(live: ChainWallet):
    Balance.objects.filter(wallet=live.wallet, mint=SOL_MINT).update(amount=1, held=1)
    live.holds("1")
    assert live.look() is None
    assert live.rows() == []
    with pytest.raises(errors.OrdersOpen):
        chain_deposits.check_deposits(wallet=live.wallet, actor=None)
    Balance.objects.filter(wallet=live.wallet, mint=SOL_MINT).update(amount=2, held=0)
    assert live.look() == 1


def test_a_difference_found_before_an_order_is_not_booked_during_it(live: ChainWallet):
    live.holds("3")
    live.look()
    Balance.objects.filter(wallet=live.wallet, mint=SOL_MINT).update(amount=1, held=1)
    with pytest.raises(errors.OrdersOpen):
        differences.adopt(difference=live.row(), cost_sol=None, actor=None)
    Balance.objects.filter(wallet=live.wallet, mint=SOL_MINT).update(amount=2, held=0)
    assert live.rows() == [(SOL_MINT, "open", D(1))]


class _ChangesMeanwhile:
    """Nodes that answer after something was booked."""

    nodes = 1

    def __init__(self, live: ChainWallet) -> None:
        self._live = live

    def holdings(self, addresses):
        factories.fund(self._live.wallet, "1")
        return {address: [Holdings("a", 10**9, {SOL_MINT: D(2)})] for address in addresses}


def test_books_that_move_while_the_chain_is_asked_are_not_judged(live: ChainWallet, monkeypatch):
    monkeypatch.setattr(reconciling.chain, "holdings", lambda: _ChangesMeanwhile(live))
    assert live.look() is None
    assert live.rows() == []


class _Says:
    """Two nodes that say this much SOL each; None does not answer."""

    nodes = 2

    def __init__(self, *sol: str | None) -> None:
        self._sol = sol

    def holdings(self, addresses):
        said = [Holdings(f"n{place}", 10**9, {SOL_MINT: D(sol)}) for place, sol in enumerate(self._sol) if sol]
        return dict.fromkeys(addresses, said)


def says(monkeypatch, *sol: str | None) -> None:
    monkeypatch.setattr(reconciling.chain, "holdings", lambda: _Says(*sol))


@pytest.mark.parametrize("sol", [("3", "2"), ("2", "3"), ("3", None), ("3", "4")])
def test_one_nodes_word_stops_nothing_and_is_told_when_it_does_not_pass(live: ChainWallet, monkeypatch, sol):
    says(monkeypatch, *sol)
    assert [live.look(), live.look()] == [1, 1]
    assert live.may_buy
    assert live.alerts() == []
    live.look()
    live.look()
    assert live.alerts() == ["WALLET_DISPUTED"]
    assert live.may_buy
    ((_, status, _),) = live.rows()
    assert status == "suspected"
    says(monkeypatch, "2", "2")
    assert live.look() == 0
    assert live.rows()[0][1] == "gone"


def test_a_node_that_denies_it_does_not_hide_what_both_had_said(live: ChainWallet, monkeypatch):
    says(monkeypatch, "3", "3")
    live.look()
    says(monkeypatch, "3", "2")
    live.look()
    says(monkeypatch, None, "2")
    live.look()
    assert live.rows() == [(SOL_MINT, "open", D(1))]
    assert not live.may_buy


def test_what_one_node_suspected_counts_and_is_told_again_when_the_other_agrees(live: ChainWallet, monkeypatch):
    says(monkeypatch, "3", "2")
    for _ in range(3):
        live.look()
    says(monkeypatch, "3", "3")
    live.look()
    assert live.rows() == [(SOL_MINT, "open", D(1))]
    assert live.alerts() == ["WALLET_DISPUTED", "WALLET_NOT_RECONCILED"]
    assert not live.may_buy


def test_nodes_that_are_away_change_nothing(live: ChainWallet):
    live.holds("3")
    live.market.fault("disconnect")
    assert live.look() is None
    assert live.rows() == []
    assert live.may_buy
    with pytest.raises(errors.ChainUnavailable):
        chain_deposits.check_deposits(wallet=live.wallet, actor=None)
    assert live.books() == 2


def test_a_rate_limit_is_waited_for(live: ChainWallet):
    live.holds("3")
    live.market.fault("rate_limit", "node_1", times=2, retry_after_seconds=0)
    assert live.look() == 1
    assert live.rows() == [(SOL_MINT, "open", D(1))]


def test_deposits_are_not_booked_on_one_nodes_word(live: ChainWallet):
    live.holds("3")
    live.market.fault("disconnect", "node_2")
    with pytest.raises(errors.ChainUnavailable):
        chain_deposits.check_deposits(wallet=live.wallet, actor=None)
    assert live.books() == 2


def test_a_desk_without_nodes_looks_at_nothing(live: ChainWallet, settings):
    settings.SOLANA_RPC_URLS = []
    nodes.forget_nodes()
    live.holds("3")
    assert live.look() is None
    with pytest.raises(errors.ChainNotConfigured):
        chain_deposits.check_deposits(wallet=live.wallet, actor=None)


def test_what_belonged_to_a_former_epoch_is_over(live: ChainWallet):
    live.holds("3")
    live.look()
    live.wallet.epoch += 1
    live.wallet.save()
    assert live.look() == 0  # new books, opened with what there is
    assert live.rows() == [(SOL_MINT, "gone", D(1))]
    assert live.may_buy


def test_the_audit_compares_without_writing(live: ChainWallet):
    mint = live.new_token()
    live.holds_tokens(mint, "5")
    (found,) = reconciling.compare([live.wallet.pk])
    assert [(each.mint, each.chain) for each in found.differing] == [(mint, D(5))]
    assert found.answered
    assert not WalletDifference.objects.exists()
    check = audit_chain.audit_chain()
    assert [str(each) for each in check.differences] == [
        f"wallet {live.wallet.address} {mint}: amount should be 5, is 0"
    ]
    assert check.rows == 1
    live.holds_tokens(mint, "0")
    assert audit_chain.audit_chain().differences == ()


def test_the_audit_says_what_it_could_not_compare(live: ChainWallet):
    live.market.fault("disconnect", "node_1")
    assert "1 not compared" in audit_chain.audit_chain().title

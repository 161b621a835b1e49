"""The list of live orders: what it says of an order that failed."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse

from apps.chain import cluster
from apps.trading.domain import token_safety
from tests import factories


def test_a_code_is_shown_in_words(client: Client) -> None:
    factories.make_order(factories.make_agent(), factories.make_token(), status="failed", code="TOKEN_TRANSFER_FEE")
    page = client.get(reverse("admin:trading_order_changelist")).content.decode()
    assert "token transfer fee" in page


def page_of(client: Client, name: str, key: object) -> str:
    return client.get(reverse(f"admin:trading_{name}_change", args=[key])).content.decode()


def test_what_an_order_cost_is_told_line_by_line_and_adds_up(client: Client) -> None:
    fill = {
        "signature": "5Sig",
        "slot": 7,
        "block_time": None,
        "side": "buy",
        "mint": "M",
        "token_base_units": 1_000,
        "swap_lamports": 50_000_000,
        "wallet_lamports_delta": -52_084_280,
        "wallet_token_delta": 1_000,
        "error": None,
        "network_fee_lamports": 5_000,
        "priority_fee_lamports": 30_000,
        "tip_lamports": 10_000,
        "protocol_fee_lamports": 50_000,
        "rent_lamports": 2_039_280,
    }
    order = factories.make_order(
        factories.make_agent(), factories.make_token(), status="landed", signature="5Sig", fill=fill
    )
    page = page_of(client, "order", order.pk)
    for title, sol in (
        ("Paid for the tokens", "−0.05"),
        ("Network fee", "−0.000005"),
        ("Priority fee", "−0.00003"),
        ("Tip", "−0.00001"),
        ("Aggregator&#x27;s fee, within that", "−0.00005"),
        ("Rent, a deposit", "−0.0020"),
        ("The wallet in all", "−0.0521"),
    ):
        line = page.partition(f"<b>{title}</b>")[2].partition("</b>")[0]
        assert sol in line, title


def test_a_signature_leads_to_the_explorer_of_the_cluster_it_is_on(client: Client, monkeypatch) -> None:
    order = factories.make_order(factories.make_agent(), factories.make_token(), status="landed", signature="5Sig")
    assert "explorer.solana.com" not in page_of(client, "order", order.pk)
    told = cluster.Standing(cluster.Cluster.DEVNET, {}, {})
    monkeypatch.setattr(cluster, "standing", lambda: told)
    assert "https://explorer.solana.com/tx/5Sig?cluster=devnet" in page_of(client, "order", order.pk)


def test_an_execution_says_in_words_why_a_token_was_refused_and_what_was_looked_at(client: Client) -> None:
    mint = {"program": token_safety.SPL_2022, "extensions": ["permanentDelegate"], "permanent_delegate": "Deleg8"}
    evidence = {
        "codes": ["TOKEN_PERMANENT_DELEGATE"],
        "mint": mint,
        "prices": {"jupiter": "0.001", "dexscreener": "0.00101"},
        "sale": {"spentLamports": 50_000_000, "backLamports": 49_000_000, "succeeded": True, "error": ""},
        "allowed": {},
    }
    agent, token = factories.make_agent(), factories.make_token()
    signal = factories.make_signal(agent.user, token)
    order = factories.make_order(
        agent,
        token,
        signal=signal,
        purpose="entry",
        status="failed",
        code="TOKEN_PERMANENT_DELEGATE",
        evidence=evidence,
    )
    execution = factories.make_execution(signal, agent, verdict="skipped", code="TOKEN_PERMANENT_DELEGATE")
    for page in (page_of(client, "order", order.pk), page_of(client, "signalexecution", execution.pk)):
        assert "Somebody can take what was bought." in page
        assert "A mint of Token-2022 with permanentDelegate." in page
        assert "Deleg8 can take anybody&#x27;s tokens." in page
        assert "Selling at once what 0.0500 SOL buy would bring 0.0490 SOL; tried on a node, both went through." in page
    assert reverse("admin:trading_order_change", args=[order.pk]) in page

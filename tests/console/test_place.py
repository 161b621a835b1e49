"""Whose money it is stands in every page's header, and nothing but the nodes decides the word."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from apps.chain import cluster
from apps.chain.cluster import Cluster, Standing
from apps.console import place
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _with_a_node(settings) -> None:
    settings.SOLANA_RPC_URLS = ["http://127.0.0.1:9"]


def told(monkeypatch, standing: Standing | None) -> None:
    monkeypatch.setattr(cluster, "standing", lambda: standing)


def of(found: Cluster) -> Standing:
    return Standing(found, {"node": "hash"}, {})


@pytest.fixture
def client() -> Client:
    operator = Client()
    operator.force_login(factories.make_operator())
    return operator


@pytest.mark.parametrize(
    ("found", "word", "tone"),
    [
        (Cluster.MAINNET, "MAINNET", "danger"),
        (Cluster.DEVNET, "DEVNET", "warning"),
        (Cluster.SANDBOX, "SANDBOX", "success"),
    ],
)
def test_the_header_of_every_page_says_the_cluster(client, monkeypatch, found, word, tone):
    told(monkeypatch, of(found))
    for page in (reverse("admin:index"), reverse("admin:agents_agent_changelist"), reverse("desk:desk")):
        shown = client.get(page).content.decode()
        assert f">{word}</" in shown, page
        assert f'data-tone="{tone}"' in shown, page
    assert f"<title>[{word}]" in " ".join(client.get(reverse("admin:index")).content.decode().split())
    assert client.get(reverse("desk:place")).json() == {
        "word": word,
        "tone": tone,
        "sentence": place.of(found).sentence,
        "known": True,
    }


@pytest.mark.parametrize(
    ("standing", "word"),
    [
        (None, "UNKNOWN"),
        (Standing(None, {}, {"node": "NODE_UNAVAILABLE"}), "UNKNOWN"),
        (Standing(None, {"one": "a", "two": "b"}, {}), "NODES DISAGREE"),
    ],
)
def test_what_no_node_has_told_is_not_guessed(client, monkeypatch, standing, word):
    told(monkeypatch, standing)
    assert client.get(reverse("desk:place")).json()["word"] == word
    assert not client.get(reverse("desk:place")).json()["known"]
    assert f">{word}</span>" in client.get(reverse("admin:index")).content.decode()


def test_a_desk_without_nodes_says_so(client, settings):
    settings.SOLANA_RPC_URLS = []
    assert client.get(reverse("desk:place")).json()["word"] == "NO NODE"

"""Live keys in the admin: who besides staff may use one, and that strangers to the desk decide nothing."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse

from apps.accounts.models import AuditEntry, User
from apps.wallets.models import LiveKeyGrant, Wallet
from tests import factories


def press(client: Client, model: str, button: str, key: object, **posted: object):
    return client.post(reverse(f"admin:wallets_{model}_{button}", args=[key]), posted)


def test_an_operator_allows_a_user_and_takes_it_back(client: Client, operator: User) -> None:
    key, user = factories.make_live_key(), factories.make_user()
    assert press(client, "livekey", "allow", key.pk, user=user.pk).status_code == 302
    grant = LiveKeyGrant.objects.get(key=key, user=user)
    assert AuditEntry.objects.get(action="live_key.allowed").actor_id == operator.pk
    page = client.get(reverse("admin:wallets_livekey_changelist")).content.decode()
    assert key.name in page
    assert press(client, "livekeygrant", "withdraw", grant.pk).status_code == 302
    assert not LiveKeyGrant.objects.exists()
    assert AuditEntry.objects.get(action="live_key.withdrawn").actor_id == operator.pk


def test_staff_need_no_grant_and_get_none(client: Client) -> None:
    key = factories.make_live_key()
    answer = press(client, "livekey", "allow", key.pk, user=factories.make_operator().pk)
    assert answer.status_code == 200 and "user" in answer.context["form"].errors
    assert not LiveKeyGrant.objects.exists()


def test_who_may_only_look_allows_nobody(db) -> None:
    viewer = factories.make_user(is_staff=True)
    client = Client()
    client.force_login(viewer)
    key, user = factories.make_live_key(), factories.make_user()
    assert press(client, "livekey", "allow", key.pk, user=user.pk).status_code == 403
    assert not LiveKeyGrant.objects.exists()


def test_a_live_wallet_is_unassigned_by_a_button_and_a_simulation_wallet_is_not(client: Client, operator: User) -> None:
    agent, key = factories.make_agent(), factories.make_live_key()
    live = factories.make_wallet(agent, wallet_type="live", address=key.address)
    factories.fund(live, "2")
    assert press(client, "wallet", "unassign", live.pk).status_code == 302
    live.refresh_from_db()
    assert live.released_at is not None
    assert AuditEntry.objects.get(action="wallet.unassigned").actor_id == operator.pk
    simulated = factories.wallet_of(agent)
    answer = press(client, "wallet", "unassign", simulated.pk)
    assert "SIMULATION_WALLET" in answer.content.decode()
    assert Wallet.objects.get(pk=simulated.pk).released_at is None


def test_an_agent_is_given_a_live_wallet_by_a_button(client: Client, operator: User) -> None:
    agent, key = factories.make_agent(), factories.make_live_key()
    url = reverse("admin:agents_agent_assign_wallet", args=[agent.pk])
    assert key.address in client.get(url).content.decode()
    assert client.post(url, {"key": key.pk}).status_code == 302
    assert factories.wallet_of(agent, "live").address == key.address
    assert AuditEntry.objects.get(action="wallet.assigned").actor_id == operator.pk
    other = factories.make_agent()
    answer = client.post(reverse("admin:agents_agent_assign_wallet", args=[other.pk]), {"key": key.pk})
    assert "WALLET_IN_USE" in answer.content.decode()


def test_looking_for_deposits_says_that_no_chain_is_set_up(client: Client) -> None:
    live = factories.make_wallet(factories.make_agent(sol=None), wallet_type="live")
    answer = press(client, "wallet", "check_deposits", live.pk)
    assert "CHAIN_NOT_CONFIGURED" in answer.content.decode()

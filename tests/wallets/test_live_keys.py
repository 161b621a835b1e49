"""What the signer reports is what may be assigned; nothing but addresses is ever stored."""

from __future__ import annotations

import pytest

from apps.accounts.models import AuditEntry
from apps.core.errors import Conflict
from apps.wallets import selectors
from apps.wallets.models import KeySource, LiveKey, LiveKeyGrant, Network
from apps.wallets.services import live_keys
from apps.wallets.services.live_keys import LoadedKey
from tests import factories

pytestmark = pytest.mark.django_db

FIRST, SECOND = factories.mint_of("first key"), factories.mint_of("second key")


def loaded(address, **changes):
    return LoadedKey(address, **{"source": KeySource.ENV, "network": Network.MAINNET, "name": "WALLET_1", **changes})


def test_what_is_reported_is_loaded_and_what_is_not_named_any_more_is_not():
    live_keys.report_loaded([loaded(FIRST), loaded(SECOND, name="WALLET_2")])
    live_keys.report_loaded([loaded(SECOND, name="WALLET_2")])
    assert dict(LiveKey.objects.values_list("address", "loaded")) == {FIRST: False, SECOND: True}
    assert LiveKey.objects.get(address=FIRST).loaded_at is not None
    actions = list(AuditEntry.objects.order_by("id").values_list("action", "object_id"))
    assert sorted(actions[:2]) == sorted([("live_key.loaded", FIRST), ("live_key.loaded", SECOND)])
    assert actions[2:] == [("live_key.unloaded", FIRST)]


def test_a_signer_that_starts_again_with_the_same_keys_changes_nothing_but_the_time():
    live_keys.report_loaded([loaded(FIRST)])
    before = LiveKey.objects.get()
    live_keys.report_loaded([loaded(FIRST)])
    after = LiveKey.objects.get()
    assert after.loaded_at > before.loaded_at
    assert AuditEntry.objects.count() == 1


def test_a_key_that_comes_from_elsewhere_now_says_so():
    live_keys.report_loaded([loaded(FIRST)])
    live_keys.report_loaded([loaded(FIRST, source=KeySource.FILE, network=Network.TESTNET, name="desk.key")])
    key = LiveKey.objects.get()
    assert (key.source, key.network, key.name) == ("file", "testnet", "desk.key")
    entry = AuditEntry.objects.latest("id")
    assert (entry.before["source"], entry.after["source"]) == ("env", "file")


def test_a_locked_signer_has_nothing_to_assign():
    key = factories.make_live_key()
    live_keys.report_loaded([])
    assert not selectors.assignable_keys(user=factories.make_operator()).exists()
    assert selectors.loaded_addresses([key.address]) == set()


def test_staff_may_use_every_loaded_key_and_others_those_they_were_allowed():
    operator, user, stranger = factories.make_operator(), factories.make_user(), factories.make_user()
    one, two = factories.make_live_key(), factories.make_live_key()
    factories.make_live_key(loaded=False)
    live_keys.allow(key=one, user=user, actor=operator)
    assert {key.address for key in selectors.assignable_keys(user=operator)} == {one.address, two.address}
    assert [key.address for key in selectors.assignable_keys(user=user)] == [one.address]
    assert list(selectors.assignable_keys(user=stranger)) == []
    entry = AuditEntry.objects.get(action="live_key.allowed")
    assert (entry.object_id, entry.actor_id, entry.after) == (one.address, operator.pk, {"user": user.email})


def test_a_right_is_given_once_and_taken_back():
    operator, user, key = factories.make_operator(), factories.make_user(), factories.make_live_key()
    grant = live_keys.allow(key=key, user=user, actor=operator)
    with pytest.raises(Conflict, match="already"):
        live_keys.allow(key=key, user=user, actor=operator)
    live_keys.withdraw(grant=grant, actor=operator)
    live_keys.withdraw(grant=grant, actor=operator)
    assert not LiveKeyGrant.objects.exists()
    assert not selectors.assignable_keys(user=user).exists()
    assert AuditEntry.objects.get(action="live_key.withdrawn").before == {"user": user.email}


def test_no_column_could_hold_a_private_key():
    widths = {field.name: field.max_length for field in LiveKey._meta.concrete_fields if field.max_length}
    assert max(widths.values()) < 87, "a secret key is 87 or 88 characters of base58"
    assert set(widths) == {"address", "name", "source", "network"}

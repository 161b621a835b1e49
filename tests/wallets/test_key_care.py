"""Operators look after the signer's keys through the API; the log has it, the desk knows at once, no secret stays."""

from __future__ import annotations

import hashlib

import pytest
from django.urls import reverse

from apps.accounts.models import AuditEntry
from apps.wallets.models import LiveKey
from apps.wallets.services import key_care
from tests import factories
from tests.apiclient import api_of
from tests.wallets.signer.doors import open_door
from tests.wallets.signer.world import SOL

pytestmark = pytest.mark.django_db
PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def signer(settings, monkeypatch):
    """A signer behind its door; deriving keys costs little here, what it costs is tested with the key files."""
    scrypt = hashlib.scrypt
    monkeypatch.setattr(hashlib, "scrypt", lambda *given, **how: scrypt(*given, **{**how, "n": 2**10}))
    with open_door(variables={}) as path:
        settings.SIGNER_SOCKET = str(path)
        yield path


@pytest.fixture(autouse=True)
def generous_limits(settings):
    """All requests come from one address: only the test of the limit itself may meet it."""
    settings.WALLET_CHANGES_PER_MINUTE = 100_000


@pytest.fixture
def operator():
    return factories.make_operator()


@pytest.fixture
def api(operator):
    return api_of(operator)


def actions():
    return list(AuditEntry.objects.filter(object_type="live_key").order_by("id").values_list("action", flat=True))


def test_a_key_is_made_locked_unlocked_and_handed_out_encrypted_and_the_log_has_it(
    signer, api, operator, caplog, capsys
):
    made = api.post("/wallets/keys", {"name": "First", "passphrase": PASSPHRASE})
    assert made.status == 201
    address = made.json["walletAddress"]
    assert (made.json["name"], made.json["source"], made.json["locked"]) == ("First", "file", False)
    row = LiveKey.objects.get(address=address)
    assert (row.loaded, row.network, row.source) == (True, "testnet", "file")
    assert api.get("/wallets/keys").json[0]["walletAddress"] == address

    assert api.post(f"/wallets/keys/{address}/lock").json["locked"] is True
    assert LiveKey.objects.get(address=address).loaded is False
    assert api.get("/wallets/keys").json == []

    wrong = api.post(f"/wallets/keys/{address}/unlock", {"passphrase": "not the right passphrase"})
    assert (wrong.status, wrong.json["code"]) == (400, "PASSPHRASE_WRONG")
    assert LiveKey.objects.get(address=address).loaded is False
    assert api.post(f"/wallets/keys/{address}/unlock", {"passphrase": PASSPHRASE}).status == 200
    assert LiveKey.objects.get(address=address).loaded is True

    factories.make_second_factor(operator)  # ends every session of before
    api = api_of(operator)
    asked = {"passphrase": PASSPHRASE, "totpCode": factories.totp_code(operator)}
    given = api.post(f"/wallets/keys/{address}/export", asked)
    assert given.status == 200
    assert given.headers["Cache-Control"] == "no-store"
    assert given.json["file"]["address"] == address
    assert set(given.json["file"]) == {"format", "address", "name", "createdAt", "scrypt", "nonce", "sealed"}
    assert actions() == [
        "live_key.created",
        "live_key.loaded",
        "live_key.locked",
        "live_key.unloaded",
        "live_key.unlocked",
        "live_key.loaded",
        "live_key.exported",
    ]
    exported = AuditEntry.objects.get(action="live_key.exported")
    assert (exported.actor_id, exported.object_id) == (operator.pk, address)
    again = api.post("/wallets/keys/import", {"file": given.json["file"]})
    assert (again.status, again.json["code"]) == (409, "KEY_EXISTS")
    said = caplog.text + "".join(capsys.readouterr()) + str(list(AuditEntry.objects.values()))
    assert PASSPHRASE not in said
    assert given.json["file"]["sealed"] not in said


def test_a_key_is_not_handed_out_without_a_second_factor_and_its_code(signer, api, operator):
    held = key_care.create_key(name="First", passphrase=PASSPHRASE, actor=operator)
    before = actions()
    path = f"/wallets/keys/{held.address}/export"
    off = api.post(path, {"passphrase": PASSPHRASE, "totpCode": "000000"})
    assert off.status == 409
    factories.make_second_factor(operator)
    api = api_of(operator)
    wrong = api.post(path, {"passphrase": PASSPHRASE, "totpCode": "000000"})
    assert wrong.status == 400
    code = factories.totp_code(operator)
    assert api.post(path, {"passphrase": "some other passphrase", "totpCode": code}).json["code"] == "PASSPHRASE_WRONG"
    assert actions() == before


def test_the_signer_tells_operators_what_it_holds_and_what_of_its_caps_is_used(signer, api):
    told = api.get("/wallets/signer").json
    assert (told["maxTradeSol"], told["maxDaySol"], told["spentDaySol"]) == (2, 10, 0)
    assert (told["network"], told["keys"], told["maxSlippageBps"]) == ("testnet", [], 1_000)
    assert SOL == 10**9


def test_while_the_signer_is_away_what_it_held_stays_known(signer, settings, operator):
    held = key_care.create_key(name="First", passphrase=PASSPHRASE, actor=operator)
    settings.SIGNER_SOCKET = str(signer) + ".gone"
    key_care.follow()
    assert LiveKey.objects.get(address=held.address).loaded is True


def test_following_a_signer_that_changed_nothing_writes_nothing(signer, operator):
    held = key_care.create_key(name="First", passphrase=PASSPHRASE, actor=operator)
    before = LiveKey.objects.get(address=held.address).loaded_at
    key_care.follow()
    assert LiveKey.objects.get(address=held.address).loaded_at == before


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("", {"name": "First", "passphrase": "short"}),
        ("", {"name": "First", "passphrase": "aaaaaaaaaaaaaaaaaaaa"}),
    ],
)
def test_a_weak_passphrase_makes_no_key(signer, api, name, body):
    refused = api.post("/wallets/keys", body)
    assert (refused.status, refused.json["code"]) == (400, "PASSPHRASE_WEAK")
    assert actions() == []
    assert api.get("/wallets/signer").json["keys"] == []


def press(client, button, *place, **posted):
    return client.post(reverse(f"admin:wallets_livekey_{button}", args=place), posted)


def test_the_admin_makes_locks_unlocks_and_hands_out_a_key(signer, operator, client):
    client.force_login(operator)
    differing = press(client, "make_key", name="First", passphrase=PASSPHRASE, again="something else entirely")
    assert "The two passphrases differ" in differing.content.decode()
    assert not LiveKey.objects.exists()
    assert press(client, "make_key", name="First", passphrase=PASSPHRASE, again=PASSPHRASE).status_code == 302
    key = LiveKey.objects.get(loaded=True)
    assert press(client, "lock", key.pk).status_code == 302
    assert LiveKey.objects.get().loaded is False
    wrong = press(client, "unlock", address=key.pk, passphrase="not the right passphrase")
    assert "PASSPHRASE_WRONG" in wrong.content.decode()
    assert "not the right passphrase" not in wrong.content.decode()
    assert press(client, "unlock", address=key.pk, passphrase=PASSPHRASE).status_code == 302
    assert LiveKey.objects.get().loaded is True

    refused = press(client, "export", key.pk, passphrase=PASSPHRASE, code="000000")
    assert "TOTP_NOT_SET_UP" in refused.content.decode()
    factories.make_second_factor(operator)
    client.force_login(operator)
    given = press(client, "export", key.pk, passphrase=PASSPHRASE, code=factories.totp_code(operator))
    assert "no-store" in given.headers["Cache-Control"]
    assert "soldesk-key-1" in given.content.decode()
    assert actions()[-1] == "live_key.exported"
    assert PASSPHRASE not in given.content.decode()


def test_who_may_only_look_presses_none_of_it(signer, operator, client):
    held = key_care.create_key(name="First", passphrase=PASSPHRASE, actor=operator)
    client.force_login(factories.make_user(is_staff=True))
    for button, place in (("make_key", ()), ("unlock", ()), ("lock", (held.address,)), ("export", (held.address,))):
        assert press(client, button, *place, passphrase=PASSPHRASE).status_code == 403
    assert LiveKey.objects.get().loaded is True

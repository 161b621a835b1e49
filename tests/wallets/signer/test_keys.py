"""Keys: what they are read from, how their files are sealed, who may open them, and that none of it is ever shown."""

from __future__ import annotations

import hashlib
import json
import stat

import pytest
from solders.keypair import Keypair

from apps.wallets.signer import key_file, keyring, secret_text
from apps.wallets.signer.key_file import LEAST_N, KeyFile, address_of
from apps.wallets.signer.keyring import FREE_TRIES, Keyring
from apps.wallets.signer.reasons import Reason, Refused

PASSPHRASE = "correct horse battery staple"
PAIR = Keypair.from_seed(bytes([3] * 32))
SEED = bytes(PAIR)[:32]
SCRYPT = hashlib.scrypt


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """Derive at little cost; the one test that is about the cost does it as it is."""
    monkeypatch.setattr(hashlib, "scrypt", lambda *given, **how: SCRYPT(*given, **{**how, "n": 2**10}))


@pytest.fixture
def sealed():
    return KeyFile.seal(SEED, name="Desk", passphrase=PASSPHRASE)


def refusal(work, *given, **named):
    with pytest.raises(Refused) as caught:
        work(*given, **named)
    return caught.value.reason


# -- texts


@pytest.mark.parametrize("text", [str(PAIR), json.dumps(list(bytes(PAIR))), f"  {PAIR}\n"])
def test_a_key_is_read_from_base58_and_from_an_array_of_numbers(text):
    assert address_of(secret_text.read(text)) == str(PAIR.pubkey())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0OIl",
        str(PAIR)[:-1],
        str(PAIR) + "1",
        str(PAIR.pubkey()),
        "[1,2,3]",
        "[" + "300," * 63 + "1]",
        "[null]",
        "{}",
        json.dumps(list(SEED) + [0] * 32),
        json.dumps([*list(bytes(PAIR))[:63], 1]),
    ],
)
def test_what_is_no_key_is_refused_without_showing_it(text):
    with pytest.raises(Refused) as caught:
        secret_text.read(text)
    assert caught.value.reason == Reason.KEY_UNREADABLE
    assert not text.strip() or text not in str(caught.value)
    assert caught.value.__cause__ is None


# -- files


def test_a_sealed_key_opens_with_its_passphrase_alone(monkeypatch):
    asked = []

    def watched(*given, **how):
        asked.append(how["n"])
        return SCRYPT(*given, **how)

    monkeypatch.setattr(hashlib, "scrypt", watched)
    sealed = KeyFile.seal(SEED, name="Desk", passphrase=PASSPHRASE)
    assert sealed.open(PASSPHRASE).private_bytes_raw() == SEED
    assert asked == [LEAST_N, LEAST_N]
    assert LEAST_N == 2**17


def test_another_passphrase_opens_nothing(sealed):
    assert refusal(sealed.open, PASSPHRASE + " ") == Reason.PASSPHRASE_WRONG


def test_nothing_of_the_key_stands_in_its_file(sealed):
    text = json.dumps(sealed.told())
    for secret in (SEED.hex(), str(PAIR), PASSPHRASE, key_file.b64encode(SEED).decode()):
        assert secret not in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", str(Keypair.from_seed(bytes([4] * 32)).pubkey())),
        ("name", "Another"),
        ("createdAt", "2020-01-01T00:00:00+00:00"),
        ("nonce", "AAAAAAAAAAAAAAAA"),
    ],
)
def test_a_header_that_was_changed_opens_nothing(sealed, field, value):
    changed = KeyFile.read({**sealed.told(), field: value})
    assert refusal(changed.open, PASSPHRASE) == Reason.PASSPHRASE_WRONG


@pytest.mark.parametrize(
    "change",
    [
        {"format": "soldesk-key-2"},
        {"sealed": "AAAA"},
        {"sealed": "not base64!"},
        {"address": "somebody"},
        {"nonce": ""},
        {"scrypt": {"n": 2**10, "r": 8, "p": 1, "salt": "AAAAAAAAAAAAAAAAAAAAAA=="}},
        {"scrypt": {"n": 2**30, "r": 8, "p": 1, "salt": "AAAAAAAAAAAAAAAAAAAAAA=="}},
        {"scrypt": {"n": 2**17 + 1, "r": 8, "p": 1, "salt": "AAAAAAAAAAAAAAAAAAAAAA=="}},
        {"scrypt": None},
    ],
)
def test_a_file_that_is_none_is_refused(sealed, change):
    assert refusal(KeyFile.read, {**sealed.told(), **change}) == Reason.KEY_UNREADABLE


def test_a_file_is_written_whole_and_for_its_owner_alone(sealed, tmp_path):
    path = sealed.write(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert KeyFile.load(path) == sealed


def test_a_file_others_may_read_or_a_link_is_not_taken(sealed, tmp_path):
    path = sealed.write(tmp_path)
    path.chmod(0o640)
    assert refusal(KeyFile.load, path) == Reason.KEY_UNREADABLE
    path.chmod(0o600)
    link = tmp_path / f"link{key_file.SUFFIX}"
    link.symlink_to(path)
    assert refusal(KeyFile.load, link) == Reason.KEY_UNREADABLE


@pytest.mark.parametrize("passphrase", ["", "short", "elevenchars", "a" * 40, "abababababab", "x" * 2_000])
def test_a_weak_passphrase_is_refused_before_anything_is_derived(passphrase):
    assert refusal(key_file.check_passphrase, passphrase) == Reason.PASSPHRASE_WEAK


# -- the ring


async def refused(work):
    with pytest.raises(Refused) as caught:
        await work
    return caught.value.reason


async def test_wrong_passphrases_wait_longer_each_time_and_the_right_one_waits_too(tmp_path):
    now = [1000.0]
    ring = Keyring(tmp_path, now=lambda: now[0])
    ring.open({})
    address = (await ring.create(name="Desk", passphrase=PASSPHRASE))["address"]
    ring.lock(address)
    for _ in range(FREE_TRIES):
        assert await refused(ring.unlock(address=address, passphrase="wrong " * 4)) == Reason.PASSPHRASE_WRONG
    assert await refused(ring.unlock(address=address, passphrase=PASSPHRASE)) == Reason.PASSPHRASE_LOCKED
    assert await refused(ring.export(address=address, passphrase=PASSPHRASE)) == Reason.PASSPHRASE_LOCKED
    now[0] += keyring.FIRST_PAUSE_SECONDS
    assert await refused(ring.unlock(address=address, passphrase="wrong " * 4)) == Reason.PASSPHRASE_WRONG
    now[0] += keyring.FIRST_PAUSE_SECONDS
    assert await refused(ring.unlock(address=address, passphrase=PASSPHRASE)) == Reason.PASSPHRASE_LOCKED
    now[0] += keyring.FIRST_PAUSE_SECONDS
    assert (await ring.unlock(address=address, passphrase=PASSPHRASE))["locked"] is False


async def test_a_key_of_the_environment_has_no_passphrase(tmp_path):
    ring = Keyring(tmp_path)
    ring.open({"WALLET_1": str(PAIR), "WALLET_2": "nonsense", "WALLET_X": str(PAIR), "OTHER": str(PAIR)})
    assert ring.told() == [{"address": str(PAIR.pubkey()), "name": "WALLET_1", "source": "env", "locked": False}]
    wrong = await refused(ring.export(address=str(PAIR.pubkey()), passphrase=PASSPHRASE))
    assert wrong == Reason.KEY_FROM_ENVIRONMENT


async def test_a_locked_key_signs_nothing_until_it_is_unlocked(tmp_path):
    ring = Keyring(tmp_path)
    ring.open({})
    address = (await ring.create(name="Desk", passphrase=PASSPHRASE))["address"]
    first = ring.sign(address, b"message")
    assert ring.sign(address, b"message") == first
    ring.lock(address)
    with pytest.raises(Refused) as caught:
        ring.sign(address, b"message")
    assert caught.value.reason == Reason.KEY_LOCKED
    started_again = Keyring(tmp_path)
    started_again.open({})
    assert started_again.told()[0]["locked"] is True
    await started_again.unlock(address=address, passphrase=PASSPHRASE)
    assert started_again.sign(address, b"message") == first


async def test_a_file_dropped_into_the_folder_is_found(sealed, tmp_path):
    ring = Keyring(tmp_path)
    ring.open({})
    assert ring.told() == []
    path = sealed.write(tmp_path)
    ring.look_for_files()
    assert [told["locked"] for told in ring.told()] == [True]
    path.unlink()
    ring.look_for_files()
    assert ring.told() == []


async def test_idle_keys_of_files_lock_themselves_and_those_of_the_environment_do_not(tmp_path):
    now = [0.0]
    ring = Keyring(tmp_path, now=lambda: now[0])
    ring.open({"WALLET_1": str(PAIR)})
    address = (await ring.create(name="Desk", passphrase=PASSPHRASE))["address"]
    now[0] = 50.0
    ring.sign(address, b"message")
    ring.lock_idle(60)
    now[0] = 100.0
    ring.lock_idle(60)
    assert {told["address"]: told["locked"] for told in ring.told()} == {address: False, str(PAIR.pubkey()): False}
    now[0] = 111.0
    ring.lock_idle(60)
    assert {told["address"]: told["locked"] for told in ring.told()} == {address: True, str(PAIR.pubkey()): False}


async def test_no_picture_of_the_ring_shows_a_key(tmp_path, caplog, capsys):
    ring = Keyring(tmp_path)
    ring.open({"WALLET_1": str(PAIR)})
    await ring.create(name="Desk", passphrase=PASSPHRASE)
    pictures = f"{ring!r} {ring} {ring.told()} {caplog.text} {''.join(capsys.readouterr())}"
    for secret in (str(PAIR), PASSPHRASE, SEED.hex(), str(list(SEED))[1:-1]):
        assert secret not in pictures

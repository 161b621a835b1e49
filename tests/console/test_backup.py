"""A backup of a traded desk comes back whole on another cluster, and nothing that is not whole comes back at all."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from apps.accounts.models import AuditEntry
from apps.agents.models import Agent
from apps.console.backup import making, manifest, restoring
from apps.console.backup.errors import BackupFailed, BackupRefused
from apps.console.backup.making import SignerFiles
from apps.trading.services import entries, hand_buys
from config.runtime.embedded import scratch_services
from config.runtime.environment import ROOT
from tests import factories
from tests.api.permissions.world import whole_database
from tests.trading.closing import differences
from tests.trading.test_entries import FIXED_SIZE, send

pytestmark = pytest.mark.django_db(transaction=True)

KEY = {"format": "soldesk-key-1", "address": "x", "sealed": "only with the passphrase"}


@pytest.fixture
def signer(tmp_path: Path) -> SignerFiles:
    """Return a signer's files: a sealed key and what it has let out."""
    keys = tmp_path / "signer" / "keys"
    keys.mkdir(parents=True)
    (keys / "x.key.json").write_text(json.dumps(KEY))
    ledger = tmp_path / "signer" / "signed.jsonl"
    ledger.write_text('{"kind": "entry", "order_id": "1", "spent": 5}\n')
    return SignerFiles(keys, ledger)


@pytest.fixture
def traded(market) -> Agent:
    """Return an agent that has bought by signal and by hand, gained, lost and taken profit."""
    agent = factories.make_agent(sol="100", config=FIXED_SIZE)
    first, second = market.add_tokens(2)
    entries.process_signal(send(agent.user, first).pk)
    hand_buys.buy_by_hand(agent=agent, token_address=second.mint, actor=None)
    position = factories.make_position(agent, factories.make_token(), invested="2", price="0.5")
    factories.take_profit(position, tokens="2", proceeds="1.25")
    factories.close_position(position, proceeds="0.75", reason="stop_loss")
    return agent


def restored(folder: Path, home: Path, url_env: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as an operator does."""
    environment = os.environ | url_env | {"SECRET_KEY": settings.SECRET_KEY, "SOLDESK_HOME": str(home)} | more
    command = [sys.executable, "manage.py", "restore", str(folder)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_traded_desk_comes_back_whole_on_another_cluster(traded, signer, tmp_path):
    assert differences() == []
    folder = tmp_path / "kept"
    made = making.make(folder, signer=signer)
    before = digests()
    home = tmp_path / "home"

    with scratch_services() as services:
        done = restored(folder, home, services.env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "audit: 0 differences" in done.stdout
        with psycopg.connect(services.env["DATABASE_URL"]) as elsewhere:
            found = digests(lambda sql: elsewhere.execute(sql).fetchall())
            stamps = elsewhere.execute(
                "SELECT max(changed_xid::text::bigint) FROM (SELECT changed_xid FROM position UNION ALL"
                " SELECT changed_xid FROM agent UNION ALL SELECT changed_xid FROM exit_intent) AS every"
            ).fetchone()
            elsewhere.execute("UPDATE agent SET name = 'Renamed'")
            changed = elsewhere.execute("SELECT bool_and(changed_xid > '0') FROM agent").fetchone()
        again = restored(folder, home, services.env)

    assert found == before
    assert stamps == (0,)
    assert changed == (True,), "the triggers that stamp changes are on again"
    assert made.rows["position"] == 3
    assert json.loads((home / "signer" / "keys" / "x.key.json").read_text()) == KEY
    assert (home / "signer" / "signed.jsonl").read_text() == signer.ledger.read_text()
    assert (home / "signer" / "keys" / "x.key.json").stat().st_mode & 0o777 == 0o600
    assert again.returncode == 1
    assert "DESK_IN_USE" in again.stderr


def digests(fetch: Callable[[str], list] | None = None) -> dict[str, str]:
    """Return a digest of every table of the desk, without what a restore itself writes."""
    if fetch is None:

        def fetch(sql: str) -> list:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()

    names = [name for (name,) in fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]
    return {
        name: fetch(
            "SELECT count(*) || coalesce(md5(string_agg(line, ',' ORDER BY line)), '') FROM"
            f" (SELECT (to_jsonb(t) - 'changed_xid')::text AS line FROM \"{name}\" t) rows"
        )[0][0]
        for name in names
        if name != "audit_log"
    }


def refused(folder: Path, signer: SignerFiles, tmp_path: Path, **options: bool) -> str:
    """Try to restore into this very desk; return the code, with nothing changed."""
    before = whole_database()
    with pytest.raises(BackupRefused) as refusal:
        restoring.restore(
            folder, signer=signer, socket_path=tmp_path / "no-socket", home_folder=tmp_path / "home", **options
        )
    assert whole_database() == before
    return refusal.value.code


@pytest.fixture
def alone(monkeypatch) -> None:
    """Let the test's own connections pass for nobody's."""
    monkeypatch.setattr(restoring.postgres, "others", list)


def test_a_desk_that_runs_or_has_traded_is_not_overwritten(signer, tmp_path, monkeypatch):
    making.make(tmp_path / "kept", signer=signer)
    with psycopg.connect(**_where(), application_name="a worker"):
        assert refused(tmp_path / "kept", signer, tmp_path) == "DESK_RUNS"
    monkeypatch.setattr(restoring.postgres, "others", list)
    factories.make_agent()
    assert refused(tmp_path / "kept", signer, tmp_path) == "DESK_IN_USE"


def _where() -> dict[str, Any]:
    told = connection.settings_dict
    return {
        "host": told["HOST"],
        "port": told["PORT"],
        "user": told["USER"],
        "password": told["PASSWORD"],
        "dbname": told["NAME"],
    }


@pytest.mark.parametrize("name", [manifest.DATABASE, f"{manifest.KEYS}/x.key.json", manifest.LEDGER])
def test_a_backup_that_lost_a_byte_is_refused(alone, signer, tmp_path, name):
    folder = tmp_path / "kept"
    making.make(folder, signer=signer)
    damaged = folder / name
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert refused(folder, signer, tmp_path) == "BACKUP_DAMAGED"
    damaged.unlink()
    assert refused(folder, signer, tmp_path) == "BACKUP_DAMAGED"


def test_a_backup_of_a_newer_desk_or_of_another_secret_is_refused(alone, signer, tmp_path):
    folder = tmp_path / "kept"
    made = making.make(folder, signer=signer)
    (folder / manifest.NAME).write_text(json.dumps(asdict(made) | {"migrations": {"trading": ["9999_later"]}}))
    assert refused(folder, signer, tmp_path) == "BACKUP_TOO_NEW"
    (folder / manifest.NAME).write_text(json.dumps(asdict(made) | {"secret_key_mark": manifest.mark_of("another")}))
    assert refused(folder, signer, tmp_path) == "OTHER_SECRET"


def test_what_a_signer_has_let_out_is_never_overwritten(alone, signer, tmp_path):
    folder = tmp_path / "kept"
    making.make(folder, signer=signer)
    signer.ledger.write_text(signer.ledger.read_text() + '{"kind": "entry", "order_id": "2", "spent": 9}\n')
    assert refused(folder, signer, tmp_path) == "KEYS_IN_THE_WAY"


def test_a_backup_is_for_its_owner_alone_and_names_no_secret(signer, tmp_path):
    folder = tmp_path / "kept"
    made = making.make(folder, signer=signer)
    assert sorted(made.files) == [manifest.DATABASE, f"{manifest.KEYS}/x.key.json", manifest.LEDGER]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all((folder / name).stat().st_mode & 0o777 == 0o600 for name in made.files)
    text = (folder / manifest.NAME).read_text()
    assert settings.SECRET_KEY not in text
    assert re.fullmatch(r"[0-9a-f]{32}", made.secret_key_mark)
    assert AuditEntry.objects.get(action=making.MADE).after["rows"]["agent"] == 0
    with pytest.raises(BackupRefused) as refusal:
        making.make(folder, signer=signer)
    assert refusal.value.code == "TARGET_EXISTS"


def test_a_dump_that_fails_leaves_nothing_behind(signer, tmp_path, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "wrong")
    with pytest.raises(BackupFailed) as failure:
        making.make(tmp_path / "kept", signer=signer)
    assert failure.value.code == "PG_DUMP_FAILED"
    assert "wrong" not in failure.value.message.replace("wrong password", "")
    assert list(tmp_path.glob("*kept*")) == []

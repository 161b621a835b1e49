"""The embedded PostgreSQL and Redis: private, durable, and able to start on whatever a killed one left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.runtime import home as homes
from config.runtime import postgres as postgres_module
from config.runtime.embedded import SCRATCH_PREFIX, EmbeddedServices, scratch_services, services
from config.runtime.environment import ROOT
from config.runtime.errors import StartError
from config.runtime.postgres import Postgres
from config.runtime.users import service_user
from tests.desk import wait_until

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root's data can lie outside its home")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home that is forgotten afterwards, root's folder outside it included."""
    path = tmp_path / "home"
    yield path
    homes.remove(path)


def write(embedded: EmbeddedServices) -> None:
    with psycopg.connect(embedded.env["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    redis.Redis.from_url(embedded.env["REDIS_URL"]).set("kept", "42")


def kept(embedded: EmbeddedServices) -> tuple[object, object]:
    with psycopg.connect(embedded.env["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
    assert row is not None
    return row[0], redis.Redis.from_url(embedded.env["REDIS_URL"]).get("kept")


def test_second_start_goes_on_with_the_same_data_on_the_same_urls(home: Path) -> None:
    first, second = EmbeddedServices(home), EmbeddedServices(home)
    first.start()
    write(first)
    first.stop()
    second.start()
    try:
        assert kept(second) == (42, b"42")
        assert second.env == first.env
    finally:
        second.stop()


def test_services_are_durable_on_loopback_and_behind_their_passwords(home: Path) -> None:
    embedded = EmbeddedServices(home)
    embedded.start()
    try:
        with psycopg.connect(embedded.env["DATABASE_URL"]) as connection:
            for name, value in {
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": "",
                "fsync": "on",
                "synchronous_commit": "on",
                "full_page_writes": "on",
                "idle_in_transaction_session_timeout": "30s",
                "TimeZone": "UTC",
                "server_encoding": "UTF8",
            }.items():
                assert connection.execute(f"SHOW {name}").fetchone() == (value,), name
            superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
            assert connection.execute(superuser).fetchone() == (False,)
        client = redis.Redis.from_url(embedded.env["REDIS_URL"])
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        assert client.config_get("appendonly")["appendonly"] == "yes"
        assert client.config_get("appendfsync")["appendfsync"] == "everysec"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(embedded.env["DATABASE_URL"], password="wrong")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=urlsplit(embedded.env["REDIS_URL"]).port or 0, retry=Retry(NoBackoff(), 0)).ping()
    finally:
        embedded.stop()


def test_no_password_stands_on_a_command_line_or_in_a_file_others_can_read(home: Path) -> None:
    embedded = EmbeddedServices(home)
    embedded.start()
    try:
        data = homes.open_home(home, service_user()).data
        generated = homes.load_secrets(data).values()
        command_lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        assert not [line for line in command_lines for secret in generated if secret.encode() in line]
        for name in ("secrets.json", "redis/redis.conf"):
            assert (data / name).stat().st_mode & 0o077 == 0
        assert (data / "postgres").stat().st_mode & 0o077 == 0
    finally:
        embedded.stop()


def test_interrupted_creation_is_not_taken_for_a_cluster(home: Path) -> None:
    opened = homes.open_home(home, service_user())
    (opened.data / ".postgres-new" / "base").mkdir(parents=True)
    embedded = EmbeddedServices(home, durable=False)
    embedded.start()
    embedded.stop()
    assert (opened.data / "postgres" / "PG_VERSION").exists()


@pytest.mark.parametrize("name", ["with space 'and' \"quotes\" ünicode", "long-" + "x" * 150], ids=["odd", "long"])
def test_home_may_have_any_name_and_length(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    embedded = EmbeddedServices(path, durable=True)
    embedded.start()
    write(embedded)
    embedded.stop()
    embedded.start()
    assert kept(embedded) == (42, b"42")
    embedded.stop()
    homes.remove(path)


def test_one_home_serves_one_owner(home: Path) -> None:
    embedded = EmbeddedServices(home, durable=False)
    embedded.start()
    try:
        with pytest.raises(StartError, match="Another Soldesk runs"):
            EmbeddedServices(home, durable=False).start()
    finally:
        embedded.stop()


def test_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(StartError, match="holds other files"):
        homes.open_home(tmp_path, service_user())
    homes.remove(tmp_path)
    assert (tmp_path / "letter.txt").exists()


def test_scratch_services_leave_nothing_and_clear_what_a_killed_user_left(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, young = tmp_path / f"{SCRATCH_PREFIX}left", tmp_path / f"{SCRATCH_PREFIX}young"
    for folder in (left, young):
        homes.open_home(folder, service_user())
    long_ago = time.time() - 3600
    os.utime(left / homes.MARK, (long_ago, long_ago))
    with scratch_services() as embedded:
        write(embedded)
        assert not left.exists()
        assert young.exists()
    homes.remove(young)
    assert list(tmp_path.iterdir()) == []


def cluster(home: Path) -> Postgres:
    server, _redis = services(homes.open_home(home, service_user()), durable=False)
    server.prepare()
    return server


def start(server: Postgres) -> subprocess.Popen[bytes]:
    launch = server.launch()
    process = subprocess.Popen(launch.argv, stderr=subprocess.DEVNULL, **launch.options())
    wait_until(lambda: server.is_ready(process.pid))
    return process


def test_recycled_process_id_in_the_pid_file_does_not_bar_the_start(home: Path) -> None:
    server = cluster(home)
    running = start(server)
    left_behind = (server.folder / "postmaster.pid").read_text()
    running.send_signal(signal.SIGINT)
    running.wait()
    account = server.user.options() if server.user else {}
    stranger = subprocess.Popen(["sleep", "60"], cwd="/", **account)
    try:
        pid_file = server.folder / "postmaster.pid"
        pid_file.write_text(left_behind.replace(str(running.pid), str(stranger.pid), 1))
        server.prepare()
        again = start(server)
        again.send_signal(signal.SIGINT)
        assert again.wait() == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_server_a_former_owner_left_running_is_stopped_in_order(home: Path) -> None:
    server = cluster(home)
    former = start(server)
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    replace(server, port=server.port).prepare()
    assert former.wait(60) == 0
    now = start(server)
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    now.send_signal(signal.SIGINT)
    assert now.wait() == 0


def test_cluster_of_another_version_is_refused_with_a_way_out(home: Path) -> None:
    server = cluster(home)
    (server.folder / "PG_VERSION").write_text("14\n")
    with pytest.raises(StartError, match=r"of PostgreSQL 14.*make down-clean"):
        server.prepare()


def test_programs_the_service_user_cannot_reach_are_copied(home: Path, tmp_path: Path, monkeypatch) -> None:
    source = postgres_module.find_binaries()
    closed = tmp_path / "closed"
    package = source.parent.parent
    for folder in (source.parent, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, closed / folder.relative_to(package.parent), symlinks=True)
    closed.chmod(0o700)
    unreachable = closed / source.relative_to(package.parent)
    monkeypatch.setattr(postgres_module, "find_binaries", lambda: unreachable)
    embedded = EmbeddedServices(home, durable=False)
    embedded.start()
    embedded.stop()
    opened = homes.open_home(home, service_user())
    assert len(list(opened.data.glob("postgres-programs-*"))) == (1 if service_user() else 0)


@root_only
def test_root_keeps_data_outside_a_home_the_service_user_cannot_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    path = closed / "home"
    embedded = EmbeddedServices(path, durable=False)
    embedded.start()
    embedded.stop()
    data = homes.open_home(path, service_user()).data
    assert data == homes.data_outside(path)
    assert data.parent == Path("/var/lib")
    assert (data / "postgres" / "PG_VERSION").exists()
    assert closed.stat().st_mode & 0o777 == 0o700
    homes.remove(path)
    assert not data.exists()


@root_only
def test_new_home_never_goes_on_with_data_of_a_deleted_one_at_the_same_path(tmp_path: Path, capsys) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    path = closed / "home"
    data = homes.open_home(path, service_user()).data
    (data / "postgres").mkdir()
    shutil.rmtree(path)
    try:
        assert not (homes.open_home(path, service_user()).data / "postgres").exists()
        aside = [other for other in data.parent.glob(f"{data.name}.*") if (other / "postgres").exists()]
        assert len(aside) == 1
        assert str(aside[0]) in capsys.readouterr().out
        shutil.rmtree(aside[0])
    finally:
        homes.remove(path)


@root_only
def test_moved_home_says_where_its_data_are(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data = homes.open_home(closed / "home", service_user()).data
    (closed / "home").rename(closed / "moved")
    try:
        with pytest.raises(StartError, match=str(data)):
            homes.open_home(closed / "moved", service_user())
    finally:
        homes.remove(closed / "moved")


def test_a_command_on_a_stopped_desk_has_the_secret_the_operator_kept(home: Path) -> None:
    """What was sealed elsewhere is to be restored with the SECRET_KEY that sealed it, though this home made its own."""
    told = subprocess.run(
        [sys.executable, "-m", "config.runtime", "stopped", "--", sys.executable, "-c", _TELL_SECRETS],
        env={**os.environ, "SOLDESK_HOME": str(home), "SECRET_KEY": "k" * 50, "DATABASE_URL": "", "REDIS_URL": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert told[0] == "k" * 50
    assert len(told[1]) > 20


_TELL_SECRETS = "import os; print(os.environ['SECRET_KEY'], os.environ['JWT_SECRET'])"

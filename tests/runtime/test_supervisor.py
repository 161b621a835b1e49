"""The supervisor with real PostgreSQL and Redis and small stand-ins for the application's processes."""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config.runtime import discover
from config.runtime import home as homes
from config.runtime.child import STOP_SECONDS
from tests.desk import ROOT, Desk, wait_until

PROCFILE = """
migrate: python -c "print('tables are there')"
seed: python -c "print('rows are there')"
web: python -m http.server $PORT --bind 127.0.0.1 --directory {empty}
sandbox: python -m http.server $SANDBOX_PORT --bind 127.0.0.1 --directory {empty}
worker-one: python -c "import time; print('one@here ready.'); time.sleep(600)"
beat: python -c "import time; time.sleep(600)"
"""


def write_procfile(folder: Path) -> Path:
    (folder / "empty").mkdir()
    path = folder / "Procfile"
    path.write_text(PROCFILE.format(empty=folder / "empty"))
    return path


@pytest.fixture
def procfile(tmp_path: Path) -> Path:
    return write_procfile(tmp_path)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A running desk that the tests which leave it running share."""
    folder = tmp_path_factory.mktemp("shared")
    sign_in = {"ADMIN_EMAIL": "me@example.com", "ADMIN_PASSWORD": "correct horse"}
    with Desk(folder / "home", write_procfile(folder), **sign_in) as desk:
        yield desk
    homes.remove(desk.home)


@pytest.fixture
def desk(tmp_path: Path, procfile: Path) -> Iterator[Desk]:
    """A desk ready to start; forgotten afterwards."""
    made = Desk(tmp_path / "home", procfile)
    yield made
    made.__exit__()
    homes.remove(made.home)


def test_services_come_first_then_the_steps_then_everything_else(running: Desk) -> None:
    lines = running.output().splitlines()
    names = [line.split(" |", 1)[0].strip() for line in lines if " |" in line]
    assert names.index("postgres") < names.index("migrate") < names.index("seed") < names.index("worker-one")
    assert set(running.record()["pids"]) == {"postgres", "redis", "web", "sandbox", "worker-one", "beat"}


def test_addresses_and_sign_in_are_printed_once_when_all_answers(running: Desk) -> None:
    wait_until(lambda: "Ctrl-C stops it" in running.output())
    said = running.output()
    assert said.count("Soldesk is ready") == 1
    for path in ("/admin/", "/api/docs/", "/desk/"):
        assert f"http://localhost:{running.port}{path}" in said
    assert "me@example.com / correct horse" in said
    assert "\033[" not in said


def test_names_are_aligned_and_coloured_on_a_terminal_only(desk: Desk) -> None:
    master, slave = pty.openpty()
    desk.environment |= {"TERM": "xterm"}
    desk.environment.pop("NO_COLOR", None)
    process = subprocess.Popen(desk.command, cwd=ROOT, env=desk.environment, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    while b"Ctrl-C stops it" not in shown:
        shown += os.read(master, 65536)
    process.send_signal(signal.SIGINT)
    thread = threading.Thread(target=_drain, args=(master,), daemon=True)
    thread.start()
    assert process.wait(60) == 0
    prefixes = dict(re.findall(rb"\033\[38;5;(\d+)m(\S+ +)\|\033\[0m", shown))
    assert {b"postgres   ", b"redis      ", b"worker-one "} <= set(prefixes.values())
    assert len(prefixes) == len(set(prefixes.values()))
    assert len({len(prefix) for prefix in prefixes.values()}) == 1


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 65536):
            continue
    except OSError:
        return


def test_killed_postgres_comes_back_with_every_acknowledged_row(running: Desk) -> None:
    url = running.record()["DATABASE_URL"]
    acknowledged = 0
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE ticks (n integer)")
        former = running.pid("postgres")
        killer = threading.Timer(0.4, running.kill, ["postgres"])
        with pytest.raises(psycopg.OperationalError):
            while True:
                connection.execute("INSERT INTO ticks VALUES (%s)", [acknowledged])
                acknowledged += 1
                if acknowledged == 10:
                    killer.start()
    assert former is not None
    running.wait_restarted("postgres", former)

    def stored() -> int | None:
        try:
            with psycopg.connect(url, connect_timeout=2) as again:
                row = again.execute("SELECT count(*) FROM ticks").fetchone()
                return row[0] if row else None
        except psycopg.OperationalError:
            return None

    assert acknowledged >= 10
    assert wait_until(stored) in (acknowledged, acknowledged + 1)  # the last one may have landed unanswered
    assert "postgres was ended by SIGKILL" in running.output()


def test_killed_redis_comes_back_with_what_it_acknowledged(running: Desk) -> None:
    client = redis.Redis.from_url(running.record()["REDIS_URL"])
    for _ in range(500):
        client.incr("ticks")
    former = running.kill("redis")
    running.wait_restarted("redis", former)

    def stored() -> bytes | None:
        try:
            return client.get("ticks")  # type: ignore[return-value]
        except redis.ConnectionError:
            return None

    assert wait_until(stored) == b"500"


def test_killed_process_is_started_again(running: Desk) -> None:
    for name in ("web", "worker-one", "beat"):
        running.wait_restarted(name, running.kill(name))
    wait_until(lambda: running.record()["restarts"]["beat"] >= 1)


def test_ctrl_c_stops_everything_within_seconds(desk: Desk) -> None:
    with desk:
        assert desk.process is not None
        assert desk.leftovers()
        desk.interrupt()
        assert desk.process.wait(60) == 0
        assert desk.leftovers() == []
        assert desk.record() == {}
        assert "database system is shut down" in desk.output()
        assert "and is killed" not in desk.output()


def test_second_ctrl_c_kills_what_does_not_stop(desk: Desk, procfile: Path) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(600)"
    with procfile.open("a") as file:
        file.write(f'streams: python -c "{stubborn}"\n')
    with desk:
        assert desk.process is not None
        wait_until(lambda: "deaf" in desk.output())
        desk.interrupt()
        wait_until(lambda: desk.pid("web") is None)
        desk.interrupt()
        assert desk.process.wait(60) == 0
        assert f"did not stop within {STOP_SECONDS:.0f} seconds" not in desk.output()
        assert desk.leftovers() == []


def test_killed_supervisor_leaves_no_orphans_and_the_next_start_goes_on(desk: Desk) -> None:
    desk.start()
    desk.wait_ready()
    with psycopg.connect(desk.record()["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert desk.process is not None
    desk.process.kill()
    desk.process.wait()
    with desk:  # at once: it waits for what is still ending
        with psycopg.connect(desk.record()["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        desk.process.kill()
        desk.process.wait()
        wait_until(lambda: desk.leftovers() == [])


def test_killed_make_takes_the_desk_with_it(desk: Desk, tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"up:\n\t@exec {shlex.join([*desk.command, '--tied'])}\n")
    with (tmp_path / "make.log").open("wb") as log:
        make = subprocess.Popen(
            ["make", "-f", str(makefile), "up"], cwd=ROOT, env=desk.environment, stdout=log, stderr=log
        )
    wait_until(lambda: desk.record().get("ready"))
    make.kill()
    make.wait()
    wait_until(lambda: desk.leftovers() == [])
    assert desk.record() == {}


def test_the_chains_ports_are_asked_for_told_and_handed_on(running: Desk) -> None:
    first = int(running.environment["SANDBOX_RPC_PORT"])
    assert running.record()["ports"]["chain"] == first
    wait_until(lambda: "Ctrl-C stops it" in running.output())
    assert f"Solana nodes   http://localhost:{first}   (the second on port {first + 2}" in running.output()
    told = {"SOLDESK_HOME": str(running.home)}
    discover.apply_running_stack(told)
    assert told["SANDBOX_RPC_PORT"] == str(first)


def test_a_taken_port_of_the_second_node_is_said_by_the_variable_of_the_first(desk: Desk) -> None:
    first = int(desk.environment["SANDBOX_RPC_PORT"])
    with socket.socket() as other:
        other.bind(("127.0.0.1", first + 2))
        other.listen()
        assert desk.run_to_end() == 1
    assert desk.output().strip() == (
        f"Port {first + 2} is in use by another program. Stop it, or set SANDBOX_RPC_PORT=<another port>, "
        f"for example `SANDBOX_RPC_PORT={first + 4} make up`."
    )


@pytest.mark.parametrize("variable", ["PORT", "SANDBOX_PORT"])
def test_port_in_use_is_said_in_a_sentence_before_anything_starts(desk: Desk, variable: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        desk.environment[variable] = str(port)
        assert desk.run_to_end() == 1
    assert desk.output().strip() == (
        f"Port {port} is in use by another program. Stop it, or set {variable}=<another port>, "
        f"for example `{variable}={port + 1} make up`."
    )
    assert desk.leftovers() == []


def test_wrong_setting_is_said_in_a_sentence(desk: Desk) -> None:
    desk.environment["PORT"] = "many"
    assert desk.run_to_end() == 1
    assert "PORT" in desk.output()
    assert "Traceback" not in desk.output()


def test_two_homes_run_side_by_side(desk: Desk, tmp_path: Path, procfile: Path) -> None:
    other = Desk(tmp_path / "other", procfile)
    with desk, other:
        assert desk.record()["DATABASE_URL"] != other.record()["DATABASE_URL"]
        with psycopg.connect(desk.record()["DATABASE_URL"]) as connection:
            connection.execute("CREATE TABLE only_here ()")
        with psycopg.connect(other.record()["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)
        redis.Redis.from_url(desk.record()["REDIS_URL"]).set("only_here", 1)
        assert redis.Redis.from_url(other.record()["REDIS_URL"]).get("only_here") is None
    homes.remove(other.home)


def test_second_start_on_one_home_is_refused_in_a_sentence(running: Desk, procfile: Path) -> None:
    second = Desk(running.home, procfile)
    second.log = running.home.with_name("second.log")
    assert second.run_to_end() == 1
    assert f"Soldesk already runs from {running.home}" in second.output()
    assert "Traceback" not in second.output()
    assert running.process is not None
    assert running.process.poll() is None


def test_failed_step_stops_the_start_and_shows_its_words(desk: Desk, procfile: Path) -> None:
    procfile.write_text("migrate: python -c \"raise SystemExit('no such column')\"\nweb: python -m http.server $PORT\n")
    assert desk.run_to_end() == 1
    assert "migrate  | no such column" in desk.output()
    assert "failed with exit code 1" in desk.output()
    assert "web" not in {line.split(" |")[0].strip() for line in desk.output().splitlines()}
    assert desk.leftovers() == []


def test_sandbox_is_left_out_without_the_demo(desk: Desk) -> None:
    desk.environment["SOLDESK_DEMO"] = "0"
    with desk:
        assert "sandbox" not in desk.record()["pids"]
        assert "Sandbox" not in desk.output()


def test_a_setting_starts_a_worker_per_shard_and_other_shells_learn_of_it(desk: Desk, procfile: Path) -> None:
    with procfile.open("a") as file:
        file.write("worker-prices: python -c \"import time; print('prices-$SHARD@here ready.'); time.sleep(600)\"\n")
    desk.environment["PRICE_SHARDS"] = "2"
    with desk:
        assert {"worker-prices-0", "worker-prices-1"} <= set(desk.record()["pids"])
        assert {"worker-prices-0 | prices-0@here ready.", "worker-prices-1 | prices-1@here ready."} <= set(
            desk.output().splitlines()
        )
        told = {"SOLDESK_HOME": str(desk.home)}
        discover.apply_running_stack(told)
        assert told["PRICE_SHARDS"] == "2"


def test_nothing_is_embedded_when_both_urls_are_given(desk: Desk) -> None:
    desk.environment |= {"DATABASE_URL": os.environ["DATABASE_URL"], "REDIS_URL": os.environ["REDIS_URL"]}
    with desk:
        assert desk.record()["DATABASE_URL"] == os.environ["DATABASE_URL"]
        assert not {"postgres", "redis"} & set(desk.record()["pids"])
    assert not (desk.home / "postgres").exists()


def test_stalled_terminal_does_not_stop_the_desk(desk: Desk, procfile: Path, tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    chatter = f"[(print('x' * 1000), open('{beats}', 'w').write(str(n))) for n in range(3000)]"
    with procfile.open("a") as file:
        file.write(f'streams: python -c "import time; {chatter}; time.sleep(600)"\n')
    reader, writer = os.pipe()
    process = subprocess.Popen(desk.command, cwd=ROOT, env=desk.environment, stdout=writer, stderr=writer)
    os.close(writer)
    wait_until(lambda: beats.exists() and beats.read_text() == "2999")
    wait_until(lambda: desk.record().get("ready"))
    process.send_signal(signal.SIGTERM)
    threading.Thread(target=_drain, args=(reader,), daemon=True).start()
    assert process.wait(60) == 0


def test_commands_find_the_running_stack_by_themselves(desk: Desk) -> None:
    environment = {"SOLDESK_HOME": str(desk.home)}
    with pytest.raises(SystemExit, match="start it with `make up`"):
        discover.apply_running_stack(environment)
    with desk:
        discover.apply_running_stack(environment)
        assert environment["DATABASE_URL"] == desk.record()["DATABASE_URL"]
        assert environment["REDIS_URL"] == desk.record()["REDIS_URL"]
        assert environment["PORT"] == str(desk.port)
        assert len(environment["SECRET_KEY"]) >= 32
        given = {"SOLDESK_HOME": str(desk.home), "DATABASE_URL": "postgresql://mine", "REDIS_URL": "redis://mine"}
        discover.apply_running_stack(given)
        assert given["DATABASE_URL"] == "postgresql://mine"


def test_data_are_forgotten_only_after_a_yes_and_never_while_running(desk: Desk) -> None:
    command = [*desk.command[:3], "down-clean"]

    def down_clean(*options: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *options], cwd=ROOT, env=desk.environment, input=answer, text=True, capture_output=True
        )

    with desk:
        assert down_clean("--yes").returncode == 1
    assert down_clean(answer="no\n").returncode == 1
    folders = homes.folders_of(desk.home)
    assert folders
    assert down_clean(answer="yes\n").returncode == 0
    assert not [folder for folder in folders if folder.exists()]

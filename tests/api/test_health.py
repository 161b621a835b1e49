"""Health: what is down is named, nothing that hangs holds it up, and ready means that the desk can trade."""

import threading

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from apps.console import health, vitals
from apps.core import heartbeats, quick_redis
from apps.core.looks import Look
from tests.apiclient import Api, api_of
from tests.factories import PASSWORD, make_tick, make_token, make_user
from tests.needed_workers import workers

__all__ = ["workers"]
pytestmark = pytest.mark.django_db(transaction=True)  # the look has a connection of its own


@pytest.fixture(autouse=True)
def _redis_was_never_away(monkeypatch):
    monkeypatch.setattr(health, "_redis_memory", health._RedisMemory())


@pytest.fixture
def redis_away(settings, monkeypatch):
    """Point everything at a port nobody listens on."""
    away = quick_redis.QuickRedis("redis://127.0.0.1:1/0")
    monkeypatch.setattr(quick_redis, "_quick", away)
    settings.REDIS_URL = away.url


def test_the_desk_is_healthy_when_every_worker_beats(workers):
    answer = Api().get("/health")
    assert answer.status == 200
    assert answer.json["status"] == "healthy"
    assert answer.json["services"]["database"]["status"] == "healthy"
    assert answer.json["services"]["database"]["latency"] > 0
    assert answer.json["services"]["redis"]["status"] == "healthy"
    queue = answer.json["services"]["queue"]
    assert queue["workerCount"] == 4
    assert [worker["name"] for worker in queue["workers"]] == health.needed_workers()
    assert isinstance(answer.json["uptime"], int)
    assert answer.json["timestamp"].endswith("Z")


def test_without_workers_it_is_degraded(monkeypatch):
    monkeypatch.setattr(heartbeats, "signs", list)
    answer = Api().get("/health")
    assert (answer.status, answer.json["status"]) == (200, "degraded")
    queue = answer.json["services"]["queue"]
    assert (queue["status"], queue["workerCount"]) == ("unhealthy", 0)
    assert {(worker["alive"], worker["heartbeatAgeSeconds"]) for worker in queue["workers"]} == {(False, None)}


def test_a_shard_nobody_watches_is_named(monkeypatch, settings):
    settings.PRICE_SHARDS = 2
    beating = [name for name in health.needed_workers() if name != "worker-prices-1"]
    assert len(beating) == 4
    monkeypatch.setattr(heartbeats, "signs", lambda: [heartbeats.Sign(name, 1.0) for name in beating])
    answer = Api().get("/health").json
    assert answer["status"] == "degraded"
    assert [w["name"] for w in answer["services"]["queue"]["workers"] if not w["alive"]] == ["worker-prices-1"]


def test_a_worker_that_fell_silent_is_named(monkeypatch):
    ages = dict.fromkeys(health.needed_workers(), 1.0) | {"worker-critical": 99.0}
    monkeypatch.setattr(heartbeats, "signs", lambda: [heartbeats.Sign(*sign) for sign in ages.items()])
    answer = Api().get("/health").json
    assert answer["status"] == "degraded"
    silent = [worker for worker in answer["services"]["queue"]["workers"] if not worker["alive"]]
    assert silent == [{"name": "worker-critical", "heartbeatAgeSeconds": 99.0, "alive": False}]


def test_a_worker_that_was_restarted_is_there(monkeypatch):
    signs = [heartbeats.Sign(name, age) for name in health.needed_workers() for age in (1.0, 99.0)]
    monkeypatch.setattr(heartbeats, "signs", lambda: signs)
    assert Api().get("/health").json["services"]["queue"]["status"] == "healthy"


def test_ages_are_told():
    make_tick(make_token(), "0.001")
    ages = Api().get("/health").json["ages"]
    assert set(ages) == {"priceSeconds", "solUsdSeconds", "outboxSeconds", "beatSeconds"}
    assert 0 <= ages["priceSeconds"] < 60
    assert ages["outboxSeconds"] >= 0


def test_it_is_ready_and_alive(workers):
    ready, live = Api().get("/health/ready"), Api().get("/health/live")
    assert (ready.status, ready.json["ready"]) == (200, True)
    assert (live.status, live.json["alive"]) == (200, True)
    assert isinstance(live.json["uptime"], int)


@pytest.mark.parametrize("kind", ["trading", "critical", "prices-0"])
def test_without_a_worker_that_trades_it_is_not_ready(workers, kind):
    heartbeats.erase(f"worker-{kind}")
    answer = Api().get("/health/ready")
    assert (answer.status, answer.json["ready"]) == (503, False)
    assert f"worker-{kind}" in answer.json["message"]


def test_without_the_worker_of_other_things_it_trades_on(workers):
    heartbeats.erase("worker-default")
    answer = Api().get("/health/ready")
    assert (answer.status, answer.json["ready"], answer.json["degraded"]) == (200, True, True)
    assert "worker-default" in answer.json["message"]


def test_what_a_redis_that_has_just_come_back_lacks_is_no_reason_to_call_trading_off():
    assert Api().get("/health/ready").status == 503
    health._redis_memory.note(away=True)
    answer = Api().get("/health/ready")
    assert (answer.status, answer.json["degraded"]) == (200, True)


def test_a_schema_that_lacks_migrations_is_neither_healthy_nor_ready(workers, monkeypatch):
    monkeypatch.setattr(vitals, "_schema", vitals._Schema())
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'core' AND name = '0001_initial'")
    try:
        report, ready = Api().get("/health"), Api().get("/health/ready")
    finally:
        MigrationRecorder(connection).record_applied("core", "0001_initial")
    assert (report.status, report.json["status"]) == (503, "unhealthy")
    assert report.json["migrations"] == {"applied": False, "pending": 1}
    assert (ready.status, ready.json["ready"]) == (503, False)
    assert Api().get("/health/ready").status == 200


def test_a_database_that_hangs_is_given_up_on_and_no_second_asker_waits_as_long(monkeypatch, workers):
    held = threading.Event()

    def hang() -> vitals.Vitals:
        held.wait(60)
        return vitals.Vitals(1.0, ())

    look = Look("hanging", hang, patience_seconds=0.2)
    monkeypatch.setattr(vitals, "LOOK", look)
    assert Api().get("/health/ready").status == 503
    answer = Api().get("/health")
    assert (answer.status, answer.json["services"]["database"]) == (503, {"status": "unhealthy"})
    assert look.get().error == "timeout"
    held.set()
    look.stop()
    assert Api().get("/health/ready").status == 200


def test_without_redis_it_is_ready_but_degraded(redis_away):
    answer = Api().get("/health/ready")
    assert (answer.status, answer.json["ready"], answer.json["degraded"]) == (200, True, True)
    assert answer.json["message"]
    report = Api().get("/health")
    assert (report.status, report.json["status"]) == (200, "degraded")
    assert report.json["services"]["redis"]["status"] == "unhealthy"


def test_without_the_database_it_is_neither_healthy_nor_ready(monkeypatch):
    monkeypatch.setattr(health, "_vitals", lambda: None)
    report, ready, live = Api().get("/health"), Api().get("/health/ready"), Api().get("/health/live")
    assert (report.status, report.json["status"], report.json["ages"]) == (503, "unhealthy", None)
    assert (ready.status, ready.json["ready"]) == (503, False)
    assert live.status == 200


def test_a_database_that_is_gone_answers_503_with_a_code(settings):
    user = make_user()
    api = api_of(user)
    host, port = connection.settings_dict["HOST"], connection.settings_dict["PORT"]
    connection.close()
    vitals.LOOK.stop()
    connection.settings_dict["HOST"], connection.settings_dict["PORT"] = "127.0.0.1", "1"
    try:
        answer = api.get("/agents")
        report, ready = Api().get("/health"), Api().get("/health/ready")
    finally:
        connection.settings_dict["HOST"], connection.settings_dict["PORT"] = host, port
        connection.close()
    assert (answer.status, answer.code) == (503, "DATABASE_UNAVAILABLE")
    assert answer.headers["Retry-After"] == "1"
    assert (report.status, ready.status) == (503, 503)
    assert api.get("/agents").status == 200


def test_a_redis_outage_does_not_touch_sign_in(redis_away):
    user = make_user()
    signed_in = Api().post("/auth/login", {"email": user.email, "password": PASSWORD})
    assert signed_in.status == 200
    api = Api(authorization=f"Bearer {signed_in.json['accessToken']}")
    assert api.get("/auth/me").status == 200
    refreshed = Api().post("/auth/refresh", {"refreshToken": signed_in.json["refreshToken"]})
    assert refreshed.status == 200
    assert api.post("/auth/logout").status == 200
    assert api.get("/auth/me").code == "TOKEN_REVOKED"
    strangers = [Api().post("/auth/login", {"email": "ghost@nowhere.example", "password": "x"}) for _ in range(7)]
    assert [answer.status for answer in strangers] == [401] * 5 + [423] * 2


def test_limits_are_kept_in_memory_while_redis_is_away(redis_away, settings):
    settings.LOGINS_PER_MINUTE = 2
    api = Api(address="203.0.113.77")
    answers = [api.post("/auth/login", {"email": "a@example.com", "password": "x"}).status for _ in range(7)]
    assert 429 in answers

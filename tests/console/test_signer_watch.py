"""A signer that died is seen where one looks first: health, the admin's home page, the metrics and their alerts."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from apps.console import dashboard, health, signer_watch, vitals
from apps.core.looks import Look
from apps.wallets import signer_client
from apps.wallets.signer.reasons import Reason
from tests.api.test_metrics import BOUNDED
from tests.apiclient import Api
from tests.needed_workers import workers
from tests.wallets.signer.doors import open_door
from tests.wallets.signer.world import World

__all__ = ["workers"]
pytestmark = pytest.mark.django_db(transaction=True)  # health's look has a connection of its own


@pytest.fixture(autouse=True)
def _looks_of_its_own(monkeypatch):
    """Patient ones: a busy machine is no dead signer."""
    looks: list[Look[Any]] = [
        Look("signer", signer_watch._ask, patience_seconds=10),
        Look("health", vitals._ask, patience_seconds=10),
    ]
    monkeypatch.setattr(signer_watch, "LOOK", looks[0])
    monkeypatch.setattr(vitals, "LOOK", looks[1])
    monkeypatch.setattr(signer_client, "FIGURES_SECONDS", 10)
    monkeypatch.setattr(health, "_redis_memory", health._RedisMemory())
    yield
    for look in looks:
        look.stop()


@contextmanager
def dead_signer(settings, tmp_path):
    """Name a socket nobody listens at: what a killed signer leaves behind."""
    path = tmp_path / "s"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    settings.SIGNER_SOCKET = str(path)
    yield


@contextmanager
def frozen_signer(settings, tmp_path):
    """One that lets everybody in and answers nobody."""
    settings.SIGNER_SOCKET = str(tmp_path / "f")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(settings.SIGNER_SOCKET)
        listening.listen()
        yield


class _Page:
    def collect(self):
        return list(signer_watch.metrics())


def page() -> dict[tuple[str, ...], float]:
    """Return the figures as a scrape reads them, by name and labels."""
    text = generate_latest(_Page()).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def signer_badge() -> dashboard.Process | None:
    return next((process for process in dashboard.processes() or [] if process.name == "signer"), None)


def test_a_desk_without_a_signer_is_none_the_worse_for_it(settings, workers):
    settings.SIGNER_SOCKET = None
    assert page() == {}
    report = Api().get("/health").json
    assert (report["status"], "signer" in report["services"]) == ("healthy", False)
    assert "degraded" not in Api().get("/health/ready").json
    assert signer_badge() is None


def test_a_signer_that_answers_is_healthy_and_its_figures_are_on_the_page(settings, workers, tmp_path):
    world = World(tmp_path)
    world.signer.tally.refused(Reason.DAY_CAP)
    world.signer.tally.signed("sell")
    for seconds in (0.02, 0.02, 99.0):
        world.signer.tally.took(seconds)
    world.nodes.reach.lost()
    with open_door(world) as path:
        settings.SIGNER_SOCKET = str(path)
        told = page()
        assert Api().get("/health").json["services"]["signer"] == {"status": "healthy"}
        assert "degraded" not in Api().get("/health/ready").json
        assert signer_badge() == dashboard.Process("signer", "alive", "success")
        world.signer.keys.lock(str(world.wallet))
        assert signer_badge() == dashboard.Process("signer", "all keys locked", "warning")
    world.caps.close()
    assert told[("signer_up",)] == 1
    assert (told[("signer_signatures_total", "sell")], told[("signer_signatures_total", "buy")]) == (1, 0)
    assert (told[("signer_refusals_total", "DAY_CAP")], told[("signer_refusals_total", "TRADE_CAP")]) == (1, 0)
    assert told[("signer_signing_seconds_bucket", "0.01")] == 0
    assert told[("signer_signing_seconds_bucket", "0.025")] == told[("signer_signing_seconds_bucket", "10.0")] == 2
    assert told[("signer_signing_seconds_bucket", "+Inf")] == told[("signer_signing_seconds_count",)] == 3
    assert told[("signer_signing_seconds_sum",)] == pytest.approx(99.04)
    assert (told[("signer_day_spent_lamports",)], told[("signer_day_cap_lamports",)]) == (0, 10 * 10**9)
    assert (told[("signer_keys", "loaded")], told[("signer_keys", "locked")]) == (1, 0)
    assert told[("signer_source_up", "nodes")] == 0
    assert ("signer_source_up", "prices") not in told  # it was never asked


@pytest.mark.parametrize("how", [dead_signer, frozen_signer])
def test_a_signer_that_does_not_answer_is_named_everywhere_and_tells_no_old_figures(
    settings, workers, tmp_path, monkeypatch, how
):
    monkeypatch.setattr(signer_client, "FIGURES_SECONDS", 0.05)
    with how(settings, tmp_path):
        assert page() == {("signer_up",): 0}
        report = Api().get("/health")
        assert (report.status, report.json["status"]) == (200, "degraded")
        assert report.json["services"]["signer"] == {"status": "unhealthy"}
        ready = Api().get("/health/ready")
        assert (ready.status, ready.json["ready"], ready.json["degraded"]) == (200, True, True)
        assert "signer" in ready.json["message"]
        badge = signer_badge()
        assert badge is not None
        assert (badge.state, badge.colour) == ("does not answer: nothing is traded live", "danger")


def test_its_labels_are_few_and_known_beforehand(settings):
    with open_door() as path:
        settings.SIGNER_SOCKET = str(path)
        families = list(signer_watch.metrics())
    assert {label for family in families for sample in family.samples for label in sample.labels} <= BOUNDED | {"le"}
    assert len(families) > 5
    assert max(len(family.samples) for family in families) == len(Reason)


def test_a_look_that_was_begun_is_joined_and_waited_for_no_longer_than_its_patience(monkeypatch):
    """A signer and a database that both hang cost a monitor the longer wait, not both."""
    asked: list[int] = []
    waits: list[float] = []
    held = Event()

    def ask() -> None:
        asked.append(1)
        held.wait(30)

    look = Look("two at once", ask, patience_seconds=0.3)
    wait_for = look._changed.wait_for

    def told_wait(ready: Any, *seconds: float) -> bool:
        waits.extend(seconds)
        return wait_for(ready, *seconds)

    try:
        look.begin()
        look.begin()
        while time.monotonic() < look._began_at + 0.3:
            time.sleep(0.02)
        monkeypatch.setattr(look._changed, "wait_for", told_wait)
        assert look.get().error == "timeout"
        assert (waits, asked) == ([0.0], [1])
    finally:
        held.set()
        look.stop()

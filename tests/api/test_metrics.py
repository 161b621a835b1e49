"""The metrics page: who may read it, that its names are the contract's, and that no label can grow without bound."""

from __future__ import annotations

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from apps.accounts.services import api_keys
from apps.console import scrape
from apps.core import metrics_files, metrics_page
from apps.core.looks import Look
from config.runtime.procfile import PROCFILE
from tests.apiclient import Api, api_of, api_with_key
from tests.declared_metrics import declared
from tests.factories import make_tick, make_token, make_user

pytestmark = pytest.mark.django_db(transaction=True)

S10 = (0.1, 0.5, 1, 2, 5, 10, 30)
#: Section 6 of the contract, with the labels its rule 25 leaves: name, kind, labels, bounds.
CONTRACT = [
    ("signal_processing_latency_seconds", "histogram", ["status"], (0.01, 0.05, 0.1, 0.5, 1, 2, 5)),
    ("signal_processing", "counter", ["status"], None),
    ("trade_execution_latency_seconds", "histogram", ["type", "status"], S10),
    ("trade_execution", "counter", ["type", "status"], None),
    ("stop_loss_evaluation_latency_seconds", "histogram", [], (0.001, 0.005, 0.01, 0.05, 0.1)),
    ("stop_loss_trigger", "counter", [], None),
    ("stale_trade_trigger", "counter", [], None),
    ("dca_trigger", "counter", ["level"], None),
    ("dca_execution_latency_seconds", "histogram", [], S10),
    ("price_update_latency_seconds", "histogram", ["source"], (0.1, 0.5, 1, 2, 5)),
    ("price_update", "counter", ["source", "status"], None),
    ("redis_operation_latency_seconds", "histogram", ["operation"], (0.001, 0.005, 0.01, 0.05, 0.1)),
    ("redis_operation", "counter", ["operation", "status"], None),
    ("queue_job_latency_seconds", "histogram", ["queue_name", "job_type", "status"], (0.1, 0.5, 1, 2, 5, 10)),
    ("queue_job", "counter", ["queue_name", "job_type", "status"], None),
    ("api_requests", "counter", ["method", "path", "status"], None),
    ("api_request_latency_seconds", "histogram", ["method", "path"], (0.01, 0.05, 0.1, 0.5, 1, 2, 5)),
    ("errors", "counter", ["type", "code"], None),
]
#: Every label a metric may have; each has few values, all of them known beforehand.
BOUNDED = {
    "code", "job_type", "kind", "lane", "level", "method", "node", "operation", "outcome", "path", "provider",
    "queue_name", "reason", "shard", "side", "source", "statistic", "status", "step", "type", "verdict",
}  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "labels", "bounds"), CONTRACT, ids=[row[0] for row in CONTRACT])
def test_the_contracts_names_have_its_kinds_and_buckets_and_bounded_labels(name, kind, labels, bounds):
    metric = declared()[name]
    assert (metric._type, list(metric._labelnames)) == (kind, labels)
    if bounds is not None:
        assert tuple(metric._kwargs["buckets"]) == bounds


def test_no_metric_has_a_label_that_grows_with_agents_tokens_wallets_or_what_clients_send():
    assert {label for metric in declared().values() for label in metric._labelnames} <= BOUNDED
    assert all(isinstance(metric, Counter | Gauge | Histogram) for metric in declared().values())


def test_gauges_of_several_processes_are_put_together_so_that_a_dead_or_silent_one_has_no_say():
    for metric in declared().values():
        if isinstance(metric, Gauge):
            assert metric._multiprocess_mode.startswith("live"), metric._name
            unlabelled = not metric._labelnames  # at 0 in every process that only declares it
            assert metric._multiprocess_mode == "livemostrecent" or not unlabelled, metric._name


def page(api: Api) -> dict[str, dict[tuple[str, ...], float]]:
    answer = api.get("/metrics")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def scraper(settings) -> Api:
    settings.METRICS_TOKEN = "scrape-token-of-this-test"
    return Api(authorization="Bearer scrape-token-of-this-test")


def test_a_user_and_the_scrape_token_read_it_and_nobody_else(settings):
    user = make_user()
    key = api_keys.create(user=user, name="all", scopes=["full_access"], actor=user)[1]
    token = scraper(settings)
    assert [api.get("/metrics").status for api in (api_of(user), token)] == [200, 200]
    refused = [
        Api(),
        Api(authorization="Bearer scrape-token-of-this-tesT"),
        Api(authorization="scrape-token-of-this-test"),
        api_with_key(key),
        Api(authorization=f"Bearer {key}"),
    ]
    assert [api.get("/metrics").status for api in refused] == [401] * 5
    assert token.get("/agents").status == 401


def test_without_a_scrape_token_no_empty_one_opens_it(settings):
    settings.METRICS_TOKEN = ""
    assert [Api(authorization=given).get("/metrics").status for given in ("Bearer ", "Bearer", "")] == [401] * 3


def test_what_waits_is_counted_as_the_scrape_comes(settings):
    make_tick(make_token(), "0.001")
    found = page(scraper(settings))
    assert found["queue_depth"] == {("signals",): 0, ("exits",): 0, ("outbox",): 0, ("webhooks",): 0}
    assert found["scrape_source_up"] == {("database",): 1, ("redis",): 1}
    assert found["scrape_source_age_seconds"][("database",)] >= 0
    assert ("worker-trading",) in found.get("worker_alive", {("worker-trading",): 0})


def test_a_database_that_hangs_leaves_its_figures_out_and_says_so(settings, monkeypatch):
    import threading

    held = threading.Event()
    monkeypatch.setattr(scrape, "LOOK", Look("hanging", lambda: held.wait(60) and [], patience_seconds=0.1))
    found = page(scraper(settings))
    assert found["scrape_source_up"][("database",)] == 0
    assert "queue_depth" not in found
    assert "redis_operation_total" in found
    held.set()
    scrape.LOOK.stop()


def test_a_request_is_counted_under_its_route_never_its_path(settings):
    def counted(api, *labels):
        return page(api)["api_requests_total"].get(labels, 0)

    token = scraper(settings)
    route = ("GET", "/api/v1/agents/:id", "404")
    before, unknown = counted(token, *route), counted(token, "GET", "unknown", "404")
    api = api_of(make_user())
    for number in range(3):
        api.get(f"/agents/00000000-0000-4000-8000-00000000000{number}")
        api.get(f"/nothing/{number}")
    assert counted(token, *route) == before + 3
    assert counted(token, "GET", "unknown", "404") == unknown + 3
    assert not [labels for labels in page(token)["api_requests_total"] if any(c.isdigit() for c in labels[1][7:])]


def test_a_method_nobody_knows_is_one_word(settings):
    token = scraper(settings)
    Api().client.generic("BREW", "/api/v1/agents", headers={"host": "localhost"})
    methods = {labels[0] for labels in page(token)["api_requests_total"]}
    assert "OTHER" in methods
    assert "BREW" not in methods


def test_the_folder_of_a_machine_is_what_the_page_shows(settings, tmp_path):
    settings.METRICS_DIR = tmp_path
    (tmp_path / "counter_ended.db").touch()
    assert "api_requests_total" not in page(scraper(settings))
    assert metrics_files.count_processes(tmp_path) == 0


def test_a_process_without_web_serves_its_own_page_to_who_has_the_token(settings):
    import urllib.error
    import urllib.request

    settings.METRICS_HOST, settings.METRICS_PORT, settings.METRICS_TOKEN = "127.0.0.1", 0, "scrape-me"
    server = metrics_page.serve()
    assert server is not None
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(url, timeout=60)
        asked = urllib.request.Request(url, headers={"Authorization": "Bearer scrape-me"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert b"redis_operation_total" in answer.read()
        settings.METRICS_PORT = server.server_port
        assert metrics_page.serve() is None
    finally:
        server.shutdown()
        server.server_close()


def test_flower_keeps_its_own_figures_out_of_the_desks_folder():
    (line,) = [line for line in PROCFILE.read_text().splitlines() if line.startswith("flower:")]
    assert line.split(": ")[1].startswith("env -u METRICS_DIR ")

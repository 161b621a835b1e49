"""What every response carries: a request id, CORS for known origins, headers that protect."""

import os
import subprocess
import sys
from uuid import UUID

import pytest
import structlog

from tests.apiclient import Api, api_of
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def test_a_request_id_is_given_back():
    assert Api().get("/health/live", **{"x-request-id": "abc-123"}).headers["x-request-id"] == "abc-123"


@pytest.mark.parametrize("given", [None, "", "x" * 65, "with space", "<script>"])
def test_a_missing_or_odd_request_id_is_replaced(given):
    headers = {} if given is None else {"x-request-id": given}
    UUID(Api().get("/health/live", **headers).headers["x-request-id"])


@pytest.mark.parametrize("path", ["/agents", "/nothing", "/auth/login"])
def test_errors_carry_a_request_id_too(path):
    assert UUID(Api().get(path).headers["x-request-id"])


def test_a_request_leaves_a_line_when_it_begins_and_one_when_it_ends():
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        Api().get("/health/live", **{"x-request-id": "the-one"})
    began, line = lines
    assert (began["event"], began["path"], began["log_level"]) == ("request_started", "/api/v1/health/live", "debug")
    assert (line["event"], line["log_level"]) == ("request_finished", "info")
    assert began["request_id"] == line["request_id"] == "the-one"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/api/v1/health/live", 200)
    assert line["duration_ms"] >= 0


def test_a_known_origin_may_read_the_answer_and_its_counts(settings):
    settings.CORS_ORIGINS = ["https://desk.example.com"]
    answer = api_of(make_user()).get("/agents", origin="https://desk.example.com")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://desk.example.com"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "X-Total-Count" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.headers["Vary"]


def test_an_unknown_origin_may_not(settings):
    settings.CORS_ORIGINS = ["https://desk.example.com"]
    answer = api_of(make_user()).get("/agents", origin="https://evil.example.com")
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


def test_a_preflight_is_answered_without_signing_in(settings):
    settings.CORS_ORIGINS = ["https://desk.example.com"]
    asked = {"origin": "https://desk.example.com", "access-control-request-method": "PUT"}
    answer = Api().call("OPTIONS", "/agents", **asked)
    assert (answer.status, answer.text) == (204, b"")
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "X-API-Key" in answer.headers["Access-Control-Allow-Headers"]
    stranger = Api().call("OPTIONS", "/agents", **{**asked, "origin": "https://evil.example.com"})
    assert "Access-Control-Allow-Methods" not in stranger.headers


def test_an_error_may_be_read_by_a_known_origin_too(settings):
    settings.CORS_ORIGINS = ["https://desk.example.com"]
    answer = Api().get("/agents", origin="https://desk.example.com")
    assert answer.status == 401
    assert answer.headers["Access-Control-Allow-Origin"] == "https://desk.example.com"


def test_answers_are_neither_sniffed_nor_framed_nor_kept():
    answer = Api().get("/health/live")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_short_health_path_points_to_the_long_one():
    response = Api().client.get("/health")
    assert response.status_code == 302
    assert response.headers["Location"] == "/api/v1/health"


@pytest.mark.parametrize(("trusted", "expected"), [(False, "198.51.100.1"), (True, "203.0.113.5")])
def test_the_address_is_taken_from_one_trusted_proxy_only(settings, trusted, expected, rf):
    from apps.core.api.limits import client_address

    settings.TRUST_PROXY = trusted
    request = rf.get("/", headers={"x-forwarded-for": "10.9.9.9, 203.0.113.5"}, REMOTE_ADDR="198.51.100.1")
    assert client_address(request) == expected


def test_an_unknown_host_is_refused_with_json():
    response = Api().client.get("/api/v1/agents", headers={"host": "evil.example.com"})
    assert response.status_code == 400
    assert response.json()["code"] == "BAD_REQUEST"


HELMET = (
    "Content-Security-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Origin-Agent-Cluster",
    "Referrer-Policy",
    "X-Content-Type-Options",
    "X-DNS-Prefetch-Control",
    "X-Download-Options",
    "X-Frame-Options",
    "X-Permitted-Cross-Domain-Policies",
    "X-XSS-Protection",
)


@pytest.mark.parametrize("path", ["/health/live", "/agents", "/nothing", "/metrics"])
def test_every_api_answer_carries_what_helmet_sets(path):
    answer = Api().get(path)
    assert [name for name in HELMET if name not in answer.headers] == []
    assert "X-Powered-By" not in answer.headers
    assert "Server" not in answer.headers


PAGES = ["/admin/login/", "/desk/", "/api/docs/", "/api/v1/agents"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_is_framed_by_nobody_else(path):
    operator = make_user(is_staff=True, is_superuser=True)
    client = Api(accept="text/html").client
    if path != "/admin/login/":
        client.force_login(operator)
    response = client.get(path)
    assert response.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert policy["frame-ancestors"] == "'self'"
    allowed = {word for sources in policy.values() for word in sources.split()}
    own = {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:", "ws://localhost"}
    assert allowed <= own
    assert UUID(response["x-request-id"])


def test_no_page_but_the_documentation_runs_scripts_written_into_it():
    from apps.core.api import headers

    for path in ("/admin/", "/desk/", "/api/v1/agents", "/"):
        scripts = headers.of_page(path)["Content-Security-Policy"].split("script-src ")[1].split(";")[0]
        assert "'unsafe-inline'" not in scripts, path


def test_static_files_carry_a_request_id_too():
    response = Api().client.get("/static/desk/desk.js", headers={"x-request-id": "asset-1"})
    assert (response.status_code, response["x-request-id"]) == (200, "asset-1")
    assert response["X-Content-Type-Options"] == "nosniff"


def test_an_url_without_end_is_refused_before_anything_reads_it():
    answer = Api().get("/agents?x=" + "y" * 9000)
    assert (answer.status, answer.code) == (414, "URI_TOO_LONG")
    assert answer.json["success"] is False


def test_one_address_cannot_take_the_process_for_itself(settings, monkeypatch):
    from apps.core.api import limits

    settings.REQUESTS_PER_MINUTE = 3
    monkeypatch.setattr(limits, "_ceiling", limits._Ceiling())
    greedy = [Api(address="203.0.113.9").get("/health/live") for _ in range(4)]
    assert [answer.status for answer in greedy] == [200, 200, 200, 429]
    assert greedy[3].code == "RATE_LIMITED"
    assert 1 <= int(greedy[3].headers["Retry-After"]) == greedy[3].json["retryAfter"] <= 60
    assert Api(address="203.0.113.10").get("/health/live").status == 200
    settings.REQUESTS_PER_MINUTE = 0
    assert Api(address="203.0.113.9").get("/health/live").status == 200


def test_no_origin_is_allowed_by_a_wildcard(settings):
    settings.CORS_ORIGINS = ["https://desk.example.com"]
    asked = {"origin": "https://desk.example.com", "access-control-request-method": "GET"}
    for answer in (Api().get("/health/live", origin=asked["origin"]), Api().call("OPTIONS", "/agents", **asked)):
        assert "*" not in " ".join(value for name, value in answer.headers.items() if name.startswith("Access-"))


def test_a_preflight_is_answered_while_the_database_is_away(settings, django_db_blocker):
    settings.CORS_ORIGINS = ["https://desk.example.com"]
    asked = {"origin": "https://desk.example.com", "access-control-request-method": "PUT"}
    with django_db_blocker.block():
        assert Api().call("OPTIONS", "/agents", **asked).status == 204


@pytest.mark.parametrize(("environment", "expected"), [("production", "max-age=31536000"), ("test", "None")])
def test_browsers_are_told_to_stay_on_tls_in_production_alone(environment, expected):
    secret = "of-this-test-alone-" * 3
    settings = {
        "SOLDESK_ENV": environment,
        "SOLDESK_DEMO": "0",
        "SECRET_KEY": secret,
        "JWT_SECRET": secret,
        "ADMIN_PASSWORD": secret,
    }
    program = (
        "import django; django.setup()\n"
        "from apps.core.api.headers import PROTECTION, of_page\n"
        "print(*(each.get('Strict-Transport-Security') for each in (PROTECTION, of_page('/desk/'))), sep='|')\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **settings}, capture_output=True, text=True, timeout=60
    )
    assert [text.split(";")[0] for text in told.stdout.strip().split("|")] == [expected] * 2, told.stderr

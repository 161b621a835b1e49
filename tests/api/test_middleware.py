"""What every response carries: a request id, CORS for known origins, headers that protect."""

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


def test_a_request_leaves_one_line_that_names_it(capsys):
    with structlog.testing.capture_logs() as lines:
        Api().get("/health/live", **{"x-request-id": "the-one"})
    (line,) = [line for line in lines if line["event"] == "request_finished"]
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

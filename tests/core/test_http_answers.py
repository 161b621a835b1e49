"""What an answer's status, headers and body mean."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.core.http import ProviderError, ProviderMalformed, ProviderRateLimited, ProviderRejected, ProviderUnavailable
from apps.core.http.answers import describe_body, parse_json, read_answer, seconds_to_wait


def read(status: int, body: bytes, headers: dict[str, str] | None = None) -> object:
    return read_answer(
        "jupiter",
        "quote",
        status=status,
        headers=headers or {},
        body=body,
        wall_seconds=1_000_000.0,
        pause_seconds=1.0,
    )


def test_fractions_arrive_exactly() -> None:
    body = b'{"a": 0.1, "b": 6.632e-11, "c": 123456789012345678901234567890.123456789, "d": 12345678901234567890}'
    assert read(200, body) == {
        "a": Decimal("0.1"),
        "b": Decimal("6.632e-11"),
        "c": Decimal("123456789012345678901234567890.123456789"),
        "d": 12345678901234567890,
    }


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": NaN}', b"[Infinity]", b'{"a":', b"\xff\xfe", b"[" * 100_000])
def test_a_success_that_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(ProviderMalformed):
        read(200, body)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (429, ProviderRateLimited, "PROVIDER_RATE_LIMITED"),
        (500, ProviderUnavailable, "PROVIDER_UNAVAILABLE"),
        (503, ProviderUnavailable, "PROVIDER_UNAVAILABLE"),
        (400, ProviderRejected, "PROVIDER_REJECTED"),
        (401, ProviderRejected, "PROVIDER_REJECTED"),
        (302, ProviderRejected, "PROVIDER_REJECTED"),
    ],
)
def test_each_status_has_its_error_and_code(status: int, kind: type[ProviderError], code: str) -> None:
    with pytest.raises(kind) as caught:
        read(status, b"{}")
    assert caught.value.code == code
    assert caught.value.details["provider"] == "jupiter"


def test_rejection_carries_the_status_and_the_code_of_the_body() -> None:
    body = b'{"error": "Could not find any route", "errorCode": "COULD_NOT_FIND_ANY_ROUTE"}'
    with pytest.raises(ProviderRejected) as caught:
        read(400, body)
    assert caught.value.http_status == 400
    assert caught.value.body_code == "COULD_NOT_FIND_ANY_ROUTE"
    assert caught.value.body_message == "Could not find any route"


@pytest.mark.parametrize(
    ("body", "described"),
    [
        (b'{"code": 403, "message": "Request blocked by firewall"}', ("403", "Request blocked by firewall")),
        (b'{"error": "Failed to get quotes"}', ("", "Failed to get quotes")),
        (b"unauthorized", ("", "unauthorized")),
        (b"[1]", ("", "")),
        (b"", ("", "")),
        (b"x" * 5000, ("", "x" * 200)),
    ],
)
def test_error_bodies_of_every_shape_are_understood(body: bytes, described: tuple[str, str]) -> None:
    assert describe_body(body) == described


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset": "1000003"}, 3.0),
        ({"x-ratelimit-reset": "999990"}, 0.0),
        ({"x-ratelimit-reset": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 1.0),
        ({"x-ratelimit-reset": "nan"}, 1.0),
        ({"retry-after": "100000"}, 300.0),
        ({}, 1.0),
    ],
)
def test_a_429_waits_for_the_reset_then_for_retry_after_then_a_default(headers: dict[str, str], seconds: float) -> None:
    assert seconds_to_wait(headers, wall_seconds=1_000_000.0, default=1.0) == seconds


def test_json_nested_without_end_is_refused_not_a_crash() -> None:
    with pytest.raises(ValueError, match="nested"):
        parse_json(b'{"a":' * 200_000)

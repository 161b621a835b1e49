"""GETs to one provider from threads, over pooled httpx connections."""

from __future__ import annotations

import time

import httpx

from apps.core.http.answers import LARGEST_BODY_BYTES, REQUEST_ID_HEADER, Answer
from apps.core.http.attempts import Attempts
from apps.core.http.errors import ProviderError, ProviderMalformed, ProviderTimeout, ProviderUnavailable
from apps.core.http.gate import Gate
from apps.core.http.plans import Lane
from apps.core.http.provider import KEEP_ALIVE_SECONDS, Params, Provider, tls_context


class ProviderClient(Provider):
    """GETs to one provider from threads."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate)
        self._http = httpx.Client(
            verify=tls_context() if self.config.secure else False,
            trust_env=not self.config.local,
            headers=self.config.headers(),
            follow_redirects=False,
            limits=httpx.Limits(
                max_connections=self.config.max_connections,
                max_keepalive_connections=self.config.max_connections,
                keepalive_expiry=KEEP_ALIVE_SECONDS,
            ),
        )

    def get(
        self,
        operation: str,
        path: str,
        params: Params | None = None,
        *,
        lane: Lane = Lane.REST,
        deadline_seconds: float,
    ) -> Answer:
        """Return the parsed answer of GET `path`, retried within `deadline_seconds`.

        `operation` names the call in metrics, logs and breakers: a fixed word, never a mint or an id.

        Raises:
            ProviderError: see `apps.core.http.errors`.
        """
        attempts = Attempts(self.gate, operation, lane, deadline_seconds)
        url = self.url(path, params)
        while True:
            seconds = attempts.begin()
            response: httpx.Response | None = None
            try:
                request = self._http.build_request("GET", url, extensions={"timeout": self._timeout(seconds)})
                response = self._http.send(request, stream=True)
                try:
                    body = self._collect(operation, response, attempts.started + seconds)
                finally:
                    response.close()
                payload = self.read(operation, response.status_code, response.headers, body)
            except (ProviderError, httpx.HTTPError) as error:
                ours = error if isinstance(error, ProviderError) else self._translate(operation, error)
                time.sleep(attempts.failed(ours, request_id=_request_id(response)))
                continue
            except BaseException:
                attempts.abandoned()
                raise
            return Answer(payload, response.status_code, attempts.succeeded(), response.headers)

    def _collect(self, operation: str, response: httpx.Response, until: float) -> bytes:
        """Return the body; a body that drips past `until` is a time-out, as a silent one is."""
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_BODY_BYTES:
                raise self.too_large(operation)
            if time.monotonic() > until:
                raise ProviderTimeout(self.config.name, operation, f"{self.config.name} answered too slowly")
        return b"".join(chunks)

    def close(self) -> None:
        """Close the pooled connections."""
        self._http.close()

    def _timeout(self, seconds: float) -> dict[str, float]:
        return {
            "connect": min(seconds, self.config.connect_timeout_seconds),
            "read": seconds,
            "write": seconds,
            "pool": seconds,
        }

    def _translate(self, operation: str, error: httpx.HTTPError) -> ProviderError:
        name = self.config.name
        if isinstance(error, httpx.TimeoutException):
            return ProviderTimeout(name, operation, f"{name} did not answer {operation} in time")
        if isinstance(error, httpx.TransportError):
            return ProviderUnavailable(name, operation, f"{name} cannot be reached: {type(error).__name__}")
        return ProviderMalformed(name, operation, f"{name} answered unreadably: {type(error).__name__}")


def _request_id(response: httpx.Response | None) -> str:
    return response.headers.get(REQUEST_ID_HEADER, "") if response is not None else ""

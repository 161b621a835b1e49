"""What a scrape gets: the figures of this process or, with METRICS_DIR set, of all processes of the machine.

The web process serves it at /api/v1/metrics. Where processes share no folder, `serve` gives each that is not web a
scrape address of its own: METRICS_PORT, behind METRICS_TOKEN where that is set.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog
from celery import signals
from django.conf import settings
from prometheus_client import Metric, generate_latest

from apps.core import metrics_files
from apps.core.metrics_registry import REGISTRY

log = structlog.get_logger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SOCKET_SECONDS = 5


class _Page:
    """What `generate_latest` asks: a list of metrics."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def render(extra: Iterable[Metric] = ()) -> bytes:
    """Return the page in Prometheus' text format, with `extra` metrics at its end."""
    folder = settings.METRICS_DIR
    own = list(REGISTRY.collect()) if folder is None else metrics_files.collect(folder)
    return generate_latest(_Page([*own, *extra]))


def opens(authorization: str) -> bool:
    """Tell whether an Authorization header carries the scrape token; never while none is set."""
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    return bool(settings.METRICS_TOKEN) and hmac.compare_digest(authorization.encode(), wanted.encode())


class _Handler(BaseHTTPRequestHandler):
    timeout = _SOCKET_SECONDS

    def do_GET(self) -> None:
        if settings.METRICS_TOKEN and not opens(self.headers.get("Authorization", "")):
            self.send_error(HTTPStatus.UNAUTHORIZED)
            return
        page = render()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_words: object) -> None:
        """A scrape each few seconds is no news."""


def serve() -> ThreadingHTTPServer | None:
    """Serve this process's figures on METRICS_PORT from a thread; None where none is set or somebody has it."""
    if settings.METRICS_PORT is None:
        return None
    address = (settings.METRICS_HOST, settings.METRICS_PORT)
    try:
        server = ThreadingHTTPServer(address, _Handler)
    except OSError as error:
        log.warning("metrics_port_taken", host=address[0], port=address[1], error=error.strerror)
        return None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    log.info("metrics_served", host=address[0], port=server.server_port)
    return server


def install() -> None:
    """Let Celery's workers and Beat serve theirs; other processes call `serve`."""
    for started in (signals.worker_ready, signals.beat_init):
        started.connect(_started, dispatch_uid="soldesk-metrics-page")


def _started(**_details: object) -> None:
    serve()

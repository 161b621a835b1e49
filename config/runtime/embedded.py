"""PostgreSQL and Redis for the length of a test session or of one command, without a supervisor.

They die with the process that started them. The supervisor runs the same two services with restarts (`services`).
"""

from __future__ import annotations

import atexit
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.runtime import home as homes
from config.runtime import ports
from config.runtime.errors import StartError
from config.runtime.launch import Service
from config.runtime.postgres import Postgres
from config.runtime.redis import Redis
from config.runtime.users import service_user

START_SECONDS = 30
ABANDONED_SECONDS = 120
SCRATCH_PREFIX = "soldesk-scratch-"


def services(home: homes.Home, *, durable: bool = True) -> tuple[Postgres, Redis]:
    """Return the two services of a home, on the ports and with the passwords it remembers."""
    secrets = homes.load_secrets(home.data)
    port = ports.remembered(home.data, ("postgres", "redis"))
    user = service_user()
    return (
        Postgres(home.data, port["postgres"], secrets["POSTGRES_PASSWORD"], user, durable),
        Redis(home.data, port["redis"], secrets["REDIS_PASSWORD"], durable),
    )


@contextmanager
def scratch_services() -> Iterator[EmbeddedServices]:
    """Give services on empty data that are forgotten afterwards, and clear away what a killed user of them left."""
    shared = Path(tempfile.gettempdir())
    for folder in shared.glob(f"{SCRATCH_PREFIX}*"):
        if homes.is_abandoned(folder, ABANDONED_SECONDS):
            homes.remove(folder)
    services = EmbeddedServices(Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX)), durable=False)
    try:
        services.start()
        yield services
    finally:
        services.stop()
        homes.remove(services.path)


class EmbeddedServices:
    """A PostgreSQL and a Redis in the folder `home`; `env` is what a Django process needs to use them."""

    def __init__(self, home: Path, durable: bool = True) -> None:
        self.path = home.resolve()
        self._durable = durable
        self._lock: homes.HomeLock | None = None
        self._running: list[tuple[Service, subprocess.Popen[bytes]]] = []
        self.env: dict[str, str] = {}

    def start(self) -> None:
        """Start both and wait until they answer.

        Raises:
            StartError: the home is in use, or a service did not start.
        """
        home = homes.open_home(self.path, service_user())
        self._lock = homes.HomeLock(home.path)
        if not self._lock.acquire():
            raise StartError(f"Another Soldesk runs from {home.path}.")
        atexit.register(self.stop)
        pair = services(home, durable=self._durable)
        for service in pair:
            self._start(service, home)
        generated = homes.load_secrets(home.data)
        self.env = {
            "DATABASE_URL": pair[0].url,
            "REDIS_URL": pair[1].url,
            **{name: generated[name] for name in ("SECRET_KEY", "JWT_SECRET", "METRICS_TOKEN")},
        }

    def stop(self) -> None:
        """Stop both, the later one first; may be called twice."""
        while self._running:
            service, process = self._running.pop()
            if process.poll() is None:
                process.send_signal(service.stop_signal)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if self._lock is not None:
            self._lock.release()
        atexit.unregister(self.stop)

    def _start(self, service: Service, home: homes.Home) -> None:
        service.prepare()
        launch = service.launch()
        log = home.path / "run" / f"{service.name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                launch.argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **launch.options()
            )
        self._running.append((service, process))
        until = time.monotonic() + START_SECONDS
        while not service.is_ready(process.pid):
            if process.poll() is not None or time.monotonic() > until:
                self.stop()
                last_words = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                raise StartError(f"{service.name} did not start:\n{last_words}")
            time.sleep(0.01)

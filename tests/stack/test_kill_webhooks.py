"""`kill -9` of the worker that tells webhooks, at any moment: every event is delivered at least once, none is lost."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tests.desk import ROOT, Desk, wait_until
from tests.notify.receiver import receiving
from tests.stack.exit_desk import CHANCES, RECOVERY_SECONDS, REPEATS, SEED, query

pytestmark = pytest.mark.stack

EVENTS = 200
KILLS = 3

PROCFILE = """
migrate: python manage.py migrate --noinput
seed: python -c "print('nothing to seed')"
worker-default: celery -q -A config worker -Q default -n default@%h -P threads -c 4 -E --without-gossip --without-mingle
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("webhooks")
    procfile = folder / "Procfile"
    procfile.write_text(PROCFILE)
    with Desk(folder / "home", procfile, SOLDESK_DEMO="1", WEBHOOKS_ALLOW_PRIVATE="1") as running:
        yield running


def script(desk: Desk, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.stack.webhook_events", *arguments]


#: Half a minute passes for what the killed worker held; what its successor leases meanwhile stays leased.
_END_LEASES = """
UPDATE webhook_delivery SET leased_until = now()
WHERE status = 'pending' AND leased_until > now() AND leased_until <= %s + interval '30 s' RETURNING id
"""


def end_leases_of_the_dead(desk: Desk) -> None:
    ((killed_at,),) = query(desk, "SELECT clock_timestamp()")
    query(desk, _END_LEASES, killed_at)


@pytest.mark.parametrize("turn", range(REPEATS))
def test_every_event_is_delivered_whenever_the_worker_is_killed(desk: Desk, turn: int) -> None:
    chance = random.Random(SEED + turn)
    with receiving() as receiver:
        receiver.hang_seconds = 0.05
        told = subprocess.run(
            script(desk, "endpoint", receiver.url),
            cwd=Path(ROOT),
            env=desk.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        made: dict[str, Any] = json.loads(told.stdout)
        writer = subprocess.Popen(
            script(desk, "events", made["user"], str(EVENTS)), cwd=Path(ROOT), env=desk.environment
        )
        for _ in range(KILLS):
            seen = len(receiver.received)
            receiver.wait_for(seen + 1, RECOVERY_SECONDS)
            time.sleep(chance.uniform(0.0, 0.4))
            former = desk.kill("worker-default")
            end_leases_of_the_dead(desk)
            desk.wait_restarted("worker-default", former, RECOVERY_SECONDS)
        assert writer.wait(60) == 0

        def all_are_delivered() -> bool:
            rows = query(
                desk,
                "SELECT count(*), count(*) FILTER (WHERE status = 'delivered') FROM webhook_delivery"
                " WHERE endpoint_id = %s",
                made["endpoint"],
            )
            return rows == [(EVENTS, EVENTS)]

        wait_until(all_are_delivered, 2 * RECOVERY_SECONDS)
        received = list(receiver.received)
    written = {row[0] for row in query(desk, "SELECT event_id FROM webhook_message WHERE type = 'alert'")}
    ids = [request.event_id for request in received]
    assert set(ids) <= written, CHANCES
    assert len(set(ids)) == EVENTS, CHANCES
    verifier = Webhook(made["secret"])
    for request in received:
        verifier.verify(request.body, request.headers)
    messages = {request.event["data"]["message"] for request in received}
    assert messages == {f"{thread}-{step}" for thread in range(4) for step in range(EVENTS // 4)}, CHANCES

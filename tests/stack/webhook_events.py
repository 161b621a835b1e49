"""Run against a desk of real processes: `endpoint <url>` makes one, `events <user> <number>` writes alerts.

Each alert is a transaction of its own, one some milliseconds after the other, some of them slow to commit.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import django


def make_endpoint(url: str) -> None:
    from apps.notify.services import endpoints
    from tests import factories

    user = factories.make_user()
    wish = endpoints.Wish(url=url, events=["alert"])
    endpoint, secret = endpoints.create(user=user, wish=wish, actor=None)
    sys.stdout.write(json.dumps({"user": str(user.pk), "endpoint": str(endpoint.pk), "secret": secret}))


def write_events(user: str, number: int) -> None:
    threads = [threading.Thread(target=_write, args=(user, turn, number // 4)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _write(user: str, turn: int, number: int) -> None:
    from django.db import connection, transaction

    from apps.core import outbox

    for step in range(number):
        payload = {"code": "TEST", "message": f"{turn}-{step}", "mint": f"mint {turn}-{step}"}
        with transaction.atomic():
            outbox.append([outbox.Message(outbox.user_stream(user), "alert", payload)])
            time.sleep(0.03 if step % 7 == turn else 0)
        time.sleep(0.01)
    connection.close()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    if sys.argv[1] == "endpoint":
        make_endpoint(sys.argv[2])
    else:
        write_events(sys.argv[2], int(sys.argv[3]))

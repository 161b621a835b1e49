"""What log lines never say, and what they always say: secrets are masked, the request that caused a line is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from celery import shared_task

from apps.core import http, jobs, logs
from apps.core.http import ProviderError, call_loop
from tests.core.misbehaving_server import MisbehavingServer, reply

ROOT = Path(__file__).parents[2]
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VySWQiOiIxIn0.c2lnbmF0dXJlLW9mLW5vLXVzZQ"
KEY = "nex_0123456789abcdefghijklmnopqrstuv"
SECRETS = {
    "an API key in a sentence": (f"refused {KEY} from 1.2.3.4", KEY[8:]),
    "an access token in a sentence": (f"bad token {JWT}", JWT[12:]),
    "an Authorization header": (f"Authorization: Bearer {JWT[:30]}", JWT[12:30]),
    "a scrape token in a header": ("Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop"),
    "a basic header": ("Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
    "a webhook secret": ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    "a TOTP address": ("otpauth://totp/Soldesk:a@b.c?secret=JBSWY3DPEHPK3PXP&issuer=Soldesk", "JBSWY3DPEHPK3PXP"),
    "a token in an address": ("GET /ws?agentId=*&token=abcdefgh", "abcdefgh"),
    "a ticket in an address": ("GET /ws?ticket=abcdefgh", "abcdefgh"),
    "a database's address": ("postgresql://soldesk:s3cr3t@127.0.0.1/soldesk", "s3cr3t"),
    "a redis' address": ("redis://:s3cr3t@127.0.0.1:6379/0", "s3cr3t"),
    "a private key's bytes": (f"key {list(range(64))}", "61, 62, 63"),
    "a private key's bytes without spaces": (str(list(range(64))).replace(" ", ""), "61,62,63"),
}
NAMES = [
    "password", "new_password", "api_key", "apiKey", "token", "accessToken", "refresh_token", "authorization", "cookie",
    "secret", "webhook_secret", "totp_secret", "otp", "passphrase", "private_key", "keypair", "mnemonic",
]  # fmt: skip


def masked(**event):
    return dict(logs.mask_secrets(None, "info", event))


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=list(SECRETS))
def test_a_secret_in_a_text_is_masked_wherever_it_stands(text, secret):
    for event in (
        masked(event=text),
        masked(exception=f"Traceback\n  {text}"),
        masked(deep={"list": [text, {"a": text}]}),
    ):
        assert secret not in str(event)
        assert logs.MASK in str(event)


@pytest.mark.parametrize("name", NAMES)
def test_a_value_that_is_secret_by_its_name_is_masked(name):
    assert masked(**{name: "hunter2"}) == {name: logs.MASK}
    assert "hunter2" not in str(masked(body={name: "hunter2"}))


def test_what_is_no_secret_stays_readable():
    event = {
        "event": "request_finished",
        "path": "/api/v1/agents/0f0e7f3e-1111-4444-8888-0123456789ab",
        "token_address": "So11111111111111111111111111111111111111112",
        "tokens": 5,
        "figures": [1, 2, 3],
        "none": None,
        "flag": True,
    }
    assert masked(**event) == event


def test_a_traceback_is_masked_too():
    program = (
        "import os; os.environ.update(LOG_FORMAT='json')\n"
        "import django; django.setup()\n"
        "import threading, warnings\n"
        f"def fail(): raise ValueError('cannot use {KEY}')\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join()\n"
        f"warnings.warn('old {KEY}')\n"
        "fail()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    documents = [json.loads(line) for line in done.stderr.splitlines()]
    assert KEY not in done.stderr
    assert [document["event"] for document in documents if document["event"].endswith("_broke")] == [
        "thread_broke",
        "process_broke",
    ]
    assert any("old nex_0123***" in document["event"] for document in documents)
    assert all("nex_0123***" in document["exception"] for document in documents if "exception" in document)


@shared_task(name="tests.tell")
def tell() -> None:
    structlog.get_logger("tests").info("told")


def test_the_lines_of_a_task_name_it_and_the_request_that_caused_it():
    structlog.contextvars.bind_contextvars(request_id="left-by-the-task-before")
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        tell.apply(task_id="task-1", headers={"request_id": "ignored"})
        tell.push_request(id="task-2", request_id="request-2", delivery_info={"routing_key": "default"})
        try:
            jobs._begin(task_id="task-2", task=tell)
            tell.run()
            jobs._end(task=tell, state="SUCCESS")
        finally:
            tell.pop_request()
        structlog.get_logger("tests").info("after")
    first, second, after = lines
    assert (first["task_id"], first["task"]) == ("task-1", "tests.tell")
    assert first.get("request_id") != "left-by-the-task-before"
    assert (second["task_id"], second["request_id"]) == ("task-2", "request-2")
    assert "task_id" not in after
    assert "request_id" not in after


@pytest.fixture
def failing(settings):
    server = MisbehavingServer()
    server.answers(reply(500))
    settings.PROVIDERS = {"jupiter": {"base_url": server.url, "plan": "sandbox"}}
    http.forget_clients()
    yield
    http.forget_clients()
    server.close()


def test_a_failed_call_to_a_provider_names_the_request_it_was_made_for(failing):
    async def ask() -> None:
        await http.async_client("jupiter").get("quote", "/a", deadline_seconds=1)

    structlog.contextvars.bind_contextvars(request_id="caused-by-me")
    try:
        with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
            with pytest.raises(ProviderError):
                http.client("jupiter").get("quote", "/a", deadline_seconds=1)
            with pytest.raises(ProviderError):
                call_loop.run(ask())
    finally:
        structlog.contextvars.clear_contextvars()
    failed = [line for line in lines if line["event"] == "provider_call_failed"]
    assert len(failed) >= 2
    assert {line["request_id"] for line in failed} == {"caused-by-me"}

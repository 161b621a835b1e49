"""A few hundred requests of the fuzzer, in this process: every operation, within the document and beyond it.

`make fuzz` asks by the thousand, against a desk of processes. Each run draws other requests; a failure prints its own.
"""

import json

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from apps.core.api.document import METHODS
from tests import api_document
from tests.apiclient import Answer, api_of, judged
from tests.factories import close_position, make_agent, make_position, make_signal, make_token, make_user

EXAMPLES = 4
DOCUMENT = json.loads(json.dumps(api_document.document(), default=float))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [
    (path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item if method in METHODS
]
QUIETLY = hypothesis_settings(
    max_examples=EXAMPLES,
    phases=[Phase.generate],
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def generous_limits(settings):
    settings.LOGINS_PER_MINUTE = settings.REFRESHES_PER_MINUTE = settings.SIGNALS_PER_MINUTE = 1_000_000
    settings.WALLET_CHANGES_PER_MINUTE = settings.DATA_SOURCES_PER_MINUTE = 1_000_000
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def owner():
    """Somebody with an agent, a position, a closed trade and a signal."""
    user = make_user(is_staff=True)
    agent = make_agent(user, sol="100")
    signal = make_signal(user, make_token())
    make_position(agent, make_token(), signal=signal)
    close_position(make_position(agent, make_token(), signal=signal), proceeds="1.1")
    return user, agent


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=[f"{method} {path}" for path, method in OPERATIONS])
def test_whatever_is_asked_is_answered_as_documented(path, method, owner, market):
    user, agent = owner
    operation = SCHEMA[path][method]
    strategies = [operation.as_strategy(GenerationMode.POSITIVE)]
    if DOCUMENT["paths"][path][method.lower()].get("requestBody") or "{" in path:
        strategies.append(operation.as_strategy(GenerationMode.NEGATIVE))
    asked: list[Answer] = []

    @QUIETLY
    @given(case=st.one_of(strategies))
    def ask(case):
        if case.path_parameters and "agentId" in case.path_parameters and len(asked) % 2 == 0:
            case.path_parameters["agentId"] = str(agent.pk)
        sent = requests.Request(**case.as_transport_kwargs(base_url="http://localhost")).prepare()
        kind = str(sent.headers.get("Content-Type", "application/json"))
        response = api_of(user).client.generic(
            method, sent.path_url, sent.body or b"", content_type=kind, headers=headers_of(sent)
        )
        asked.append(judged(method, response))
        assert asked[-1].status != 500, asked[-1]

    ask()
    assert asked


def headers_of(sent):
    """Return the headers a generated request brings of its own."""
    return {name: value for name, value in sent.headers.items() if name.lower() in ("idempotency-key", "x-api-key")}

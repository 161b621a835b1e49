"""An operator who is signed in, and a desk to look at. Models are imported late: settings follow this file."""

from __future__ import annotations

import pytest
from django.test import Client


@pytest.fixture
def operator(db):
    from tests import factories

    return factories.make_operator("operator@example.com")


@pytest.fixture
def client(operator) -> Client:
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def desk(operator):
    from tests.admin import rows

    return rows.make_desk(operator)

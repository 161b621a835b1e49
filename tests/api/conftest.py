"""Somebody with an agent and a client signed in.

All requests of these tests come from one address: only the tests of the limits themselves may meet them.
"""

import pytest


@pytest.fixture(autouse=True)
def generous_limits(settings):
    settings.LOGINS_PER_MINUTE = settings.REFRESHES_PER_MINUTE = settings.SIGNALS_PER_MINUTE = 100_000
    settings.WALLET_CHANGES_PER_MINUTE = 100_000


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    """The real hasher takes a tenth of a second by design; nothing here depends on it."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def user():
    from tests.factories import make_user  # this file may be read before Django has settings

    return make_user()


@pytest.fixture
def api(user):
    from tests.apiclient import api_of  # as above

    return api_of(user)


@pytest.fixture
def agent(user):
    """An agent of the user with 10 SOL."""
    from tests.factories import make_agent  # as above

    return make_agent(user)

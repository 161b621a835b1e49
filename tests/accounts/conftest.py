"""Sign-in tests come from one address: only the tests of the limits themselves may meet them."""

import pytest


@pytest.fixture(autouse=True)
def generous_limits(settings):
    settings.LOGINS_PER_MINUTE = settings.REFRESHES_PER_MINUTE = settings.SIGNALS_PER_MINUTE = 100_000


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    """The real hasher takes a tenth of a second by design; nothing here depends on it."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

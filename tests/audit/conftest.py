"""The operator and the desk of the admin's tests."""

from tests.admin.conftest import client, desk, operator
from tests.api.conftest import generous_limits

__all__ = ["client", "desk", "generous_limits", "operator"]

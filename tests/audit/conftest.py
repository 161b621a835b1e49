"""The operator and the desk of the admin's tests."""

from tests.admin.conftest import client, desk, operator

__all__ = ["client", "desk", "operator"]

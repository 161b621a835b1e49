"""The sandbox's own tests need neither PostgreSQL nor Redis: pure rules, and the session's sandbox process."""

from __future__ import annotations

from tests.sandbox_server import clean_sandbox

__all__ = ["clean_sandbox"]

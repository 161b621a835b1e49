"""The sandbox's own tests take the shared fixtures; they need neither PostgreSQL nor Redis."""

from tests.sandbox_server import clean_sandbox, sandbox

__all__ = ["clean_sandbox", "sandbox"]

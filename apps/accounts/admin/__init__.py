"""Pages of accounts, a file a subject; Django finds them here.

Users are changed; keys are made once and deleted, sessions ended, second factors reset; what was logged is only read.
One's own password, second factor and sessions are on `own`, which is no model's page.
"""

from apps.accounts.admin import audit_log, keys, people, plumbing, second_factors, sessions

__all__ = ["audit_log", "keys", "people", "plumbing", "second_factors", "sessions"]

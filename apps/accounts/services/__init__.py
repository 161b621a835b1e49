"""Changes to people and what acts for them: signing in, sessions, API keys, users, the audit log."""

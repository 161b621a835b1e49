"""Doors of accounts: sign-in, sessions, API keys; and how every other door knows its caller."""

"""Asking for a password on the command line, where it never shows."""

from __future__ import annotations

import getpass
import sys

from django.core.management.base import CommandError


def ask_password() -> str:
    """Return a password: typed twice at a terminal, else the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise CommandError("The two passwords differ.")
    return password

#!/usr/bin/env python
"""Django's command line; finds the running stack by itself when no database is named."""

import os
import sys
from importlib import import_module

#: Commands that read neither PostgreSQL nor Redis, or bring their own: they run with no desk, pointed at nothing.
WITHOUT_DESK = {("check_vectors",), ("bench", "api"), ("bench", "live")}
NOWHERE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "REDIS_URL": "redis://127.0.0.1:9/0"}
#: Commands without Django: what holds private keys, or passes them on, imports no more than it needs.
BARE = {"signer": "apps.wallets.signer.process", "wallet": "apps.wallets.signer.commands"}


def main() -> None:
    bare = BARE.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if bare is not None:
        sys.exit(import_module(bare).main(sys.argv[2:]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if not WITHOUT_DESK.isdisjoint((tuple(sys.argv[1:2]), tuple(sys.argv[1:3]))):
        for name, url in NOWHERE.items():
            os.environ.setdefault(name, url)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Django's command line; finds the running stack by itself when no database is named."""

import os
import sys

#: Commands that read neither PostgreSQL nor Redis. They run with no desk; nothing listens where they are pointed.
WITHOUT_DESK = {"check_vectors"}
NOWHERE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "REDIS_URL": "redis://127.0.0.1:9/0"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if WITHOUT_DESK.intersection(sys.argv[1:2]):
        for name, url in NOWHERE.items():
            os.environ.setdefault(name, url)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

"""`python -m apps.sandbox`: the sandbox without Django, for tests and quick starts."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser

from apps.sandbox import options, server


def main() -> int:
    """Parse the command line and serve; returns the exit status."""
    parser = ArgumentParser(prog="sandbox", description="A local market behind the providers' own wire shapes.")
    options.add_arguments(parser)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        server.run(options.from_arguments(vars(arguments)))
    except (ValueError, server.CannotListen) as refused:
        print(refused, file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

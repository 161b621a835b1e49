"""A process that has read all of a program, and forks one that runs it for each line; it answers with the new id.

`python -m tests.kill_matrix.nursery <module> [arguments]`. What it forks is a process of its own, with its own loop and
its own connections, and dies as one: reading every module again for each death would be most of a run's time.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import random
import signal
import sys
from typing import Any

from tests.kill_matrix.processes import end_with_parent


def main() -> None:
    sys.argv = sys.argv[1:]
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the program says goes with its errors
    program = importlib.import_module(sys.argv[0])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody has to fetch the dead
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            _live(program)
        told.write(f"{child}\n")
        told.flush()


def _live(program: Any) -> None:
    end_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    random.seed()
    status = 1
    try:
        result = program.main(sys.argv[1:]) if inspect.signature(program.main).parameters else program.main()
        status = (asyncio.run(result) if inspect.iscoroutine(result) else result) or 0
    finally:
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    main()

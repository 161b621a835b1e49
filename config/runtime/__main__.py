"""`python -m config.runtime`: `up`, `down-clean`, `env`, `stopped` and `scratch`; the Makefile's targets call these."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from config.runtime import discover, environment, launch, private_keys, procfile
from config.runtime import home as homes
from config.runtime import stack as stacks
from config.runtime.embedded import EmbeddedServices, scratch_services
from config.runtime.errors import StartError
from config.runtime.supervisor import supervise
from config.runtime.users import service_user

FORMER_SECONDS = 12.0


def main(arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m config.runtime", description="Run Soldesk on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start everything and stay in the foreground")
    up.add_argument("--tied", action="store_true", help="stop when the process that started this one is gone")
    up.add_argument("--procfile", type=Path, default=procfile.PROCFILE)
    up.set_defaults(run=run_up)
    down = commands.add_parser("down-clean", help="forget all data")
    down.add_argument("--yes", action="store_true", help="do not ask")
    down.set_defaults(run=run_down_clean)
    env = commands.add_parser("env", help="print export lines that point a shell at the running desk")
    env.set_defaults(run=run_env)
    stopped = commands.add_parser("stopped", help="run a command on this desk's own database while the desk is stopped")
    stopped.add_argument("command", nargs=argparse.REMAINDER)
    stopped.set_defaults(run=run_stopped)
    scratch = commands.add_parser("scratch", help="run a command on a PostgreSQL and a Redis that live as long as it")
    scratch.add_argument("command", nargs=argparse.REMAINDER)
    scratch.set_defaults(run=run_scratch)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    return code


def run_up(options: argparse.Namespace) -> int:
    """Start the stack of this home and supervise it until Ctrl-C."""
    keys_descriptor = private_keys.set_aside()
    if options.tied:
        launch.end_with_parent()
    path = homes.locate(environment.read(os.environ))
    home = homes.open_home(path, service_user())
    lock = homes.HomeLock(path)
    if not lock.acquire():
        record = discover.running_stack(path) or {}
        process = record.get("supervisor", "just starting or stopping")
        raise StartError(
            f"Soldesk already runs from {path} (process: {process}). "
            "Stop it there with Ctrl-C, or start a second copy: `SOLDESK_HOME=var2 PORT=8001 SANDBOX_PORT=8091 "
            "SANDBOX_RPC_PORT=8909 FLOWER_PORT=5556 make up`."
        )
    _wait_for_former(home)
    return supervise(stacks.assemble(home, os.environ, options.procfile, keys_descriptor))


def run_down_clean(options: argparse.Namespace) -> int:
    """Remove this home's data, after a question."""
    path = homes.locate(environment.read(os.environ))
    if homes.HomeLock.is_held(path):
        raise StartError(f"Soldesk runs from {path}. Stop it first (Ctrl-C there).")
    folders = homes.folders_of(path)
    if not folders:
        print(f"There are no data in {path}.")
        return 0
    print(f"This removes every trade, agent, user and key in {' and '.join(map(str, folders))}.")
    if not options.yes and input("Type yes to go on: ").strip().lower() != "yes":
        print("Nothing was removed.")
        return 1
    homes.remove(path)
    print("Removed. `make up` begins anew.")
    return 0


def run_env(_options: argparse.Namespace) -> int:
    """Print the running desk's variables as shell exports."""
    path = homes.locate(environment.read(os.environ))
    record = discover.running_stack(path)
    if record is None:
        raise StartError(f"No desk runs from {path}. Start it with `make up`.")
    for name, value in discover.stack_environment(record).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def run_stopped(options: argparse.Namespace) -> int:
    """Run a command with the home's own services and nothing else of the desk; return its exit code."""
    settings = environment.read(os.environ)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if settings.get("DATABASE_URL") and settings.get("REDIS_URL"):
        return subprocess.run(command, check=False).returncode
    services = EmbeddedServices(homes.locate(settings))
    services.start()
    try:
        # As `up` has it: what the operator sets wins over what the home made for itself.
        told = {name: settings[name] for name in stacks.SECRETS if settings.get(name)}
        return subprocess.run(command, env=os.environ | services.env | told, check=False).returncode
    finally:
        services.stop()


def run_scratch(options: argparse.Namespace) -> int:
    """Run a command with services of its own; return its exit code."""
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise StartError("scratch needs a command: python -m config.runtime scratch -- COMMAND")
    with scratch_services() as services:
        return subprocess.run(command, env=os.environ | services.env, check=False).returncode


def _wait_for_former(home: homes.Home) -> None:
    """Let the processes of a supervisor that was killed a moment ago end before their ports are checked."""
    try:
        former = json.loads(home.stack_file.read_text())["pids"].values()
    except (OSError, ValueError, KeyError):
        return
    until = time.monotonic() + FORMER_SECONDS
    while time.monotonic() < until and any(Path(f"/proc/{pid}").exists() for pid in former):
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

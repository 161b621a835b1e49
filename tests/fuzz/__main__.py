"""`make fuzz`: schemathesis against a whole desk of its own, with the OpenAPI document as the judge.

A desk is started on a folder and ports of its own, with the demo's agents trading; its rate limits are out of the way.
Every operation gets requests as the document allows them and as it forbids them, alone and in sequences. Ends with the
number of requests, of findings, and the seed; the exit code is 1 if anything was found, 2 if too little was asked.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.desk import ROOT, Desk

FEWEST_REQUESTS = 5_000
#: What is not judged, and why: see README.md beside this file.
NOT_JUDGED = "positive_data_acceptance,unsupported_method"
_LIMITLESS = {
    "REQUESTS_PER_MINUTE": "0",
    "LOGINS_PER_MINUTE": "1000000",
    "REFRESHES_PER_MINUTE": "1000000",
    "WALLET_CHANGES_PER_MINUTE": "1000000",
    "DATA_SOURCES_PER_MINUTE": "1000000",
    "SIGNALS_PER_MINUTE": "1000000",
    "WEBHOOKS_ALLOW_PRIVATE": "0",
}


def main() -> int:
    """Start a desk, fuzz it, stop it; return the exit code."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="repeat a run")
    parser.add_argument("--examples", type=int, default=40, help="generated requests per operation, at most")
    parser.add_argument("--only", help="operations by a pattern of their path")
    parser.add_argument("--keep", type=Path, help="where to leave the reports")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soldesk-fuzz-") as folder:
        reports = options.keep or Path(folder) / "reports"
        reports.mkdir(parents=True, exist_ok=True)
        with Desk(Path(folder) / "home", None, SOLDESK_DEMO="1", **_LIMITLESS) as desk:
            time.sleep(20)  # the demo's agents buy something to ask about
            found = subprocess.run(_command(desk, options, reports), cwd=ROOT, env=_environment(desk, options.seed))
        return _told(reports / "run.json", options, found.returncode)


def _command(desk: Desk, options: argparse.Namespace, reports: Path) -> list[str]:
    address = f"http://127.0.0.1:{desk.port}"
    return [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(Path(__file__).with_name("schemathesis.toml"))),
        "run",
        f"{address}/api/schema/?format=json",
        *("--url", address),
        *("--phases", "examples,coverage,fuzzing,stateful"),
        *("--checks", "all", "--exclude-checks", NOT_JUDGED),
        *("--max-examples", str(options.examples)),
        *("--seed", str(options.seed)),
        *("--generation-database", "none"),
        *("--suppress-health-check", "all"),
        *("--request-timeout", "30"),
        *("--max-response-time", "20"),  # a buy or a close waits up to 15 s for the chain, then it is 202
        *("--continue-on-failure", "--warnings", "off"),
        *("--report-json-path", str(reports / "run.json")),
        *("--report-ndjson-path", str(reports / "run.ndjson")),
        *(("--include-path-regex", options.only) if options.only else ()),
    ]


def _environment(desk: Desk, seed: int) -> dict[str, str]:
    own = {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "FUZZ_SEED": str(seed), "PYTHONPATH": str(ROOT)}
    return {**os.environ, **desk.environment, **own, "DJANGO_SETTINGS_MODULE": "config.settings"}


def _told(report: Path, options: argparse.Namespace, code: int) -> int:
    """Print the run's figures and return its exit code."""
    if not report.exists():
        print("schemathesis wrote no report", file=sys.stderr)
        return code or 2
    run: dict[str, Any] = json.loads(report.read_text())
    asked, findings = run["test_cases"]["generated"], run["test_cases"]["unique_failures"]
    operations = run["operations"]["tested"]
    print(f"{asked} requests to {operations} operations, {findings} findings, seed {options.seed}")
    if code == 0 and asked < FEWEST_REQUESTS and options.only is None:
        print(f"too few: at least {FEWEST_REQUESTS} are asked for; raise --examples", file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())

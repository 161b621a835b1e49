"""Runs golden vector files through the trading rules and prints how they agree; needs no database."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.trading.vector_checks import deviations, runner

_FAILED, _UNCHECKED = 1, 2
_SHOWN_CASES = 5
_SHOWN_DIFFERENCES = 3


class Command(BaseCommand):
    help = "Check the trading rules against golden vector files; ends non-zero when a case fails."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "paths",
            nargs="*",
            type=Path,
            metavar="PATH",
            help="Files named <topic>.<anything>.json, or folders of them (default: tests/vectors).",
        )
        parser.add_argument(
            "--show", type=int, default=_SHOWN_CASES, metavar="N", help="Differing cases to print per topic and kind."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        paths = options["paths"] or [Path(settings.BASE_DIR) / "tests" / "vectors"]
        try:
            reports, unchecked = runner.check_files(runner.vector_files(paths))
        except runner.VectorFileError as error:
            raise CommandError(str(error), returncode=_UNCHECKED) from error
        for report in reports:
            self._print(report, options["show"])
        self._explain(reports)
        for problem in unchecked:
            self.stderr.write(str(problem))
        failed = sum(report.count(runner.FAILED) for report in reports)
        if failed:
            raise CommandError(f"{failed} cases failed", returncode=_FAILED)
        if unchecked:
            raise CommandError(f"{len(unchecked)} files were not checked", returncode=_UNCHECKED)

    def _print(self, report: runner.TopicReport, most: int) -> None:
        counts = {status: report.count(status) for status in (runner.PASSED, runner.FAILED, runner.DEVIATION)}
        line = (
            f"{report.topic}: {counts[runner.PASSED]} passed, {counts[runner.FAILED]} failed, "
            f"{counts[runner.DEVIATION]} deviations"
        )
        self.stdout.write(f"{line} ({_counted(report.deviation_codes)})" if report.deviation_codes else line)
        if report.restated_codes:
            self.stdout.write(f"  passed as the decisions restate them: {_counted(report.restated_codes)}")
        for status in (runner.FAILED, runner.DEVIATION):
            for result in report.of(status)[:most]:
                self._print_case(status, result)

    def _print_case(self, status: str, result: runner.CaseResult) -> None:
        tags = f" [{', '.join(result.codes)}]" if result.codes else ""
        self.stdout.write(f"  {status}{tags}: {result.name}")
        for difference in result.differences[:_SHOWN_DIFFERENCES]:
            self.stdout.write(f"    {difference}")

    def _explain(self, reports: list[runner.TopicReport]) -> None:
        deviating = sum((report.deviation_codes for report in reports), Counter[str]())
        restated = sum((report.restated_codes for report in reports), Counter[str]())
        self._explain_codes("Deviations, by code (docs/vectors.md):", deviating)
        self._explain_codes("Restated, by code (docs/vectors.md):", restated)

    def _explain_codes(self, heading: str, counts: Counter[str]) -> None:
        if counts:
            self.stdout.write(heading)
        for code, total in sorted(counts.items()):
            self.stdout.write(f"  {code}: {total}. {deviations.explain(code)}")


def _counted(codes: Counter[str]) -> str:
    return ", ".join(f"{code} {count}" for code, count in sorted(codes.items()))

"""How a measurement is summed up and printed: the same for every bench."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol


class Output(Protocol):
    """Where the table goes: a text stream, or the output of a command."""

    def write(self, text: str, /) -> Any: ...


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the value `percent` of the samples do not pass (nearest rank).

    >>> percentile([1.0, 2.0, 3.0, 4.0], 50), percentile([1.0, 2.0, 3.0, 4.0], 99)
    (2.0, 4.0)
    """
    ordered = sorted(samples)
    rank = max(0, -(-len(ordered) * percent // 100) - 1)
    return ordered[int(rank)]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a bench: what was measured, in milliseconds, and what went wrong."""

    workload: str
    samples_ms: Sequence[float]
    failures: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        samples = self.samples_ms
        figures: dict[str, Any] = {"workload": self.workload, "samples": len(samples), "failures": self.failures}
        if samples:
            figures |= {
                "p50": percentile(samples, 50),
                "p95": percentile(samples, 95),
                "p99": percentile(samples, 99),
                "minimum": min(samples),
                "maximum": max(samples),
            }
        return figures | dict(self.extra)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured: figures of two machines are not to be compared."""

    system: str
    python: str
    cores: int

    @classmethod
    def this(cls) -> Machine:
        return cls(platform.platform(), platform.python_version(), os.cpu_count() or 0)


def publish(name: str, rows: Sequence[Row], out: Output, json_file: str | None) -> None:
    """Print the rows as a table and, when a file is named, as one JSON object. Times are milliseconds."""
    summaries = [row.summary() for row in rows]
    columns = list(dict.fromkeys(key for summary in summaries for key in summary))
    table = [columns, *[[_cell(summary.get(column)) for column in columns] for summary in summaries]]
    widths = [max(len(line[index]) for line in table) for index in range(len(columns))]
    for line in table:
        cells = [
            text.ljust(width) if place == 0 else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        out.write("  ".join(cells).rstrip() + "\n")
    if json_file:
        document = {"bench": name, "unit": "ms", "machine": asdict(Machine.this()), "rows": summaries}
        Path(json_file).write_text(json.dumps(document, indent=2) + "\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if isinstance(value, float) else str(value)

"""Figures of several processes on one page: what dead ones counted stays, what they told of their present goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.core import metrics_files
from apps.core.metrics_registry import BatchHistogram

ROOT = Path(__file__).parents[2]
#: Counts, observes and sets what its arguments say, then does what each further line on its input says.
PROGRAM = """
import os, sys
from pathlib import Path
from apps.core import metrics_files
metrics_files.share(Path(sys.argv[1]))
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
registry = CollectorRegistry()
counter = Counter("done_total", "Done", ["kind"], registry=registry)
seconds = Histogram("took_seconds", "Took", buckets=(1, 2), registry=registry)
level = Gauge("level", "Level", ["shard"], multiprocess_mode="livemostrecent", registry=registry)
for line in sys.stdin:
    word, _, value = line.strip().partition(" ")
    if word == "count":
        counter.labels("x").inc(float(value))
    elif word == "observe":
        seconds.observe(float(value))
    elif word == "set":
        level.labels("0").set(float(value))
    elif word == "fork":
        child = os.fork()
        if child == 0:
            counter.labels("x").inc(float(value))
            os._exit(0)
        os.waitpid(child, 0)
    print("ok", flush=True)
"""


class Process:
    """A process that keeps figures in a folder and does as it is told."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def do(self, *lines: str) -> Process:
        assert self.process.stdin is not None and self.process.stdout is not None
        for line in lines:
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()
            assert self.process.stdout.readline() == b"ok\n"
        return self

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "metrics"


@pytest.fixture
def start(folder: Path) -> Iterator[type[Process]]:
    started: list[Process] = []

    def begin() -> Process:
        started.append(Process(folder))
        return started[-1]

    yield begin  # type: ignore[misc]
    for process in started:
        if process.process.poll() is None:
            process.kill()


def read(folder: Path) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for metric in metrics_files.collect(folder)
        for sample in metric.samples
    }


def test_the_page_is_the_sum_of_all_processes(start, folder):
    start().do("count 2", "observe 0.5", "set 1")
    start().do("count 3", "observe 1.5", "set 7")
    found = read(folder)
    assert found["done_total['x']"] == 5
    assert (found["took_seconds_count[]"], found["took_seconds_sum[]"]) == (2, 2.0)
    assert found["took_seconds_bucket['1.0']"] == 1
    assert found["level['0']"] == 7
    assert metrics_files.count_processes(folder) == 2


def test_a_killed_process_keeps_its_counts_and_loses_what_it_told_of_its_present(start, folder):
    killed, other = start().do("count 2", "observe 5", "set 9"), start().do("count 1")
    killed.kill()
    for _ in range(2):  # folding it must not count it again
        found = read(folder)
        assert found["done_total['x']"] == 3
        assert (found["took_seconds_count[]"], found["took_seconds_bucket['+Inf']"]) == (1, 1)
        assert "level['0']" not in found
    assert metrics_files.count_processes(folder) == 1
    other.do("count 1")
    assert read(folder)["done_total['x']"] == 4


def test_processes_that_come_and_go_leave_one_file_of_each_kind(start, folder):
    for _ in range(4):
        start().do("count 1", "observe 1", "set 1").kill()
        read(folder)
    assert read(folder)["done_total['x']"] == 4
    assert sorted(path.name for path in folder.glob("*.db")) == ["counter_ended.db", "histogram_ended.db"]
    assert not list(folder.glob("*.alive"))


def test_a_forked_child_is_a_process_of_its_own(start, folder):
    parent = start().do("count 1", "fork 10")
    assert read(folder)["done_total['x']"] == 11
    assert metrics_files.count_processes(folder) == 1
    parent.do("count 1")
    assert read(folder)["done_total['x']"] == 12


def test_a_folder_is_its_owners_alone(start, folder):
    start().do("count 1")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_just_being_made_is_passed_over(start, folder):
    start().do("count 1")
    (folder / f"counter_{os.getpid()}-new.db").touch()
    assert read(folder)["done_total['x']"] == 1


def test_many_equal_observations_are_those_made_one_by_one():
    from prometheus_client import CollectorRegistry, Histogram

    one, many = CollectorRegistry(), CollectorRegistry()
    single = Histogram("took_seconds", "Took", buckets=(1, 2), registry=one)
    batch = BatchHistogram("took_seconds", "Took", buckets=(1, 2), registry=many)
    for amount, count in ((0.5, 3), (1.0, 2), (1.5, 1), (9.0, 4), (2.5, 0)):
        for _ in range(count):
            single.observe(amount)
        batch.observe_many(amount, count)

    def samples(registry):
        return [(s.name, s.labels, s.value) for m in registry.collect() for s in m.samples]

    assert samples(one) == samples(many)

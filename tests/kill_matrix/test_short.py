"""A few combinations of the kill matrix, the same each time; `make kill-matrix` tries hundreds, others by each seed."""

from __future__ import annotations

import itertools
import subprocess
import sys
from operator import attrgetter

from apps.trading.domain import order_machine
from tests.kill_matrix import cells
from tests.kill_matrix.processes import ROOT

SEED = 201
CELLS = 5
SECONDS = 600


def test_a_kill_at_any_point_with_any_fault_leaves_one_truth_in_books_and_chain() -> None:
    command = [sys.executable, "-m", "tests.kill_matrix", "--seed", str(SEED), "--cells", str(CELLS)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert found.returncode == 0, f"{found.stdout}\n{found.stderr[-2000:]}"
    assert f"{CELLS} combinations" in found.stdout


def test_a_seed_draws_the_same_combinations_again() -> None:
    assert list(map(str, cells.draw(7, 30))) == list(map(str, cells.draw(7, 30)))


def test_three_hundred_combinations_differ_and_bring_every_victim_to_every_point_fault_and_purpose() -> None:
    drawn = cells.draw(7, 300)
    assert len({str(cell).partition(" ")[2] for cell in drawn}) == 300
    points = {each[0] for each in cells.every()}
    victims = set(cells.VICTIMS)
    for what, wanted in (
        ("point", points),
        ("fault.name", {fault.name for fault in cells.FAULTS}),
        ("purpose", set(cells.PURPOSES)),
        ("route", set(cells.ROUTES)),
    ):
        met = {(attrgetter(what)(cell), cell.victim) for cell in drawn}
        assert met == set(itertools.product(wanted, victims)), what


def test_every_state_an_order_can_take_is_a_point() -> None:
    steps = {point.partition(":")[2] for point, *_ in cells.every()}
    assert set(order_machine.STEPS) <= steps

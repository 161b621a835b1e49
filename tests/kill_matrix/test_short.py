"""A few combinations of the kill matrix, the same each time; `make kill-matrix` tries hundreds, others by each seed."""

from __future__ import annotations

import subprocess
import sys

from tests.kill_matrix import cells
from tests.kill_matrix.processes import ROOT

SEED = 11
CELLS = 5
SECONDS = 240


def test_a_kill_at_any_point_with_any_fault_leaves_one_truth_in_books_and_chain() -> None:
    command = [sys.executable, "-m", "tests.kill_matrix", "--seed", str(SEED), "--cells", str(CELLS)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert found.returncode == 0, f"{found.stdout}\n{found.stderr[-2000:]}"
    assert f"{CELLS} combinations" in found.stdout


def test_a_seed_draws_the_same_combinations_again_and_every_point_fault_and_victim_is_among_them() -> None:
    assert list(map(str, cells.draw(7, 300))) == list(map(str, cells.draw(7, 300)))
    drawn = cells.draw(7, 300)
    assert len({str(cell).partition(" ")[2] for cell in drawn}) == 300
    everything = cells.every()
    assert {each[0] for each in everything} == {*cells.LANDING_POINTS, *cells.EXPIRING_POINTS, *cells.REFUSED_POINTS}
    assert {cell.victim for cell in drawn} == set(cells.VICTIMS)
    assert {cell.fault.name for cell in drawn} == {fault.name for fault in cells.FAULTS}

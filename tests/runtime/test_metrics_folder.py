"""The processes of one stack share a private folder for their figures; nothing of an earlier one is in it."""

from __future__ import annotations

from pathlib import Path

from config.runtime import home as homes


def test_each_stack_begins_with_an_empty_folder_of_its_owners_alone(tmp_path: Path) -> None:
    home = homes.open_home(tmp_path / "home", None)
    first = home.fresh_folder("metrics")
    (first / "counter_of-a-former-stack.db").write_text("left behind")
    second = home.fresh_folder("metrics")
    assert (first, list(second.iterdir())) == (second, [])
    assert second.stat().st_mode & 0o777 == 0o700
    assert home.stack_file.parent == second.parent

"""The first step of every make target: the right Python, and packages that match the lock file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config.runtime import bootstrap
from tests.desk import ROOT

SHELL = shutil.which("sh") or "/bin/sh"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(path: Path, body: str) -> None:
    path.write_text(f"#!{SHELL}\n{body}\n")
    path.chmod(0o755)


def test_plain_python3_is_taken_when_it_fits(programs: Path) -> None:
    program(programs / "python3", "echo 3 12")
    program(programs / "python3.11", "echo 3 11")
    assert bootstrap.find_python() == str(programs / "python3")


def test_another_name_is_taken_when_python3_is_too_new_and_a_shim_does_not_run(programs: Path) -> None:
    program(programs / "python3", "echo 3 13")
    program(programs / "python3.12", "exit 127")
    program(programs / "python3.11", "echo 3 11")
    assert bootstrap.find_python() == str(programs / "python3.11")


@pytest.mark.parametrize(("body", "said"), [("echo 3 9", "python3 here is 3.9"), (None, "there is no python3")])
def test_missing_python_is_said_in_a_sentence(programs: Path, body: str | None, said: str) -> None:
    if body is not None:
        program(programs / "python3", body)
    with pytest.raises(bootstrap.BootstrapError, match=f"needs Python 3.12 or 3.11; {said}"):
        bootstrap.find_python()


def test_python_without_venv_names_the_package_to_install(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(programs / "python3", 'case "$2" in *ensurepip*) exit 1;; *) echo 3 11;; esac')
    for name, value in {"ROOT": tmp_path, "VENV": tmp_path / ".venv", "STAMP": tmp_path / ".venv" / "stamp"}.items():
        monkeypatch.setattr(bootstrap, name, value)
    assert bootstrap.main() == 1
    assert "apt install python3.11-venv" in capsys.readouterr().err


def test_packages_are_installed_again_only_when_the_lock_file_or_the_place_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, venv = tmp_path / "requirements.lock", tmp_path / ".venv"
    for name, value in {"LOCK": lock, "VENV": venv, "STAMP": venv / "stamp"}.items():
        monkeypatch.setattr(bootstrap, name, value)
    lock.write_text("one==1\n")
    assert not bootstrap.is_current()
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "stamp").write_text(bootstrap.stamp())
    assert bootstrap.is_current()
    lock.write_text("one==2\n")
    assert not bootstrap.is_current()


def test_bootstrap_needs_nothing_but_the_standard_library() -> None:
    code = "import sys; sys.argv = ['x']; import runpy; runpy.run_path('config/runtime/bootstrap.py')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=ROOT, check=True)

"""Where a setting comes from, and what the Procfile makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.env import load
from config.runtime import environment, home, procfile
from config.runtime.errors import StartError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    return tmp_path


def test_environment_wins_over_the_named_file_and_that_over_the_plain_one(project: Path) -> None:
    (project / ".env").write_text("PORT=1\nSANDBOX_PORT=1\nFLOWER_PORT=1\n")
    (project / ".env.production").write_text("PORT=2\nSANDBOX_PORT=2\n")
    assert environment.read({"SOLDESK_ENV": "production", "PORT": "3"}) == {
        "SOLDESK_ENV": "production",
        "PORT": "3",
        "SANDBOX_PORT": "2",
        "FLOWER_PORT": "1",
    }


def test_empty_value_counts_as_not_set(project: Path) -> None:
    (project / ".env").write_text("PORT=1\nREDIS_URL=\n")
    assert environment.read({"PORT": ""}) == {"PORT": "1"}


def test_relative_home_counts_from_the_project() -> None:
    assert home.locate({}) == environment.ROOT / "var"
    assert home.locate({"SOLDESK_HOME": "other"}) == environment.ROOT / "other"
    assert home.locate({"SOLDESK_HOME": "/srv/desk"}) == Path("/srv/desk")


def test_procfile_takes_names_commands_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "Procfile"
    path.write_text("# first\n\nweb: python -m config.web\nworker-one:   celery -A config\n")
    assert procfile.read(path) == {"web": "python -m config.web", "worker-one": "celery -A config"}


def test_line_that_names_the_shard_runs_once_for_each() -> None:
    commands = {"web": "serve", "worker-prices": "look -Q prices.$SHARD -n prices-${SHARD}@%h $SHARDS", "beat": "beat"}
    assert procfile.per_shard(commands, 2) == {
        "web": "serve",
        "worker-prices-0": "look -Q prices.0 -n prices-0@%h $SHARDS",
        "worker-prices-1": "look -Q prices.1 -n prices-1@%h $SHARDS",
        "beat": "beat",
    }
    assert list(procfile.per_shard(commands, 1)) == ["web", "worker-prices", "beat"]


@pytest.mark.parametrize("line", ["web python", "web: a\nweb: b", "Web: a"], ids=["colon", "twice", "case"])
def test_procfile_line_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "Procfile"
    path.write_text(f"{line}\n")
    with pytest.raises(StartError, match=r"Procfile, line \d"):
        procfile.read(path)


def test_command_with_a_variable_that_is_not_set_is_refused() -> None:
    with pytest.raises(StartError, match="needs NO_SUCH_PORT"):
        procfile.arguments("serve --port ${NO_SUCH_PORT}", {})


@pytest.mark.parametrize(
    "given", ["one.example,two.example", '["one.example", "two.example"]', " one.example , two.example,"]
)
def test_lists_are_given_with_commas_or_as_json(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", given)
    assert load.__wrapped__().allowed_hosts == ["one.example", "two.example"]

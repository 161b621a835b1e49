"""docker-compose.yml runs what the Procfile runs, and is shaped as Compose reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from config.env import Env
from config.runtime import procfile, stack

ROOT = Path(__file__).resolve().parents[2]
CONDITIONS = ["service_started", "service_healthy", "service_completed_successfully"]
DURATION = {"type": "string", "pattern": r"^\d+(ms|s|m)$"}
MOST_SHARDS = 4  # what compose has services for; docs/running.md says how to have more
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["services", "volumes"],
    "patternProperties": {"^x-": {}},
    "properties": {
        "services": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["image"],
                "additionalProperties": False,
                "properties": {
                    "image": {"type": "string"},
                    "build": {"type": "string"},
                    "command": {"type": "string"},
                    "init": {"type": "boolean"},
                    "profiles": {"type": "array", "items": {"type": "string"}},
                    "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
                    "env_file": {"type": "string"},
                    "environment": {"type": "object", "additionalProperties": {"type": "string"}},
                    "ports": {"type": "array", "items": {"type": "string"}},
                    "volumes": {"type": "array", "items": {"type": "string", "pattern": r"^[a-z]+:/"}},
                    "depends_on": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "object",
                            "required": ["condition"],
                            "additionalProperties": False,
                            "properties": {"condition": {"enum": CONDITIONS}},
                        },
                    },
                    "healthcheck": {
                        "type": "object",
                        "required": ["test"],
                        "additionalProperties": False,
                        "properties": {
                            "test": {"type": "string"},
                            "interval": DURATION,
                            "timeout": DURATION,
                            "start_period": DURATION,
                            "retries": {"type": "integer"},
                        },
                    },
                },
            },
        },
        "volumes": {"type": "object"},
    },
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content


def test_compose_file_has_the_shape_compose_reads(compose: dict[str, Any]) -> None:
    jsonschema.validate(compose, SCHEMA)


def test_every_process_of_the_procfile_runs_in_compose_with_the_same_command(compose: dict[str, Any]) -> None:
    expanded = procfile.per_shard(procfile.read(), MOST_SHARDS)
    commands = {name: text for name, text in expanded.items() if name not in stack.DEMO_ONLY}
    composed = {name: service["command"] for name, service in compose["services"].items() if "build" in service}
    assert composed == commands


@pytest.mark.parametrize("shards", range(1, MOST_SHARDS + 1))
def test_the_profile_of_a_number_of_shards_starts_the_worker_of_each(compose: dict[str, Any], shards: int) -> None:
    def starts(service: dict[str, Any]) -> bool:
        return "profiles" not in service or f"shards-{shards}" in service["profiles"]

    started = [name for name, service in compose["services"].items() if starts(service)]
    workers = [name for name in started if name.startswith("worker-prices")]
    assert workers == [f"worker-prices-{shard}" for shard in range(shards)]
    assert len(compose["services"]) - len(started) == MOST_SHARDS - shards


def test_dependencies_and_volumes_of_compose_exist_and_fit(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} waits for the health of {other}"
            if how["condition"] == "service_completed_successfully":
                assert services[other]["restart"] == "no", f"{name} waits for the end of {other}"
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"], name


def test_deployment_runs_in_production_without_the_sandbox(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if "build" in service:
            assert service["environment"]["SOLDESK_ENV"] == "production", name
            assert service["environment"]["SOLDESK_DEMO"] == "0", name
    assert not set(stack.DEMO_ONLY) & set(compose["services"])


def test_no_password_has_a_default_in_compose(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "FLOWER_BASIC_AUTH"):
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text


@pytest.mark.parametrize("name", ["TRUST_PROXY", "CORS_ORIGIN", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS"])
def test_what_a_desk_behind_a_proxy_needs_is_explained_and_in_the_example(name: str) -> None:
    assert name.lower() in Env.model_fields
    assert f"`{name}`" in (ROOT / "docs" / "running.md").read_text()
    assert f"\n#{name}=" in (ROOT / ".env.example").read_text()


def test_lock_file_pins_every_package_by_hash_and_names_no_index() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    entries = [number for number, line in enumerate(lines) if line and not line.startswith(" ")]
    for number in entries:
        assert "==" in lines[number], lines[number]
        assert lines[number + 1].lstrip().startswith("--hash=sha256:"), lines[number]
    assert not [line for line in lines if "://" in line or "index" in line.split("==")[0]]


def test_processes_of_the_procfile_are_single_commands() -> None:
    environment = {"SANDBOX_PORT": "8090", "SHARD": "0"}
    for name, command in procfile.read().items():
        words = procfile.arguments(command, environment)
        program = words[3] if words[:3] == ["env", "-u", "METRICS_DIR"] else words[0]  # `env` becomes what it starts
        assert program in ("python", "celery"), name
        assert not {"&&", "|", ";"} & set(words), name

"""What `make up` will run, decided before anything is started: home, services, ports, environment, commands.

`supervisor.py` runs it; `discover.py` reads the record of it that the supervisor keeps in the home folder.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from config.runtime import environment as settings_source
from config.runtime import home as homes
from config.runtime import ports, private_keys, procfile
from config.runtime.embedded import services
from config.runtime.errors import StartError
from config.runtime.launch import Launch, Service
from config.runtime.signer_socket import default_socket

STEPS = ("migrate", "seed")  # run once, in this order, before the rest
DEMO_ONLY = ("sandbox",)
PORT_VARIABLES = {"web": "PORT", "sandbox": "SANDBOX_PORT", "chain": "SANDBOX_RPC_PORT", "flower": "FLOWER_PORT"}
CHAIN_PORTS = 4  # the sandbox's two nodes, each with its WebSocket one port above
TOLD = ("PRICE_SHARDS", "SIGNER_SOCKET")  # what commands of another shell must know as the desk does
SECRETS = ("SECRET_KEY", "JWT_SECRET", "METRICS_TOKEN", "SANDBOX_SIGNAL_KEY")


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything of one run; `commands` and `steps` are the Procfile's, by process name.

    `keys_descriptor` is an open file of private keys, for the signer and nobody else.
    """

    home: homes.Home
    services: tuple[Service, ...]
    environment: dict[str, str]
    steps: dict[str, str]
    commands: dict[str, str]
    ports: dict[str, int]
    urls: dict[str, str]
    sign_in: tuple[str, str]
    flower_sign_in: str
    keys_descriptor: int | None = None

    def launch(self, name: str, command: str) -> Launch:
        """Return how an application process is started."""
        words = procfile.arguments(command, self.environment)
        if name != private_keys.PROCESS or self.keys_descriptor is None:
            return Launch(words, self.environment, settings_source.ROOT)
        environment = {**self.environment, private_keys.VARIABLE: str(self.keys_descriptor)}
        return Launch(words, environment, settings_source.ROOT, descriptors=(self.keys_descriptor,))


def assemble(
    home: homes.Home, environ: Mapping[str, str], path: Path = procfile.PROCFILE, keys_descriptor: int | None = None
) -> Stack:
    """Decide what runs. The caller holds the home's lock.

    Raises:
        StartError: a setting is wrong, a port is taken, or a program is missing.
    """
    environment = settings_source.read(environ)
    embedded = _needed_services(home, environment)
    generated = homes.load_secrets(home.data)
    environment |= {f"{_url_name(service)}": service.url for service in embedded}
    if environment.get("SOLDESK_ENV") != "production":
        for name in SECRETS:
            environment.setdefault(name, generated[name])
    environment.setdefault("FLOWER_ADDRESS", "127.0.0.1")
    environment.setdefault("FLOWER_BASIC_AUTH", f"soldesk:{generated['FLOWER_PASSWORD']}")
    environment |= {
        "SOLDESK_HOME": str(home.path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }
    if os.geteuid() == 0:  # a supported way to run; Celery's warning fills the screen four times
        environment.setdefault("PYTHONWARNINGS", "ignore:You're running the worker with superuser privileges")
    typed = _typed_settings(environment)
    commands = procfile.per_shard(procfile.read(path), typed.price_shards)
    if not typed.soldesk_demo:
        commands = {name: command for name, command in commands.items() if name not in DEMO_ONLY}
    numbers = {
        "web": typed.port,
        "sandbox": typed.sandbox_port,
        "chain": typed.sandbox_rpc_port,
        "flower": typed.flower_port,
    }
    visible = {name: number for name, number in numbers.items() if {"chain": "sandbox"}.get(name, name) in commands}
    environment |= {PORT_VARIABLES[name]: str(number) for name, number in numbers.items()}
    environment["PRICE_SHARDS"] = str(typed.price_shards)
    environment["METRICS_DIR"] = str(home.fresh_folder("metrics"))
    environment.setdefault("SIGNER_SOCKET", str(default_socket(home.path)))
    private_keys.drop(environment)
    widths = {"chain": CHAIN_PORTS}
    ports.require_free(
        {PORT_VARIABLES[name]: range(number, number + widths.get(name, 1)) for name, number in visible.items()}
    )
    return Stack(
        home=home,
        services=embedded,
        environment=environment,
        steps={name: commands[name] for name in STEPS if name in commands},
        commands={name: command for name, command in commands.items() if name not in STEPS},
        ports=visible | {service.name: service.port for service in embedded},
        urls=_urls(visible),
        sign_in=(typed.admin_email, "" if typed.production else typed.admin_password.get_secret_value()),
        flower_sign_in=environment["FLOWER_BASIC_AUTH"],
        keys_descriptor=keys_descriptor,
    )


def _needed_services(home: homes.Home, environment: Mapping[str, str]) -> tuple[Service, ...]:
    """Return the embedded services whose URL the operator has not set."""
    if environment.get("DATABASE_URL") and environment.get("REDIS_URL"):
        return ()
    return tuple(service for service in services(home) if not environment.get(_url_name(service)))


def _url_name(service: Service) -> str:
    return {"postgres": "DATABASE_URL", "redis": "REDIS_URL"}[service.name]


def _typed_settings(environment: Mapping[str, str]):  # type: ignore[no-untyped-def]  # its module reads os.environ when imported
    """Return `config.env.env` as the children will see it, so that a wrong value is said once and first."""
    os.environ.update(environment)
    try:
        return importlib.import_module("config.env").env
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, each['loc'])).upper() or 'Settings'}: {each['msg']}" for each in error.errors()]
        raise StartError("\n".join(lines)) from error


def _urls(visible: Mapping[str, int]) -> dict[str, str]:
    """Return what the operator opens in a browser, by name."""
    urls: dict[str, str] = {}
    if "web" in visible:
        web = f"http://localhost:{visible['web']}"
        urls |= {"Desk": f"{web}/desk/", "Admin": f"{web}/admin/", "API docs": f"{web}/api/docs/"}
    if "flower" in visible:
        urls["Flower"] = f"http://localhost:{visible['flower']}/"
    if "sandbox" in visible:
        urls["Sandbox market"] = f"http://localhost:{visible['sandbox']}/"
    if "chain" in visible:
        urls["Solana nodes"] = f"http://localhost:{visible['chain']}"
    return urls

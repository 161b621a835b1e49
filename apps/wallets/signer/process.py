"""`manage.py signer`: hardens itself, reads its configuration and keys, listens.

It runs without Django: what it does not import cannot leak a key.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import structlog
from dotenv import dotenv_values
from pydantic import ValidationError
from solders.keypair import Keypair

from apps.core.logs import mask_secrets, render_line
from apps.wallets.signer import settings as settings_file
from apps.wallets.signer.caps import Caps, Limits
from apps.wallets.signer.keyring import Keyring, from_descriptor, keys_in
from apps.wallets.signer.nodes import Nodes
from apps.wallets.signer.prices import JupiterPrices
from apps.wallets.signer.reasons import Refused
from apps.wallets.signer.server import Door, make_folder
from apps.wallets.signer.service import Programs, Rules, Signer
from apps.wallets.signer.settings import OWN_FILE, SignerSettings
from config.runtime import home as homes
from config.runtime.users import service_user

log = structlog.get_logger("signer")
_PR_SET_DUMPABLE = 4
_IDLE_CHECK_SECONDS = 20.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 60.0
DEMO_VARIABLE = "WALLET_1"
DEMO_FILE = "demo-wallet.json"


def main(arguments: Sequence[str]) -> int:
    """Run until asked to stop; return the exit code."""
    if arguments:
        print("usage: manage.py signer (its settings are variables SIGNER_…, docs/signer.md)", file=sys.stderr)  # noqa: T201
        return 2
    keep_to_itself()
    try:
        settings = settings_file.load()
    except ValidationError as error:
        wrong = sorted({str(each["loc"][0]).upper() for each in error.errors(include_input=False)})
        print(f"The signer's settings are wrong: {', '.join(wrong)}", file=sys.stderr)  # noqa: T201
        return 1
    configure_logs(settings)
    try:
        asyncio.run(_run(settings))
    except Refused as refusal:
        log.critical("signer_does_not_start", reason=str(refusal.reason), why=refusal.message)
        return 1
    return 0


def keep_to_itself() -> None:
    """Let no other process of this account read the memory or the environment, and let no crash write them down."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def configure_logs(settings: SignerSettings) -> None:
    """Write the same lines as every other process."""
    renderer = structlog.processors.JSONRenderer() if settings.log_format == "json" else render_line
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            mask_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def variables(settings: SignerSettings) -> dict[str, str]:
    """Return the private keys the signer is given: its own file, what the supervisor left, its environment."""
    given = keys_in({name: text or "" for name, text in dotenv_values(OWN_FILE).items()})
    if settings.keys_fd is not None:
        given |= from_descriptor(settings.keys_fd)
        os.close(settings.keys_fd)
    given |= keys_in(os.environ)
    for name in given:
        os.environ.pop(name, None)
    return given


def demo_wallet(folder: Path) -> str:
    """Return a demo desk's key of play money, made once; it is worth nothing anywhere else."""
    path = folder / DEMO_FILE
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(list(bytes(Keypair())), file)
    return path.read_text()


def open_keys(settings: SignerSettings, given: dict[str, str]) -> Keyring:
    """Return the keys given and those of the key folder, with a demo desk's own: made where it has none, then kept."""
    keys = Keyring(settings.keys_folder)
    keys.open(given)
    wanted = (settings.folder / DEMO_FILE).exists() or not keys.told()
    if settings.makes_demo_wallet and wanted and DEMO_VARIABLE not in given:
        keys.open({DEMO_VARIABLE: demo_wallet(settings.folder)})
    return keys


async def _run(settings: SignerSettings) -> None:
    if settings.in_home:
        homes.open_home(settings.home, service_user())
        make_folder(settings.folder, 0o700)
    given = variables(settings)
    keys = open_keys(settings, given)
    given.clear()
    limits = Limits(settings.max_trade_lamports, settings.max_day_lamports, settings.exit_reserve_lamports)
    caps = Caps(settings.ledger_file, limits)
    caps.open()
    connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector) as session:
        signer = make(settings, keys, caps, session)
        door = Door(signer, settings.socket_path, [int(uid) for uid in settings.client_uids])
        await door.start()
        log.info("signer_ready", keys=len(keys.told()), nodes=len(settings.nodes), socket=str(settings.socket_path))
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        chores = asyncio.create_task(_chores(signer, settings.auto_lock_minutes * 60.0))
        await stop.wait()
        chores.cancel()
        await door.close()
    caps.close()


def make(settings: SignerSettings, keys: Keyring, caps: Caps, session: aiohttp.ClientSession) -> Signer:
    """Put a signer together from its settings."""
    source = JupiterPrices(
        settings.prices,
        session,
        api_key=settings.price_api_key.get_secret_value(),
        max_age_seconds=settings.price_max_age_seconds,
    )
    rules = Rules(settings.max_slippage_bps, settings.max_impact_bps, settings.max_fee_lamports)
    return Signer(
        keys,
        Nodes(settings.nodes, session),
        source,
        Programs(source, settings.programs, settings.helper_programs),
        caps,
        rules,
    )


async def _chores(signer: Signer, idle_seconds: float) -> None:
    """Learn the provider's programs as soon as there is a key, and lock what lies idle."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        if signer.keys.told() and not signer.programs.count:
            try:
                await signer.programs.allowed()
            except Refused as refusal:
                log.warning("signer_waits_for_programs", reason=str(refusal.reason))
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        if signer.keys.told():
            await signer.look_for_lost()
        if idle_seconds:
            signer.keys.lock_idle(idle_seconds)
        await asyncio.sleep(_IDLE_CHECK_SECONDS if signer.programs.count else pause)

"""`manage.py wallet`: the keys, on the signer's own machine and past the web: made, taken in, unlocked, locked, kept.

A key that is not encrypted yet comes in here alone: it is sealed in this process and reaches the signer as a file.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from apps.wallets.signer import secret_text
from apps.wallets.signer import settings as settings_file
from apps.wallets.signer.key_file import KeyFile, check_passphrase
from apps.wallets.signer.process import keep_to_itself
from apps.wallets.signer.reasons import Reason, Refused
from apps.wallets.signer.server import make_folder
from apps.wallets.signer.settings import LAMPORTS_PER_SOL, SignerSettings
from apps.wallets.signer_client import HeldKey, Signer, SignerRefused, SignerUnavailable


def main(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    keep_to_itself()
    options = _parser().parse_args(arguments)
    settings = settings_file.load()
    try:
        options.run(options, settings, Signer(settings.socket_path))
    except (Refused, SignerRefused) as refusal:
        return _fail(refusal.message)
    except SignerUnavailable:
        return _fail(f"No signer answers at {settings.socket_path}.")
    except (EOFError, KeyboardInterrupt):
        return _fail("Nothing was done.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manage.py wallet", description="The signer's keys.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("list", help="the keys, and what of the caps is used").set_defaults(run=_list)
    create = commands.add_parser("create", help="make a key, kept in a file under a passphrase")
    create.add_argument("name")
    create.set_defaults(run=_create)
    take_in = commands.add_parser("import", help="take in a private key: base58, or the numbers of an id.json")
    take_in.add_argument("name")
    take_in.add_argument("--from", dest="source", type=Path, help="file that holds it; asked for without")
    take_in.set_defaults(run=_import)
    for name, run, text in (
        ("unlock", _unlock, "open a key with its passphrase"),
        ("lock", _lock, "let the signer forget a key until it is unlocked"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("address")
        command.set_defaults(run=run)
    export = commands.add_parser("export", help="write a key's encrypted file somewhere else")
    export.add_argument("address")
    export.add_argument("--to", required=True, type=Path)
    export.set_defaults(run=_export)
    return parser


def _list(_options: argparse.Namespace, _settings: SignerSettings, signer: Signer) -> None:
    told = signer.status()
    for key in told.keys:
        _show(key)
    used, most = (Decimal(lamports) / LAMPORTS_PER_SOL for lamports in (told.spent_day_lamports, told.max_day_lamports))
    _say(f"{told.network}; {used:f} of {most:f} SOL spent within 24 hours; {told.programs} venues known")
    for note in told.notes:
        _say(f"! {note}")


def _create(options: argparse.Namespace, _settings: SignerSettings, signer: Signer) -> None:
    _show(signer.create(name=options.name, passphrase=_new_passphrase()))


def _import(options: argparse.Namespace, settings: SignerSettings, signer: Signer) -> None:
    text = options.source.read_text() if options.source else getpass.getpass("Private key (not shown): ")
    key = secret_text.read(text)
    file = KeyFile.seal(key.private_bytes_raw(), name=options.name, passphrase=_new_passphrase())
    try:
        _show(signer.take_in(file=file.told()))
    except SignerUnavailable:
        make_folder(settings.keys_folder, 0o700)
        if any(settings.keys_folder.glob(f"{file.address}*")):
            raise Refused(Reason.KEY_EXISTS, "There is a file of this key already.") from None
        _say(f"{file.write(settings.keys_folder)}: the signer finds it when it is started.")
    if options.source:
        _say(f"{options.source} still holds the key unencrypted: remove it, and keep the passphrase safe.")


def _unlock(options: argparse.Namespace, _settings: SignerSettings, signer: Signer) -> None:
    _show(signer.unlock(address=options.address, passphrase=getpass.getpass("Passphrase: ")))


def _lock(options: argparse.Namespace, _settings: SignerSettings, signer: Signer) -> None:
    _show(signer.lock(address=options.address))


def _export(options: argparse.Namespace, _settings: SignerSettings, signer: Signer) -> None:
    file = signer.export(address=options.address, passphrase=getpass.getpass("Passphrase: "))
    descriptor = os.open(options.to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as output:
        json.dump(file, output, indent=1)
    _say(f"{options.to}: encrypted under the key's passphrase.")


def _new_passphrase() -> str:
    first = getpass.getpass("New passphrase: ")
    check_passphrase(first)
    if getpass.getpass("The same again: ") != first:
        raise Refused(Reason.PASSPHRASE_WRONG, "The two passphrases differ: nothing was done.")
    return first


def _show(key: HeldKey) -> None:
    _say(f"{key.address}  {'locked' if key.locked else 'loaded'}  {key.source}  {key.name}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _fail(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 1

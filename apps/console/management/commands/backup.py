"""`manage.py backup FOLDER`: keep the desk, running or stopped: database, sealed keys, the signer's record."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.console.backup import making
from apps.core.errors import SoldeskError
from config.runtime import environment, home


class Command(BaseCommand):
    help = "Write a backup of the desk to a new folder: database, sealed key files, what the signer has let out."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
        parser.add_argument("--signer-keys", type=Path, help="where the signer keeps its key files (SIGNER_KEY_DIR)")
        parser.add_argument("--signer-state", type=Path, help="the signer's record (SIGNER_STATE_FILE)")
        parser.add_argument("--with-secrets", action="store_true", help="add SECRET_KEY and JWT_SECRET: keep it safe")

    def handle(self, *args: Any, **options: Any) -> None:
        usual = making.signer_files(home.locate(environment.read(os.environ)))
        signer = making.SignerFiles(options["signer_keys"] or usual.keys, options["signer_state"] or usual.ledger)
        try:
            made = making.make(options["folder"], signer=signer, with_secrets=options["with_secrets"])
        except SoldeskError as refusal:
            raise CommandError(f"{refusal.message} ({refusal.code})") from refusal
        for name, facts in made.files.items():
            self.stdout.write(f"{facts['bytes']:>14,}  {name}")
        keys = sum(name.endswith(".key.json") for name in made.files)
        self.stdout.write(f"{options['folder']}: {made.rows['transaction']:,} transactions, {keys} sealed keys.")
        if not options["with_secrets"]:
            self.stdout.write("SECRET_KEY is not in it: keep it elsewhere, without it sealed values stay closed.")

"""`manage.py restore FOLDER`: bring a backup back into an empty desk that is stopped.

An embedded desk's database runs only with the desk: `make restore FROM=FOLDER` starts it alone for this command.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.console.backup import making, restoring
from apps.core.errors import SoldeskError
from config.runtime import environment, home
from config.runtime.signer_socket import default_socket


class Command(BaseCommand):
    help = "Bring a backup back into an empty desk that is stopped, and audit its books."
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="what `backup` wrote")
        parser.add_argument("--signer-keys", type=Path, help="where the signer keeps its key files (SIGNER_KEY_DIR)")
        parser.add_argument("--signer-state", type=Path, help="the signer's record (SIGNER_STATE_FILE)")
        parser.add_argument("--signer-socket", type=Path, help="the signer's socket (SIGNER_SOCKET)")
        parser.add_argument("--accept-other-secret", action="store_true", help="give up what SECRET_KEY sealed")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = home.locate(environment.read(os.environ))
        usual = making.signer_files(folder)
        try:
            done = restoring.restore(
                options["folder"],
                signer=making.SignerFiles(
                    options["signer_keys"] or usual.keys, options["signer_state"] or usual.ledger
                ),
                socket_path=options["signer_socket"] or default_socket(folder),
                home_folder=folder,
                accept_other_secret=options["accept_other_secret"],
            )
        except SoldeskError as refusal:
            raise CommandError(f"{refusal.message} ({refusal.code})") from refusal
        rows = ", ".join(f"{count:,} {name}" for name, count in done.manifest.rows.items())
        self.stdout.write(f"Restored what was kept at {done.manifest.made_at}: {rows}; {done.keys} sealed keys.")
        for difference in done.differences:
            self.stderr.write(difference)
        self.stdout.write(f"audit: {len(done.differences)} differences")
        if done.differences:
            raise SystemExit(1)

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventlog.errors import FreshetError
from workers.backups import backup_restore


class Command(BaseCommand):
    help = "Put a backup in the place of everything that is in the database. All of it or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, file: Path, yes: bool, **options: Any) -> None:
        if not yes and _answer() != "yes":
            raise CommandError("nothing was changed")
        try:
            backup_restore(file)
        except FreshetError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"restored {file}; run `manage.py verify_log`")


def _answer() -> str:
    try:
        return input("This replaces everything in the database. Type yes to go on: ").strip()
    except EOFError:
        raise CommandError("there is nobody to ask: add --yes to replace everything; nothing was changed") from None

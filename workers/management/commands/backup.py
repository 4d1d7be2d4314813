from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventlog.errors import FreshetError
from workers.backups import backup_make


class Command(BaseCommand):
    help = (
        "Write everything (the log, vectors, models, keys) to one file, as of one moment; the shop goes on meanwhile."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            size = backup_make(file)
        except FreshetError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"{file}: {size / 1e6:,.1f} MB")

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventlog.archiving import log_archive
from eventlog.errors import FreshetError


class Command(BaseCommand):
    help = "Move old partitions of the log to files in FRESHET_ARCHIVE; what walks through the log reads them there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--before", metavar="DATE", help="only partitions of which each row is older (2026-01-31)")
        parser.add_argument(
            "--keep-partitions", metavar="N", type=int, default=2, help="newest partitions that stay, of each table (2)"
        )

    def handle(self, *args: Any, before: str | None, keep_partitions: int, **options: Any) -> None:
        if keep_partitions < 1:
            raise CommandError("--keep-partitions must be 1 or more: the newest partition is being written to")
        try:
            moved = log_archive(
                before=None if before is None else _moment(before),
                keep_partitions=keep_partitions,
                report=self.stdout.write,
            )
        except FreshetError as error:
            raise CommandError(error.detail) from error
        if not moved:
            self.stdout.write("nothing to archive")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--before {text!r} is not a date such as 2026-01-31") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

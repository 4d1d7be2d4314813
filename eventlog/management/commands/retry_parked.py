from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventlog.consume import retry_parked
from eventlog.selectors import parked


class Command(BaseCommand):
    help = "Without arguments: list the parked events. With a consumer: have them applied again (with a position: that one)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("consumer", nargs="?")
        parser.add_argument("position", nargs="?", type=int)

    def handle(self, *args: Any, consumer: str | None, position: int | None, **options: Any) -> None:
        waiting = [row for row in parked() if consumer in (None, row[0]) and position in (None, row[1])]
        for name, where, error, parked_at in waiting:
            self.stdout.write(f"{name} {where} parked {parked_at:%Y-%m-%d %H:%M}: {error}")
            if consumer is not None:
                retry_parked(consumer=name, position=where)
                self.stdout.write("  asked to try again")
        if not waiting and consumer is not None:
            at = "" if position is None else f" at position {position}"
            raise CommandError(f"{consumer} has parked nothing{at}; without arguments this lists what is parked")
        if not waiting:
            self.stdout.write("nothing is parked")

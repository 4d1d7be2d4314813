from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from eventlog.consume import retry_parked
from eventlog.selectors import parked


class Command(BaseCommand):
    help = "Without arguments: list the parked events. With a consumer and a position: have it applied again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("consumer", nargs="?")
        parser.add_argument("position", nargs="?", type=int)

    def handle(self, *args: Any, consumer: str | None, position: int | None, **options: Any) -> None:
        waiting = parked()
        for name, where, error, parked_at in waiting:
            if consumer in (None, name) and position in (None, where):
                self.stdout.write(f"{name} {where} parked {parked_at:%Y-%m-%d %H:%M}: {error}")
                if consumer is not None:
                    retry_parked(consumer=name, position=where)
                    self.stdout.write("  asked to try again")
        if not waiting:
            self.stdout.write("nothing is parked")

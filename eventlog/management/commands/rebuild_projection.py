from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from eventlog.errors import FreshetError
from eventlog.projection import projections
from eventlog.rebuild import rebuild


class Command(BaseCommand):
    help = "Replay the whole log into fresh tables of a projection, then swap them in. The live tables serve meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help=f"one of: {', '.join(projections())}, or all")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        for each in projections() if name == "all" else [name]:
            with tqdm(unit="event", desc=each) as bar:
                try:
                    position = rebuild(each, progress=lambda done, total, bar=bar: _show(bar, done, total))  # type: ignore[misc]
                except FreshetError as error:
                    raise CommandError(error.detail) from error
            self.stdout.write(f"{each} stands at position {position}")


def _show(bar: tqdm[Any], done: int, total: int) -> None:
    bar.total = total
    bar.update(done - bar.n)

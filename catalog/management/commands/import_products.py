from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from catalog.importers.command import FileImportCommand
from catalog.importers.files import BatchResult, ImportSummary
from catalog.importers.rows import Source, source_open
from catalog.services import products_upsert
from eventlog.consume import sequence_and_drain
from eventlog.receipts import standing

STALLED_SECONDS = 1.0  # when no worker moved anything for so long, the command does the work itself
STUCK_SECONDS = 120.0


class Command(FileImportCommand):
    help = "Import products from JSONL or CSV. Resumable; a known file changes nothing; bad rows go to a report."
    rows_are = "products"
    batch = 1000
    known = "unchanged"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--map", dest="map_name", metavar="NAME|FILE.json", help="how columns become fields")
        parser.add_argument(
            "--no-wait", dest="wait", action="store_false", help="do not wait until the products can be found"
        )

    def open(self, options: Mapping[str, Any]) -> Source:
        return source_open(options["file"], map_name=options["map_name"])

    def record(self, *, shop_id: int, items: list[Any], now: datetime) -> BatchResult:
        return products_upsert(shop_id=shop_id, items=items, now=now, origin="import")

    def follow(self, summary: ImportSummary, options: Mapping[str, Any]) -> None:
        if options["wait"] and summary.row_id:
            self._wait(summary.row_id)

    def _wait(self, row_id: int) -> None:
        """Wait until every projection has the products; without a worker, bring them there."""
        started = moved_at = time.monotonic()
        seen: tuple[int | None, int] | None = None
        alone = False
        with tqdm(unit="event", desc="projections") as bar:
            while True:
                position, reached = now = standing(row_id)
                bar.total = position
                bar.update(reached - bar.n)
                if position is not None and reached >= position:
                    break
                if now != seen:
                    seen, moved_at = now, time.monotonic()
                idle = time.monotonic() - moved_at
                if idle > STUCK_SECONDS:
                    raise CommandError(f"The projections do not move past {reached}; see `manage.py retry_parked`.")
                if alone or idle > STALLED_SECONDS:
                    if not alone:
                        bar.write("No worker is running: making the products searchable from here.")
                    alone = True
                    sequence_and_drain(should_stop=lambda: _show(bar, row_id))
                time.sleep(0.05)
        self.stdout.write(
            f"Visible everywhere at position {position}, {time.monotonic() - started:.1f} s after the import."
        )


def _show(bar: tqdm[Any], row_id: int) -> bool:
    """Move the bar between two passes; stop when the products are everywhere."""
    position, reached = standing(row_id)
    bar.total = position
    bar.update(reached - bar.n)
    return position is not None and reached >= position

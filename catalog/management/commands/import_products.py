from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from catalog.importers.files import ImportSummary, file_import
from catalog.importers.rows import Source, source_open
from catalog.models import FileImport
from eventlog.consume import sequence_and_drain
from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID, Shop
from eventlog.receipts import standing

STALLED_SECONDS = 1.0  # when no worker moved anything for so long, the command does the work itself
STUCK_SECONDS = 120.0


class Command(BaseCommand):
    help = "Import products from JSONL or CSV. Resumable; a known file changes nothing; bad rows go to a report."
    requires_system_checks = ()  # they import every address and with them the language model: seconds

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--map", dest="map_name", metavar="NAME|FILE.json", help="how columns become fields")
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")
        parser.add_argument("--batch", type=int, default=1000, help="products committed at once, 1000 by default")
        parser.add_argument("--report", type=Path, help="where bad rows go, one JSON object a line")
        parser.add_argument("--again", action="store_true", help="read the file even if it was finished before")
        parser.add_argument(
            "--no-wait", dest="wait", action="store_false", help="do not wait until the products can be found"
        )

    def handle(
        self,
        *args: Any,
        file: Path,
        map_name: str | None,
        shop: int,
        batch: int,
        report: Path | None,
        again: bool,
        wait: bool,
        **options: Any,
    ) -> None:
        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        if batch < 1:
            raise CommandError("--batch must be at least 1.")
        started = time.monotonic()
        try:
            source = source_open(file, map_name=map_name)
            report = report or settings.FRESHET_HOME / "imports" / f"{file.name}.{source.identity[:8]}.rejected.jsonl"
            summary = self._import(source, shop=shop, batch=batch, report=report, again=again)
        except FreshetError as error:
            raise CommandError(error.detail) from error
        self._tell(file, summary, report, seconds=time.monotonic() - started)
        if wait and summary.row_id:
            self._wait(summary.row_id)
        if summary.rejected and not summary.accepted + summary.unchanged:
            raise CommandError(f"Nothing was accepted; {report} says why.")

    def _import(self, source: Source, *, shop: int, batch: int, report: Path, again: bool) -> ImportSummary:
        with tqdm(total=source.size, unit="B", unit_scale=True, desc=source.path.name) as bar:

            def progress(state: FileImport) -> None:
                bar.update(state.next_byte - bar.n)
                bar.set_postfix(accepted=state.accepted, unchanged=state.unchanged, rejected=state.rejected)

            return file_import(
                shop_id=shop,
                source=source,
                report=report,
                batch=batch,
                again=again,
                clock=lambda: datetime.now(UTC),
                progress=progress,
            )

    def _tell(self, file: Path, summary: ImportSummary, report: Path, *, seconds: float) -> None:
        counts = f"{summary.accepted} accepted, {summary.unchanged} unchanged, {summary.rejected} rejected"
        if summary.known_since:
            self.stdout.write(
                f"{file} was imported on {summary.known_since:%Y-%m-%d %H:%M} UTC ({counts}): nothing to do. "
                "--again reads it once more."
            )
        else:
            self.stdout.write(f"{file}: {counts} in {seconds:.1f} s.")
        if summary.rejected:
            self.stdout.write(f"Rejected rows, with their lines and reasons: {report}")

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

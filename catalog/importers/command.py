"""A command that imports a file in batches: progress bar, on from where it broke off, bad rows to a report."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from catalog.importers.files import BatchResult, ImportSummary, file_import
from catalog.importers.rows import Source
from catalog.models import FileImport
from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID, Shop


class FileImportCommand(BaseCommand, ABC):
    """Subclasses say how a file is opened, how a batch of its rows is recorded, and what happens with it then."""

    rows_are: ClassVar[str]
    most: ClassVar[int]  # rows that are recorded at once
    afterwards: ClassVar[str]
    requires_system_checks = ()  # they import every address and with them the language model: seconds

    @abstractmethod
    def open(self, path: Path) -> Source:
        """Look at a file. Raises BadFile, BadMap."""

    @abstractmethod
    def record(self, *, shop_id: int, items: list[Any], now: datetime) -> BatchResult:
        """Record a batch; a bad item is refused alone."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")
        parser.add_argument("--batch", type=int, default=500, help=f"{self.rows_are} committed at once, 500 by default")
        parser.add_argument("--report", type=Path, help="where bad rows go, one JSON object a line")
        parser.add_argument("--again", action="store_true", help="read the file even if it was finished before")

    def handle(self, *args: Any, **options: Any) -> None:
        file, shop, batch = options["file"], options["shop"], options["batch"]
        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        if not 1 <= batch <= self.most:
            raise CommandError(f"--batch must be from 1 to {self.most}.")
        started = time.monotonic()
        try:
            source = self.open(file)
            imports = settings.FRESHET_HOME / "imports"
            report = options["report"] or imports / f"{file.name}.{source.identity[:8]}.rejected.jsonl"
            summary = self._import(source, shop=shop, batch=batch, report=report, again=options["again"])
        except FreshetError as error:
            raise CommandError(error.detail) from error
        self._tell(file, summary, report, seconds=time.monotonic() - started)

    def _tell(self, file: Path, summary: ImportSummary, report: Path, *, seconds: float) -> None:
        counts = f"{summary.accepted} accepted, {summary.unchanged} known before, {summary.rejected} rejected"
        if summary.known_since:
            self.stdout.write(
                f"{file} was imported on {summary.known_since:%Y-%m-%d %H:%M} UTC ({counts}): nothing to do. "
                "--again reads it once more."
            )
        else:
            self.stdout.write(f"{file}: {counts} in {seconds:.1f} s. {self.afterwards}")
        if summary.rejected:
            self.stdout.write(f"Rejected rows, with their lines and reasons: {report}")
        if summary.rejected and not summary.accepted + summary.unchanged:
            raise CommandError(f"Nothing was accepted; {report} says why.")

    def _import(self, source: Source, *, shop: int, batch: int, report: Path, again: bool) -> ImportSummary:
        with tqdm(total=source.size, unit="B", unit_scale=True, desc=source.path.name) as bar:

            def progress(state: FileImport) -> None:
                bar.update(state.next_byte - bar.n)
                bar.set_postfix(accepted=state.accepted, known=state.unchanged, rejected=state.rejected)

            return file_import(
                shop_id=shop,
                source=source,
                report=report,
                batch=batch,
                again=again,
                clock=lambda: datetime.now(UTC),
                record=self.record,
                progress=progress,
            )

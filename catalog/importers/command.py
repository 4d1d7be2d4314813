"""A command that imports a file in batches: progress bar, on from where it broke off, bad rows to a report."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
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
    batch: ClassVar[int] = 500
    most: ClassVar[int | None] = None  # rows that can be recorded at once
    known: ClassVar[str] = "known before"  # what rows are that say nothing new
    afterwards: ClassVar[str] = ""
    requires_system_checks = ()  # they import every address and with them the language model: seconds

    @abstractmethod
    def open(self, options: Mapping[str, Any]) -> Source:
        """Look at the file of `options`, which are the command's. Raises BadFile, BadMap."""

    @abstractmethod
    def record(self, *, shop_id: int, items: list[Any], now: datetime) -> BatchResult:
        """Record a batch; a bad item is refused alone."""

    def follow(self, summary: ImportSummary, options: Mapping[str, Any]) -> None:
        """Do what is to be done when the rows are in the log; nothing, unless a command has something."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")
        parser.add_argument("--batch", type=int, default=self.batch,
                            help=f"{self.rows_are} committed at once, {self.batch} by default")  # fmt: skip
        parser.add_argument("--report", type=Path, help="where bad rows go, one JSON object a line")
        parser.add_argument("--again", action="store_true", help="read the file even if it was finished before")

    def handle(self, *args: Any, **options: Any) -> None:
        file, shop, batch = options["file"], options["shop"], options["batch"]
        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        if batch < 1 or (self.most is not None and batch > self.most):
            raise CommandError(f"--batch must be {f'from 1 to {self.most}' if self.most else 'at least 1'}.")
        started = time.monotonic()
        try:
            source = self.open(options)
            imports = settings.FRESHET_HOME / "imports"
            report = options["report"] or imports / f"{file.name}.{source.identity[:8]}.rejected.jsonl"
            summary = self._import(source, shop=shop, batch=batch, report=report, again=options["again"])
        except FreshetError as error:
            raise CommandError(error.detail) from error
        self._tell(file, summary, report, seconds=time.monotonic() - started)
        self.follow(summary, options)
        if summary.rejected and not summary.accepted + summary.unchanged:
            raise CommandError(f"Nothing was accepted; {report} says why.")

    def _tell(self, file: Path, summary: ImportSummary, report: Path, *, seconds: float) -> None:
        counts = f"{summary.accepted} accepted, {summary.unchanged} {self.known}, {summary.rejected} rejected"
        if summary.known_since:
            self.stdout.write(
                f"{file} was imported on {summary.known_since:%Y-%m-%d %H:%M} UTC ({counts}): nothing to do. "
                "--again reads it once more."
            )
        else:
            self.stdout.write(f"{file}: {counts} in {seconds:.1f} s. {self.afterwards}".rstrip())
        if summary.rejected:
            self.stdout.write(f"Rejected rows, with their lines and reasons: {report}")

    def _import(self, source: Source, *, shop: int, batch: int, report: Path, again: bool) -> ImportSummary:
        with tqdm(total=source.size, unit="B", unit_scale=True, desc=source.path.name) as bar:

            def progress(state: FileImport) -> None:
                bar.update(state.next_byte - bar.n)
                bar.set_postfix({"accepted": state.accepted, self.known: state.unchanged, "rejected": state.rejected})

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

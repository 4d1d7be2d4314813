"""Importing a file in batches: a batch and the place after it are committed together, so that a retry goes on there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import orjson
from django.db import transaction

from catalog.importers.rows import BadFile, Source, SourceRow
from catalog.models import FileImport
from catalog.services import products_upsert
from eventlog.rejections import BatchCounts


class BatchResult(BatchCounts, Protocol):
    """What became of a batch of rows. `row_id`: its newest event row, or 0."""

    @property
    def row_id(self) -> int: ...


Record = Callable[..., BatchResult]  # (*, shop_id, items, now): products here, events in feedback
_products = partial(products_upsert, origin="import")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary:
    """What came of a whole file, earlier attempts included. `row_id`: the newest event row of this attempt, or 0."""

    accepted: int
    unchanged: int
    rejected: int
    row_id: int
    known_since: datetime | None = None  # when it was finished before: nothing was done now


def file_import(
    *,
    shop_id: int,
    source: Source,
    report: Path,
    clock: Callable[[], datetime],
    batch: int = 1000,
    again: bool = False,
    record: Record = _products,
    progress: Callable[[FileImport], None] = lambda state: None,
) -> ImportSummary:
    """Import a file, going on where an earlier attempt broke off; bad rows go to the report, one JSON object a line.

    A file that was finished before is not read again, except with `again`. Raises BadFile, BadMap.
    """
    state, _ = FileImport.objects.get_or_create(
        shop_id=shop_id, identity=source.identity, defaults={"started_at": clock()}
    )
    if state.finished_at is not None and not again:
        return _summary(state, row_id=0, known_since=state.finished_at)
    if state.finished_at is not None:
        state = _from_the_start(state, clock())
    _cut_report(report, state.next_line)
    row_id = 0
    for rows in _batches(source.rows(next_byte=state.next_byte, next_line=state.next_line), batch):
        row_id = max(row_id, _import_batch(state, rows, record=record, report=report, now=clock()))
        progress(state)
    state.finished_at = clock()
    state.save(update_fields=["finished_at"])
    return _summary(state, row_id=row_id)


def _summary(state: FileImport, *, row_id: int, known_since: datetime | None = None) -> ImportSummary:
    return ImportSummary(
        accepted=state.accepted,
        unchanged=state.unchanged,
        rejected=state.rejected,
        row_id=row_id,
        known_since=known_since,
    )


def _from_the_start(state: FileImport, now: datetime) -> FileImport:
    fresh = FileImport(id=state.id, shop_id=state.shop_id, identity=state.identity, started_at=now)
    fresh.save()
    return fresh


def _batches(rows: Iterable[SourceRow], size: int) -> Iterator[list[SourceRow]]:
    remaining = iter(rows)
    while found := list(islice(remaining, size)):
        yield found


def _import_batch(state: FileImport, rows: list[SourceRow], *, record: Record, report: Path, now: datetime) -> int:
    """Commit one batch with the place after it; return its newest event row."""
    readable = [row for row in rows if row.problem is None]
    with transaction.atomic():
        result = record(shop_id=state.shop_id, items=[row.product for row in readable], now=now)
        refused = _refused(rows, readable, result)
        state.accepted += result.accepted
        state.unchanged += result.duplicates
        state.rejected += len(refused)
        state.next_byte, state.next_line = rows[-1].next_byte, rows[-1].next_line
        state.save()
        _write_report(report, refused)  # before the commit: a row may be told twice, never not at all
    return result.row_id if result.accepted else 0


def _refused(rows: list[SourceRow], readable: list[SourceRow], result: BatchResult) -> list[dict[str, Any]]:
    """Each bad row of a batch with its line, in the order of the file."""
    told = [
        {"line": row.line, "code": row.problem[0], "field": None, "detail": row.problem[1]}
        for row in rows
        if row.problem
    ]
    for rejection in result.rejected:
        row = readable[rejection.index]
        product_id = row.product.get("product_id") if isinstance(row.product, dict) else None
        known = {"product_id": product_id} if isinstance(product_id, str) else {}
        told.append(
            {"line": row.line, **known, "code": rejection.code, "field": rejection.field, "detail": rejection.detail}
        )
    return sorted(told, key=lambda each: each["line"])


def _write_report(report: Path, refused: list[dict[str, Any]]) -> None:
    if refused:
        report.parent.mkdir(parents=True, exist_ok=True)
        with report.open("ab") as file:
            file.writelines(_json_line(each) for each in refused)


def _json_line(refused: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(refused, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # an id with half of a surrogate pair
        fit = {
            key: value.encode(errors="replace").decode() if isinstance(value, str) else value
            for key, value in refused.items()
        }
        return orjson.dumps(fit, option=orjson.OPT_APPEND_NEWLINE)


def _cut_report(report: Path, next_line: int) -> None:
    """Keep of an earlier report what lies before the place where the import goes on."""
    if not report.exists():
        return
    try:
        lines = report.read_bytes().splitlines(keepends=True)  # all, also when none is kept: it may be somebody's file
        kept = [line for line in lines if orjson.loads(line)["line"] < next_line and next_line > 1]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BadFile(f"{report} is there and is no report of an import; name another by --report.") from error
    report.write_bytes(b"".join(kept))

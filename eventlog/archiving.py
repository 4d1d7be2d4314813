"""Archiving: an old partition of the log moves to a file. `archives.py` reads the files.

What live queries read by stream stays: the histories of products and models are asked for at any time, and are little
beside what shoppers do. The rest is read by consumers, which have passed it, and by those who walk through the log.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from gzip import GzipFile
from pathlib import Path
from time import sleep
from typing import Any

import psycopg
from django.conf import settings
from django.db import transaction

from eventlog.archives import EVENTS, LOCK, POSITIONS, Archive, file_hash
from eventlog.database import query, raw_connection, rows, scalar
from eventlog.errors import FreshetError
from eventlog.projection import projections

SWAPS = 100  # attempts, half a second apart: whoever reads for long is waited for, and nobody waits for the archiving
_BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_KEY = {EVENTS: "id", POSITIONS: "position"}
# of events, those of no stream; of positions, those that name no event of a stream
_MOVES = {
    EVENTS: "r.stream IS NULL",
    POSITIONS: f"NOT EXISTS (SELECT 1 FROM {EVENTS} e WHERE e.id = r.event_id AND e.stream IS NOT NULL)",
}
_MOMENT = {EVENTS: "recorded_at", POSITIONS: "sequenced_at"}


class ArchivingRuns(FreshetError):
    """Another process archives, or checks the whole log, at this moment."""

    code = "archiving_runs"
    status = 409


class ArchiveUnwritable(FreshetError):
    """The archive's folder cannot be written to, or does not hold what was written."""

    code = "archive_unwritable"
    status = 500


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of the log: rows from_row <= key < to_row."""

    relation: str
    name: str
    from_row: int
    to_row: int


def log_archive(
    *, before: datetime | None = None, keep_partitions: int = 2, report: Callable[[str], None] = lambda line: None
) -> list[Archive]:
    """Move the old partitions to files, a transaction each; return what was moved.

    Of each table the newest `keep_partitions` that hold rows stay (at least 1: the one being written), with `before` also
    each that holds a newer row. One that a projection has yet to read waits for the next call. Raises ArchivingRuns,
    ArchiveUnwritable.
    """
    if not scalar(LOCK.format("try_advisory_lock")):
        raise ArchivingRuns
    try:
        moved: list[Archive] = []
        for relation in (EVENTS, POSITIONS):
            for partition in _old_partitions(relation, max(keep_partitions, 1)):
                try:
                    moved += _archive(partition, before, report)
                except _BUSY:
                    report(f"{partition.name}: somebody's transaction has been open for too long; later")
                    return moved
        return moved
    finally:
        scalar(LOCK.format("advisory_unlock"))


_PARTITIONS = """
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid)
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass"""
_BOUND = re.compile(r"FROM \('?(\d+)'?\) TO \('?(\d+)'?\)")


def _old_partitions(relation: str, keep: int) -> list[Partition]:
    """The partitions below those that are kept and that are not archived yet, oldest first."""
    found = []
    for name, bound in rows(_PARTITIONS, [f"public.{relation}"]):
        if edges := _BOUND.search(bound):
            found.append(Partition(relation, name, int(edges[1]), int(edges[2])))
    # what is written next goes into the newest: an id is given when its row is made, a position by the sequencer
    newest = int(scalar(f"SELECT coalesce(max({_KEY[relation]}), 0) FROM {relation}"))
    begun = sorted((each for each in found if each.from_row <= newest), key=lambda each: each.from_row)
    done = {row for (row,) in rows("SELECT from_row FROM eventlog_archive WHERE relation = %s", [relation])}
    return [each for each in begun[:-keep] if each.from_row not in done]


def _archive(partition: Partition, before: datetime | None, report: Callable[[str], None]) -> list[Archive]:
    """Move one partition; nothing when it is needed yet. It holds a snapshot meanwhile, as a backup does."""
    with transaction.atomic():
        _run("SET LOCAL lock_timeout = '5s'")
        # whoever appended to it and has yet to commit is waited for; readers and writers elsewhere are not in the way
        _run(f"LOCK public.{partition.name} IN SHARE MODE")
        if reason := _needed(partition, before):
            report(f"{partition.name}: {reason}")
            return []
        archive = _write(partition)
        _keep_streams(partition)
        query(
            """INSERT INTO eventlog_archive (relation, from_row, to_row, rows, columns, file, bytes, hash)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s)""",
            [partition.relation, partition.from_row, partition.to_row, archive.rows, list(archive.columns),
             archive.file, archive.path.stat().st_size, archive.hash],
        )  # fmt: skip
        _swap(partition)
    report(f"{partition.name}: {archive.rows} rows in {archive.path}")
    return [archive]


def _needed(partition: Partition, before: datetime | None) -> str | None:
    """Why a partition is not to be archived yet."""
    if before is not None:
        moment = f"SELECT max({_MOMENT[partition.relation]}) >= %s FROM public.{partition.name}"
        if scalar(moment, [before]):
            return f"it holds rows of {before:%Y-%m-%d} or later"
    if partition.relation == EVENTS and scalar(
        "SELECT EXISTS (SELECT 1 FROM eventlog_pending WHERE id < %s)", [partition.to_row]
    ):
        return "some of its events wait for their positions"
    consumer, least = _last_consumer()
    # positions follow ids but for transactions that were held open: a few behind the checkpoint may name old events
    wanted = {
        EVENTS: f"SELECT EXISTS (SELECT 1 FROM {POSITIONS} WHERE position > %s AND event_id < %s)",
        POSITIONS: "SELECT %s::bigint < %s::bigint - 1",
    }[partition.relation]
    if scalar(wanted, [least, partition.to_row]):
        return f"{consumer} stands at position {least} and has yet to read it"
    return None


def _last_consumer() -> tuple[str, int]:
    """The running projection that is behind the others, and where it stands."""
    positions: dict[str, int] = dict(rows("SELECT consumer, position FROM eventlog_checkpoint"))
    found = min(((positions.get(name, 0), name) for name in projections()), default=None)
    return (found[1], found[0]) if found else ("nobody", int(scalar("SELECT last FROM eventlog_sequencer")))


def _write(partition: Partition) -> Archive:
    """Write what moves to a file of its own name and see that it lies there; nothing else knows of it yet.

    The name holds the hash: what a crash left behind is written again under the same one, and no log that shares the
    folder by mistake is ever overwritten.
    """
    folder = Path(settings.FRESHET_ARCHIVE)
    draft = folder / f"{partition.name}.{os.getpid()}.part"
    columns = tuple(
        name
        for (name,) in rows(
            """SELECT attname::text FROM pg_attribute
                WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
            [f"public.{partition.name}"],
        )
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        count = _copy_out(partition, columns, draft)
        with draft.open("rb") as file:
            digest = file_hash(file)
        final = draft.with_name(f"{partition.name}.{digest}.gz")
        draft.replace(final)
        _sync(folder)
        with final.open("rb") as file:
            if file_hash(file) != digest:
                raise ArchiveUnwritable(f"{final} does not hold what was written to it.")
    except OSError as error:
        raise ArchiveUnwritable(f"{folder} cannot be written to: {error}") from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return Archive(partition.relation, partition.from_row, partition.to_row, count, columns, final.name, digest)


def _copy_out(partition: Partition, columns: tuple[str, ...], draft: Path) -> int:
    """Write the rows that move, in order, as PostgreSQL's text, gzip; on the disk when it returns. Their number."""
    names, key = ", ".join(f"r.{name}" for name in columns), _KEY[partition.relation]
    select = f"SELECT {names} FROM public.{partition.name} r WHERE {_MOVES[partition.relation]} ORDER BY r.{key}"
    cursor: psycopg.Cursor[Any] = psycopg.Cursor(raw_connection())
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        # without a time in the header the same rows give the same file
        packed = GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0)
        with packed, cursor.copy(f"COPY ({select}) TO STDOUT") as copy:
            for block in copy:
                packed.write(block)
        file.flush()
        os.fsync(file.fileno())
    return cursor.rowcount


def _sync(folder: Path) -> None:
    """Have the new name on the disk as well."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep_streams(partition: Partition) -> None:
    """Put what stays into a table that can take the partition's place at once: with its indexes and a checked range."""
    kept, key = f"{partition.name}_kept", _KEY[partition.relation]
    _run(f"CREATE TABLE public.{kept} (LIKE public.{partition.name} INCLUDING ALL EXCLUDING IDENTITY)")
    _run(
        f"ALTER TABLE public.{kept} ADD CONSTRAINT {kept}_range"
        f" CHECK ({key} >= {partition.from_row} AND {key} < {partition.to_row})"
    )
    _run(
        f"INSERT INTO public.{kept} SELECT * FROM public.{partition.name} r"
        f" WHERE NOT ({_MOVES[partition.relation]}) ORDER BY {key}"
    )
    _run(f"ANALYZE public.{kept}")


def _swap(partition: Partition) -> None:
    """Drop the partition and put what stayed in its place, in a moment in which nobody reads."""
    for attempt in range(1, SWAPS + 1):
        try:
            with transaction.atomic():
                _run("SET LOCAL lock_timeout = '100ms'")  # appends and readers that come stand behind this lock
                _run(f"LOCK public.{partition.relation} IN ACCESS EXCLUSIVE MODE")
                _run(f"ALTER TABLE public.{partition.relation} DETACH PARTITION public.{partition.name}")
                _run(f"DROP TABLE public.{partition.name}")
                _run(f"ALTER TABLE public.{partition.name}_kept RENAME TO {partition.name}")
                _run(
                    f"ALTER TABLE public.{partition.relation} ATTACH PARTITION public.{partition.name}"
                    f" FOR VALUES FROM ({partition.from_row}) TO ({partition.to_row})"
                )
                _run(f"ALTER TABLE public.{partition.name} DROP CONSTRAINT {partition.name}_kept_range")
                return
        except _BUSY:
            if attempt == SWAPS:
                raise
            sleep(0.4)


def _run(statement: str) -> None:
    psycopg.Cursor(raw_connection()).execute(statement)

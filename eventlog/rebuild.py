"""Rebuilding a projection: replay the log into fresh tables, then swap them in. The result equals the live one."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep

import psycopg
from django.db import transaction

from eventlog.archives import release
from eventlog.consume import apply_readable, with_retries
from eventlog.database import GATE, query, raw_connection, rows, scalar
from eventlog.errors import FreshetError
from eventlog.events import EventParked, ParkedEventRetried
from eventlog.projection import Projection, projections
from eventlog.selectors import last_position, read, read_types

BATCH = 5000
SWAPS = 100  # attempts, half a second apart: whoever reads for long is waited for, and nobody waits for the rebuild
_BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


class UnknownProjection(FreshetError):
    """There is no projection of this name."""

    code = "unknown_projection"
    status = 404


class RebuildRunning(FreshetError):
    """This projection is being rebuilt by another process already."""

    code = "rebuild_running"
    status = 409


class ParkedMeanwhile(FreshetError):
    """The live projection parked an event that the rebuild had applied already: rebuild again."""

    code = "parked_meanwhile"
    status = 409


def rebuild(name: str, *, progress: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Rebuild a projection's tables from position 0 and swap them in; return the position they stand at.

    The live tables serve until the swap, a moment in which the projection's checkpoint is locked.
    Raises UnknownProjection, RebuildRunning, ParkedMeanwhile; UnreadableEvent; ArchiveDamaged, LogDamaged.
    """
    projection = projections().get(name)
    if projection is None:
        raise UnknownProjection(f"{name!r} is not one of {', '.join(projections())}.", field="name")
    schema = f"rebuild_{name}"
    # a second one would drop the first one's tables, whose rows would then go into the live ones
    if not scalar("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [schema]):
        raise RebuildRunning(f"Another process rebuilds {name} at this moment.", field="name")
    try:
        return _rebuild(projection, schema, progress)
    finally:
        _run(f'SET search_path = public; DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        scalar("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [schema])
        release()


def _rebuild(projection: Projection, schema: str, progress: Callable[[int, int], None]) -> int:
    _run(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE; CREATE SCHEMA "{schema}"')
    for table in projection.tables:
        _run(f'CREATE TABLE "{schema}".{table} (LIKE public.{table} INCLUDING ALL)')
    skip = _parked_positions(projection.name, to=(seen := last_position()))
    _run(f'SET search_path = "{schema}", public')
    position = _replay(projection, skip, after=0, progress=progress)
    return _catch_up_and_swap(projection, schema, skip, seen=seen, after=position, progress=progress)


def _catch_up_and_swap(
    projection: Projection,
    schema: str,
    skip: set[int],
    *,
    seen: int,
    after: int,
    progress: Callable[[int, int], None],
) -> int:
    """Replay what came meanwhile and put the tables in place; `skip` are the positions parked by the log up to `seen`."""
    for attempt in range(1, SWAPS + 1):
        try:
            with transaction.atomic():
                _lock_checkpoint(projection.name)
                parked = skip | _parked_positions(projection.name, after=seen, to=last_position())
                if any(position <= after for position in parked - skip):
                    raise ParkedMeanwhile
                position = _replay(projection, parked, after=after, progress=progress)
                _close_gate(projection)
                _swap(projection, schema, position)
                return position
        except _BUSY:
            if attempt == SWAPS:
                raise
            sleep(0.4)
    raise AssertionError("every attempt returns or raises")


def _lock_checkpoint(consumer: str) -> None:
    """Keep the drain from it until the swap; made when the projection is so new that it was never drained."""
    query("INSERT INTO eventlog_checkpoint (consumer) VALUES (%s) ON CONFLICT DO NOTHING", [consumer])
    query("SELECT position FROM eventlog_checkpoint WHERE consumer = %s FOR UPDATE", [consumer])


def _close_gate(projection: Projection) -> None:
    """Wait until nobody reads, a moment at most: those who come meanwhile stand behind this lock."""
    _run("SET LOCAL lock_timeout = '100ms'")
    _run(f"LOCK public.{GATE} IN ACCESS EXCLUSIVE MODE")
    _run(f"LOCK {', '.join(f'public.{table}' for table in projection.tables)} IN ACCESS EXCLUSIVE MODE")


def _replay(projection: Projection, skip: set[int], *, after: int, progress: Callable[[int, int], None]) -> int:
    types = projection.event_types | {ParkedEventRetried.type}
    last = last_position()
    for start in range(after, last, BATCH):
        to = min(last, start + BATCH)
        events = read(after=start, to=to, types=types, keep_unreadable=True)  # one that live parked is no matter
        events = [event for event in events if event.position not in skip]
        if events := with_retries(events, projection):
            with transaction.atomic():
                apply_readable(projection, events)
        progress(to, last)
    return last


def _parked_positions(consumer: str, *, to: int, after: int = 0) -> set[int]:
    """Positions that live skipped: each parked event, and each retry that failed again.

    From a stretch of the log, and from the table what was parked a moment ago, whose event still waits for its own position.
    """
    events = read_types(types={EventParked.type}, after=after, to=to)
    parked = {event.data["parked_position"] for event in events if event.data["consumer"] == consumer}
    return parked.union(*rows("SELECT position FROM eventlog_parked WHERE consumer = %s", [consumer]))


def _swap(projection: Projection, schema: str, position: int) -> None:
    for table in projection.tables:
        names = _index_names(schema, table)
        _run(f'DROP TABLE public.{table}; ALTER TABLE "{schema}".{table} SET SCHEMA public')
        for fresh, original in names:
            _run(f'ALTER INDEX public."{fresh}" RENAME TO "{original}"')
    query("UPDATE eventlog_checkpoint SET position = %s WHERE consumer = %s", [position, projection.name])


_INDEXES = """
SELECT c.relname, regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE (UNIQUE )?INDEX \\S+ ON \\S+ ', '\\1')
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = %s::regclass ORDER BY 2, 1"""


def _index_names(schema: str, table: str) -> list[tuple[str, str]]:
    """Pair each fresh index with the name its live twin has, so that later migrations find it."""
    fresh = rows(_INDEXES, [f'"{schema}".{table}'])
    live = rows(_INDEXES, [f"public.{table}"])
    if [definition for _, definition in fresh] != [definition for _, definition in live]:
        raise AssertionError(f"the fresh copy of {table} has other indexes than the live one")
    return [(new, old) for (new, _), (old, _) in zip(fresh, live, strict=True) if new != old]


def _run(statement: str) -> None:
    psycopg.Cursor(raw_connection()).execute(statement)

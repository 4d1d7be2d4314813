"""Reading the log: by position, by stream, and how far behind everybody is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from eventlog.database import Row, rows, scalar
from eventlog.errors import LogDamaged
from eventlog.events import RecordedEvent, upcast

# data as text: psycopg would parse json by the standard library, five times slower than orjson
_COLUMNS = """e.id, e.shop_id, e.stream, e.version, e.type, e.schema_version, e.data::text, e.personal, e.subject_id,
              e.event_id, e.occurred_at, e.recorded_at"""
# One walk along the leaves of each primary key; joining row by row would descend the event index for each.
_READ = f"""
WITH wanted AS MATERIALIZED (SELECT position, event_id FROM eventlog_position WHERE position > %s AND position <= %s)
SELECT (SELECT count(*) FROM wanted), w.position, {_COLUMNS}
  FROM eventlog_event e JOIN wanted w ON w.event_id = e.id
 WHERE e.id = ANY (ARRAY(SELECT event_id FROM wanted)) AND (%b::text[] IS NULL OR e.type = ANY (%b::text[]))
 ORDER BY w.position"""

_COUNT = "SELECT count(*) FROM eventlog_position WHERE position > %s AND position <= %s"


@dataclass(frozen=True, slots=True)
class Head:
    """A stream's version and decision state; version 0 when nobody wrote to it."""

    version: int = 0
    state: dict[str, Any] | None = None


def read(*, after: int, to: int, types: Collection[str] | None = None) -> list[RecordedEvent]:
    """Return the events at positions after < p <= to, in order, upcast. Raises LogDamaged when there is a hole."""
    wanted = None if types is None else sorted(types)
    found = rows(_READ, [after, to, wanted, wanted], binary=True)
    there = found[0][0] if found else scalar(_COUNT, [after, to])
    if there != to - after:
        raise LogDamaged(f"{to - after - there} positions are missing between {after} and {to}")
    if wanted is None and len(found) != there:
        raise LogDamaged(f"{there - len(found)} events are missing between {after} and {to}")
    return [_recorded(row[1:]) for row in found]


def read_at(position: int) -> RecordedEvent:
    """Return the event at one position."""
    return read(after=position - 1, to=position)[0]


def read_stream(*, shop_id: int, stream: str) -> list[RecordedEvent]:
    """Return a stream's sequenced events, oldest first."""
    sql = f"""SELECT p.position, {_COLUMNS}
                FROM eventlog_event e JOIN eventlog_position p ON p.event_id = e.id
               WHERE e.shop_id = %s AND e.stream = %s ORDER BY e.version"""
    return [_recorded(row) for row in rows(sql, [shop_id, stream], binary=True)]


def read_types(
    *, types: Collection[str], to: int, shop_id: int | None = None, batch: int = 20_000
) -> Iterator[RecordedEvent]:
    """Walk the whole log up to a position for some types of events (for replays; it may take a while)."""
    for after in range(0, to, batch):
        for event in read(after=after, to=min(to, after + batch), types=types):
            if shop_id is None or event.shop_id == shop_id:
                yield event


def heads(*, shop_id: int, streams: Sequence[str]) -> dict[str, Head]:
    """Return the head of each stream, for deciding. A stream nobody wrote to has version 0."""
    sql = "SELECT stream, version, state FROM eventlog_stream WHERE shop_id = %s AND stream = ANY(%s::text[])"
    found = {
        stream: Head(version, orjson.loads(state)) for stream, version, state in rows(sql, [shop_id, list(streams)])
    }
    return {stream: found.get(stream, Head()) for stream in streams}


def last_position() -> int:
    """The newest position given by the sequencer."""
    return int(scalar("SELECT last FROM eventlog_sequencer"))


def position_of(row_id: int) -> int | None:
    """The position of an event row, None while it waits for the sequencer."""
    found: int | None = scalar("SELECT position FROM eventlog_position WHERE event_id = %s", [row_id])
    return found


def pending_count() -> int:
    """How many committed events wait for a position."""
    return int(scalar("SELECT coalesce(sum(cardinality(event_ids)), 0) FROM eventlog_pending"))


def oldest_pending_seconds() -> float:
    """Age of the oldest event that waits for a position, 0 when none waits."""
    sql = """SELECT extract(epoch FROM clock_timestamp() - min(e.recorded_at))
               FROM (SELECT id FROM eventlog_pending ORDER BY id LIMIT 1000) p JOIN eventlog_event e ON e.id = p.id"""
    return float(scalar(sql) or 0.0)


def age_seconds(*, shop_id: int, position: int) -> float:
    """Age of the oldest accepted event of a shop that an answer made at `position` lacks, 0 when it lacks none.

    Looks at the 1,000 next events and at 1,000 that wait for a position: behind by more, the oldest is among them all
    the same (of all shops, that is: one shop's may hide behind a thousand of another's).
    """
    sql = """
    SELECT extract(epoch FROM clock_timestamp() - min(e.recorded_at))
      FROM ((SELECT p.event_id FROM eventlog_position p WHERE p.position > %s ORDER BY p.position LIMIT 1000)
            UNION ALL
            (SELECT unnest(q.event_ids) FROM eventlog_pending q ORDER BY q.id LIMIT 1000)) later (id)
      JOIN eventlog_event e ON e.id = later.id AND e.shop_id = %s"""
    return max(float(scalar(sql, [position, shop_id]) or 0.0), 0.0)


def partitions_ahead() -> int:
    """How many empty partitions the log has ahead; 2 when all is well, under 1 appends are about to fail."""
    return int(scalar("SELECT eventlog_partitions_ahead()"))


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a consumer is behind the head of the log."""

    consumer: str
    position: int
    events: int
    seconds: float


def lags() -> list[Lag]:
    """The lag of every consumer; seconds is the age of the first event that it has not applied."""
    sql = """
    SELECT c.consumer, c.position, s.last - c.position,
           coalesce(extract(epoch FROM clock_timestamp() - e.recorded_at), 0)
      FROM eventlog_sequencer s CROSS JOIN eventlog_checkpoint c
      LEFT JOIN eventlog_position p ON p.position = c.position + 1
      LEFT JOIN eventlog_event e ON e.id = p.event_id
     ORDER BY c.consumer"""
    return [Lag(consumer, position, behind, float(seconds)) for consumer, position, behind, seconds in rows(sql)]


def parked() -> list[tuple[str, int, str, datetime]]:
    """Consumer, position, error and time of every event that is parked and not yet retried."""
    sql = (
        "SELECT consumer, position, error, parked_at FROM eventlog_parked WHERE retried_position IS NULL ORDER BY 1, 2"
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows(sql)]


def _recorded(row: Row) -> RecordedEvent:
    position, id_, shop_id, stream, version, type_, schema, data, personal, subject_id, event_id, occurred, recorded = (
        row
    )
    return RecordedEvent(
        position=position,
        id=id_,
        shop_id=shop_id,
        stream=stream,
        version=version,
        type=type_,
        data=upcast(type_, schema, orjson.loads(data)),
        personal=personal,
        subject_id=subject_id,
        event_id=event_id,
        occurred_at=occurred,
        recorded_at=recorded,
    )

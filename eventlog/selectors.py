"""Reading the log: by position, by stream, and how far behind everybody is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from eventlog.archives import LIVE, Sources, attach
from eventlog.database import Row, rows, scalar
from eventlog.errors import LogDamaged, UnreadableEvent
from eventlog.events import RecordedEvent, upcast

# data as text: psycopg would parse json by the standard library, five times slower than orjson
_COLUMNS = """e.id, e.shop_id, e.stream, e.version, e.type, e.schema_version, e.data::text, e.personal, e.subject_id,
              e.event_id, e.occurred_at, e.recorded_at"""
# One walk along the leaves of each primary key; joining row by row would descend the event index for each. The counts
# notice a hole, also where no event is of a wanted type.
_COUNTS = """(SELECT count(*) FROM wanted),
       (SELECT count(*) FROM eventlog_event WHERE id = ANY (ARRAY(SELECT event_id FROM wanted)))"""
_WANTED = """
WITH wanted AS MATERIALIZED (SELECT position, event_id FROM eventlog_position WHERE position > %s AND position <= %s)"""
_READ = f"""{_WANTED}
SELECT {_COUNTS}, w.position, {_COLUMNS}
  FROM eventlog_event e JOIN wanted w ON w.event_id = e.id
 WHERE e.id = ANY (ARRAY(SELECT event_id FROM wanted)) AND (%b::text[] IS NULL OR e.type = ANY (%b::text[]))
 ORDER BY w.position"""
_COUNT = f"{_WANTED} SELECT {_COUNTS}"


@dataclass(frozen=True, slots=True)
class Head:
    """A stream's version and decision state; version 0 when nobody wrote to it."""

    version: int = 0
    state: dict[str, Any] | None = None


def read(
    *, after: int, to: int, types: Collection[str] | None = None, keep_unreadable: bool = False
) -> list[RecordedEvent]:
    """Return the events at positions after < p <= to, in order, upcast; archives are attached where they are needed.

    Raises LogDamaged when there is a hole, ArchiveDamaged, and UnreadableEvent when an upcaster fails, unless such
    events are to be kept for the reader to deal with.
    """
    found, short = _fetch(LIVE, after, to, types)
    if short and (sources := attach(after=after, to=to)) != LIVE:
        found, short = _fetch(sources, after, to, types)
    if short:
        raise LogDamaged(f"{short} between {after} and {to}")
    events = [_recorded(row[2:]) for row in found]
    for event in events if not keep_unreadable else ():
        if event.unreadable:
            raise UnreadableEvent(f"The event at position {event.position} ({event.type}) {event.unreadable}.")
    return events


def _fetch(sources: Sources, after: int, to: int, types: Collection[str] | None) -> tuple[list[Row], str | None]:
    """Rows, and what is missing of the stretch."""
    wanted = None if types is None else sorted(types)
    found = rows(sources.sql(_READ), [after, to, wanted, wanted], binary=True)
    positions, events = found[0][:2] if found else rows(sources.sql(_COUNT), [after, to])[0]
    if positions != to - after:
        return found, f"{to - after - positions} positions are missing"
    if events != positions:
        return found, f"{positions - events} events are missing"
    return found, None


def read_at(position: int, *, keep_unreadable: bool = False) -> RecordedEvent:
    """Return the event at one position. Raises as `read`."""
    return read(after=position - 1, to=position, keep_unreadable=keep_unreadable)[0]


def read_stream(*, shop_id: int, stream: str) -> list[RecordedEvent]:
    """Return a stream's sequenced events, oldest first."""
    sql = f"""SELECT p.position, {_COLUMNS}
                FROM eventlog_event e JOIN eventlog_position p ON p.event_id = e.id
               WHERE e.shop_id = %s AND e.stream = %s ORDER BY e.version"""
    return [_recorded(row) for row in rows(sql, [shop_id, stream], binary=True)]


def read_types(
    *, types: Collection[str], to: int, after: int = 0, shop_id: int | None = None, batch: int = 20_000
) -> Iterator[RecordedEvent]:
    """Walk the log at after < p <= to for some types of events (for replays; it may take a while)."""
    for start in range(after, to, batch):
        for event in read(after=start, to=min(to, start + batch), types=types):
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
    fields, unreadable = _readable(type_, schema, data)
    return RecordedEvent(
        position=position,
        id=id_,
        shop_id=shop_id,
        stream=stream,
        version=version,
        type=type_,
        data=fields,
        personal=personal,
        subject_id=subject_id,
        event_id=event_id,
        occurred_at=occurred,
        recorded_at=recorded,
        unreadable=unreadable,
    )


def _readable(type_: str, schema: int, data: str) -> tuple[dict[str, Any], str | None]:
    """The data upcast; or empty, and what is wrong with it, which is for whoever consumes the type to count and park."""
    try:
        return upcast(type_, schema, orjson.loads(data)), None
    except Exception as error:  # noqa: BLE001  (whatever it is: one event must not stop those of other types)
        return {}, f"cannot be read from schema version {schema}: {type(error).__name__}: {error}"

"""Writing to the log: append (lock-free, many writers) and sequence (one at a time)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import orjson
import psycopg
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from eventlog.database import query, rows, scalar, wrapper
from eventlog.errors import ConcurrentChange
from eventlog.events import NewEvent

Outcome = Literal["accepted", "duplicate", "event_id_conflict"]


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of one event: its row id when accepted, its version when it belongs to a stream."""

    outcome: Outcome
    id: int | None = None
    version: int | None = None


def append(*, shop_id: int, events: Sequence[NewEvent]) -> list[Appended]:
    """Append a batch in one transaction and answer each event on its own, in the order given.

    An event with a known id comes back as `duplicate`, or `event_id_conflict` when the content (or the stream) differs;
    nothing of it is stored, whatever version it expects. Of stream events all that are new are stored or none; at most
    one event a stream. Raises ConcurrentChange when a stream is not at the version a new event expects, UnstorableText.
    """
    try:
        return _append(shop_id, events)
    except psycopg.errors.CheckViolation:  # no partition for the row: beat was away for millions of events
        if wrapper().in_atomic_block:
            raise
        make_partitions()  # it may make none: of many who find this out at once, the first made them for all
        return _append(shop_id, events)


def _append(shop_id: int, events: Sequence[NewEvent]) -> list[Appended]:
    streams = [(i, e) for i, e in enumerate(events) if e.stream is not None]
    facts = [(i, e) for i, e in enumerate(events) if e.stream is None]
    outcomes: dict[int, Appended] = {}
    # one statement is a transaction of its own, in one round trip; two need a common one
    with transaction.atomic() if streams and facts else nullcontext():
        if streams:
            outcomes |= _append_streams(shop_id, streams)
        if facts:
            outcomes |= _append_facts(shop_id, facts)
        if any(appended.outcome == "accepted" for appended in outcomes.values()):
            _wake_up_on_commit()
    return [outcomes[i] for i in range(len(events))]


def _wake_up_on_commit() -> None:
    """Wake the workers once a transaction, however often it appends.

    A call that is registered already does: Django drops it only with a savepoint that this append is inside of as well.
    """
    django = wrapper()
    if not any(function is wake_up for _, function, *_ in django.run_on_commit):
        django.on_commit(wake_up)


def wake_up() -> None:
    """Tell the workers that there is something to drain (`settings.EVENTLOG_WAKE_UP`; nobody when it is empty)."""
    if settings.EVENTLOG_WAKE_UP:
        import_string(settings.EVENTLOG_WAKE_UP)()


def sequence(*, batch: int = 10_000) -> int:
    """Give positions to up to `batch` committed events; return how many, -1 when another session is at it."""
    sql = "SELECT eventlog_sequence(%s)"
    try:
        return int(scalar(sql, [batch]))
    except psycopg.errors.CheckViolation:  # no partition for the positions: beat was away, appends made only their own
        if wrapper().in_atomic_block:
            raise
        make_partitions()
        return int(scalar(sql, [batch]))


def make_partitions() -> int:
    """Keep two empty partitions ahead of the log, return how many were made."""
    return int(scalar("SELECT eventlog_make_partitions()"))


def turn_known_ids() -> bool:
    """Forget the event ids of two generations ago when this one is 30 days old; return whether it was."""
    return bool(scalar("SELECT eventlog_turn_known_ids()"))


def forget_drains(*, older_than_days: int = 30) -> int:
    """Drop the notes of when what became visible that are too old to be asked for; return how many."""
    return query(
        "DELETE FROM eventlog_drain WHERE committed_at < now() - make_interval(days => %s)", [older_than_days]
    ).rowcount


# %b: a list travels in PostgreSQL's binary form, which psycopg makes 200 times faster than the textual one
_APPEND_FACT = """
SELECT eventlog_append_fact(%s, %b::uuid, %b::bytea, %s::text, %s::smallint, %s::json, %b::bytea, %b::uuid, %b::uuid,
                            %b::timestamptz)"""
_APPEND_FACTS = """
SELECT accepted, row_ids
  FROM eventlog_append_facts(%s, %b::uuid[], %b::bytea[], %b::text[], %b::smallint[], %b::text[], %b::bytea[],
                             %b::uuid[], %b::uuid[], %b::timestamptz[])"""


def _append_facts(shop_id: int, facts: list[tuple[int, NewEvent]]) -> dict[int, Appended]:
    if len(facts) == 1:
        return _answers(shop_id, facts, _store_fact(shop_id, facts[0][1]))
    return _answers(shop_id, facts, _store_facts(shop_id, _first_of_each_id(facts)))


def _first_of_each_id(events: list[tuple[int, NewEvent]]) -> dict[UUID, NewEvent]:
    """Of several with one id, the first is the one that counts."""
    return {event.event_id: event for _, event in reversed(events)}


def _answers(shop_id: int, events: list[tuple[int, NewEvent]], stored: dict[UUID, Appended]) -> dict[int, Appended]:
    """What became of each event, given those that were stored, by their ids."""
    if len(stored) == len(events):  # all are new
        return {i: stored[event.event_id] for i, event in events}
    answered: dict[UUID, int] = {}
    for i, event in events:
        answered.setdefault(event.event_id, i)
    first = _first_of_each_id(events)
    known = {key: event.hash() for key, event in first.items()}
    known |= _known_hashes(shop_id, [key for key in first if key not in stored])
    outcomes: dict[int, Appended] = {}
    for i, event in events:
        key = event.event_id
        if key in stored and answered[key] == i:
            outcomes[i] = stored[key]
        else:
            outcomes[i] = Appended("duplicate" if known[key] == event.hash() else "event_id_conflict")
    return outcomes


def _store_fact(shop_id: int, event: NewEvent) -> dict[UUID, Appended]:
    """Store one fact, by its event id; nothing when that is known."""
    fact = event.event
    values = [shop_id, event.event_id, event.hash(), fact.type, fact.schema_version, event.payload.decode()]
    row_id = scalar(_APPEND_FACT, [*values, event.personal, event.subject_id, event.causation_id, event.occurred_at])
    return {} if row_id is None else {event.event_id: Appended("accepted", row_id)}


def _store_facts(shop_id: int, events: dict[UUID, NewEvent]) -> dict[UUID, Appended]:
    """Store many facts; those that were not known, by their event ids."""
    ids = sorted(events)
    given = [events[key] for key in ids]
    accepted, row_ids = rows(
        _APPEND_FACTS, [shop_id, ids, [e.hash() for e in given], *_event_columns(given)], binary=True
    )[0]
    stored = zip(ids if accepted is None else accepted, row_ids or (), strict=True)
    return {key: Appended("accepted", row_id) for key, row_id in stored}


def _known_hashes(shop_id: int, ids: list[UUID]) -> dict[UUID, bytes]:
    sql = """SELECT event_id, content_hash FROM eventlog_known_id_before WHERE shop_id = %s AND event_id = ANY (%b::uuid[])
             UNION ALL
             SELECT event_id, content_hash FROM eventlog_known_id WHERE shop_id = %s AND event_id = ANY (%b::uuid[])"""
    return {key: content_hash for key, content_hash in rows(sql, [shop_id, ids, shop_id, ids], binary=True)}


_APPEND_STREAMS = """
SELECT given_id, row_id, stream_version
  FROM eventlog_append_streams(%s, %b::text[], %b::integer[], %b::text[], %b::uuid[], %b::bytea[], %b::text[],
                               %b::smallint[], %b::text[], %b::bytea[], %b::uuid[], %b::uuid[], %b::timestamptz[])"""


def _append_streams(shop_id: int, streams: list[tuple[int, NewEvent]]) -> dict[int, Appended]:
    if len({event.stream for _, event in streams}) < len(streams):
        raise ValueError("one append holds two events of one stream; append them one after the other")
    return _answers(shop_id, streams, _store_streams(shop_id, _first_of_each_id(streams)))


def _store_streams(shop_id: int, events: dict[UUID, NewEvent]) -> dict[UUID, Appended]:
    """Store events of streams; those that were not known, by their event ids. Raises ConcurrentChange."""
    given = sorted(events.values(), key=lambda e: e.stream or "")
    states = [None if e.state is None else orjson.dumps(e.state).decode() for e in given]
    values = [[e.stream for e in given], [e.expected_version for e in given], states, [e.event_id for e in given]]
    hashes = [e.hash() for e in given]
    try:
        found = rows(_APPEND_STREAMS, [shop_id, *values, hashes, *_event_columns(given)], binary=True)
    except psycopg.Error as error:
        if error.sqlstate == "FR001":
            raise ConcurrentChange(str(error.diag.message_primary)) from error
        raise
    return {key: Appended("accepted", row_id, version) for key, row_id, version in found}


def _event_columns(events: Sequence[NewEvent]) -> list[list[Any]]:
    """What both kinds of events store, a list a column, in the order of the functions' parameters."""
    return [
        [e.event.type for e in events],
        [e.event.schema_version for e in events],
        [e.payload.decode() for e in events],
        [e.personal for e in events],
        [e.subject_id for e in events],
        [e.causation_id for e in events],
        [e.occurred_at for e in events],
    ]

"""Writing to the log: append (lock-free, many writers) and sequence (one at a time)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import orjson
import psycopg
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from eventlog.database import rows, scalar
from eventlog.errors import ConcurrentChange
from eventlog.events import NewEvent

Outcome = Literal["accepted", "duplicate", "event_id_conflict"]


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of one event: its row id when accepted, its version when it belongs to a stream."""

    outcome: Outcome
    id: int | None = None
    version: int | None = None


@transaction.atomic
def append(*, shop_id: int, events: Sequence[NewEvent]) -> list[Appended]:
    """Append a batch in one transaction and answer each event on its own, in the order given.

    Facts with a known id come back as `duplicate`, or `event_id_conflict` when the content differs; nothing of them is
    stored. Stream events are stored all or none; at most one event a stream.
    Raises ConcurrentChange when a stream is not at the version an event expects.
    """
    if not events:
        return []
    outcomes: dict[int, Appended] = {}
    streams = [(i, e) for i, e in enumerate(events) if e.stream is not None]
    facts = [(i, e) for i, e in enumerate(events) if e.stream is None]
    if streams:
        outcomes |= _append_streams(shop_id, streams)
    if facts:
        outcomes |= _append_facts(shop_id, facts)
    if any(appended.outcome == "accepted" for appended in outcomes.values()):
        transaction.on_commit(wake_up)
    return [outcomes[i] for i in range(len(events))]


def wake_up() -> None:
    """Tell the workers that there is something to drain (`settings.EVENTLOG_WAKE_UP`; nobody when it is empty)."""
    if settings.EVENTLOG_WAKE_UP:
        import_string(settings.EVENTLOG_WAKE_UP)()


def sequence(*, batch: int = 5000) -> int:
    """Give positions to up to `batch` committed events; return how many, -1 when another session is at it."""
    return int(scalar("SELECT eventlog_sequence(%s)", [batch]))


def make_partitions() -> int:
    """Keep two empty partitions ahead of the log, return how many were made."""
    return int(scalar("SELECT eventlog_make_partitions()"))


_APPEND_FACTS = """
SELECT given_id, row_id FROM eventlog_append_facts(%s, %s::uuid[], %s::bytea[], %s::text[], %s::smallint[], %b::text[],
                                                   %s::bytea[], %s::uuid[], %s::uuid[], %s::timestamptz[])"""


def _append_facts(shop_id: int, facts: list[tuple[int, NewEvent]]) -> dict[int, Appended]:
    first: dict[UUID, NewEvent] = {}
    for _, event in facts:
        first.setdefault(event.event_id, event)
    given = [first[key] for key in sorted(first)]
    stored: dict[UUID, int] = dict(
        rows(
            _APPEND_FACTS,
            [
                shop_id,
                [e.event_id for e in given],
                [e.hash() for e in given],
                *_event_columns(given),
                [e.personal for e in given],
                [e.subject_id for e in given],
                [e.causation_id for e in given],
                [e.occurred_at for e in given],
            ],
        )
    )
    known = {key: event.hash() for key, event in first.items()}
    if len(stored) < len(first):
        known |= _known_hashes(shop_id, [key for key in first if key not in stored])
    outcomes: dict[int, Appended] = {}
    answered: set[UUID] = set()
    for i, event in facts:
        key = event.event_id
        if key in stored and key not in answered:
            outcomes[i] = Appended("accepted", stored[key])
        else:
            outcomes[i] = Appended("duplicate" if known[key] == event.hash() else "event_id_conflict")
        answered.add(key)
    return outcomes


def _known_hashes(shop_id: int, ids: list[UUID]) -> dict[UUID, bytes]:
    found = rows("SELECT event_id, content_hash FROM eventlog_known_id WHERE shop_id = %s AND event_id = ANY(%s::uuid[])",
                 [shop_id, ids])  # fmt: skip
    return {key: bytes(content_hash) for key, content_hash in found}


_APPEND_STREAMS = """
SELECT given_id, row_id, stream_version
  FROM eventlog_append_streams(%s, %s::text[], %s::integer[], %s::text[], %s::uuid[], %s::text[], %s::smallint[],
                               %b::text[], %s::uuid[], %s::timestamptz[])"""


def _append_streams(shop_id: int, streams: list[tuple[int, NewEvent]]) -> dict[int, Appended]:
    given = sorted((event for _, event in streams), key=lambda e: e.stream or "")
    if len({event.stream for event in given}) < len(given):
        raise ValueError("one append holds two events of one stream; append them one after the other")
    try:
        found = rows(
            _APPEND_STREAMS,
            [
                shop_id,
                [e.stream for e in given],
                [e.expected_version for e in given],
                [None if e.state is None else orjson.dumps(e.state).decode() for e in given],
                [e.event_id for e in given],
                *_event_columns(given),
                [e.causation_id for e in given],
                [e.occurred_at for e in given],
            ],
        )
    except psycopg.Error as error:
        if error.sqlstate == "FR001":
            raise ConcurrentChange(str(error.diag.message_primary)) from error
        raise
    stored = {key: Appended("accepted", row_id, version) for key, row_id, version in found}
    return {i: stored[event.event_id] for i, event in streams}


def _event_columns(events: Iterable[NewEvent]) -> list[list[Any]]:
    """Type, schema version and data of each event, a list a column."""
    columns = [(e.event.type, e.event.schema_version, e.payload.decode()) for e in events]
    return [list(column) for column in zip(*columns, strict=True)]

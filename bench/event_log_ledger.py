"""The events of the log's bench, and the one consumer: it keeps a ledger against which loss and disorder show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import uuid4

from eventlog.database import query, rows, scalar
from eventlog.events import Event, NewEvent, RecordedEvent
from eventlog.projection import Projection


@dataclass(frozen=True, kw_only=True)
class Clicked(Event):
    """As large as a shopper's click: 250 bytes of data, 96 that are encrypted."""

    type = "bench.Clicked"
    kind: str
    product_id: str
    context: dict[str, Any]
    rank: int
    ranking: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Repriced(Event):
    """A change in a stream that several writers share."""

    type = "bench.Repriced"
    price: float


_CONTEXT = {"kind": "query", "key": "bluetooth speaker", "text": "Bluetooth  Speaker"}
_RANKING = {"ref": "8d1f0c5e", "position": 90211, "at": "2026-11-23T10:00:00Z", "model": "3.14", "arm": "search", "propensity": 0.05}  # fmt: skip  # noqa: E501


def click() -> NewEvent:
    """A new click, as `feedback` would append it."""
    event = Clicked(kind="click", product_id="1993197", context=_CONTEXT, rank=3, ranking=_RANKING)
    return NewEvent(event=event, occurred_at=datetime.now(UTC), personal=b"x" * 96, subject_id=uuid4())


class Ledger(Projection):
    """Adds up what it is given and looks whether the events of each stream come in order."""

    name = "ledger"
    event_types = frozenset({Clicked.type, Repriced.type})
    tables = ("bench_ledger", "bench_ledger_stream")

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        last: dict[str, int] = {stream: version for stream, version in rows("SELECT * FROM bench_ledger_stream")}
        broken = 0
        for event in events:
            if event.stream is not None and event.version is not None:
                broken += event.version != last.get(event.stream, 0) + 1
                last[event.stream] = event.version
        disordered = sum(a.position >= b.position for a, b in pairwise(events))
        query(
            "UPDATE bench_ledger SET events = events + %s, ids = ids + %s, broken = broken + %s",
            [len(events), sum(event.id for event in events), broken + disordered],
        )
        query(
            """INSERT INTO bench_ledger_stream SELECT * FROM unnest(%s::text[], %s::integer[])
               ON CONFLICT (stream) DO UPDATE SET version = excluded.version""",
            [list(last), list(last.values())],
        )


ledger = Ledger()


def make_tables() -> None:
    """Make the ledger's tables and the one that bare INSERT fills: the columns of the log, one index."""
    query("CREATE TABLE bench_ledger (events bigint NOT NULL, ids numeric NOT NULL, broken bigint NOT NULL)")
    query("INSERT INTO bench_ledger VALUES (0, 0, 0)")
    query("CREATE TABLE bench_ledger_stream (stream text PRIMARY KEY, version integer NOT NULL)")
    query("CREATE TABLE bench_bare (LIKE eventlog_event INCLUDING DEFAULTS INCLUDING IDENTITY, PRIMARY KEY (id))")


def lost_and_broken() -> tuple[int, int]:
    """Events in the log that the consumer did not get (or got more than once), and places where order is broken."""
    events, ids = rows("SELECT count(*), coalesce(sum(id), 0) FROM eventlog_event WHERE type LIKE 'bench.%'")[0]
    got, got_ids, broken = rows("SELECT events, ids, broken FROM bench_ledger")[0]
    lost = abs(events - got) or int(ids != got_ids)  # equal counts with other ids: one lost, one twice
    return int(lost), int(broken)


def everything_consumed() -> bool:
    """Whether nothing waits and the ledger stands at the end of the log."""
    sql = """SELECT NOT EXISTS (SELECT 1 FROM eventlog_pending)
                AND coalesce((SELECT position FROM eventlog_checkpoint WHERE consumer = 'ledger'), 0) = last
               FROM eventlog_sequencer"""
    return bool(scalar(sql))

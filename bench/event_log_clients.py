"""Client processes of the log's bench: threads with a connection each, appending in one of four styles.

Every style makes the same events with the same code; they differ in the call that stores them.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

STREAMS = 50  # shared by all writers of a race


@dataclass(frozen=True, kw_only=True)
class Load:
    """What each process is to do: `threads` connections, `batch` events a call, for `seconds` or up to `events`."""

    style: str  # freshet, bare, eventsourcing, race
    threads: int
    batch: int = 1
    seconds: float | None = None
    events: int | None = None


@dataclass(kw_only=True)
class Outcome:
    """What happened: calls as (seconds taken, time of return, largest row id), events stored, when the first call began."""

    events: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0
    calls: list[tuple[float, float, int]] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return self.events / (self.finished_at - self.started_at)


class Clients:
    """A few processes that stay for all rounds, so that each round starts with warm interpreters."""

    def __init__(self, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()  # ends the process: it reads the end of its pipe
        for process in self._processes:
            process.join(5)
            process.kill()

    def run(self, load: Load) -> Outcome:
        """Have every process carry the load at the same time; return the sum of what happened."""
        for pipe in self._pipes:
            pipe.send(load)
        self._answers()  # all are connected
        for pipe in self._pipes:
            pipe.send("go")
        outcomes = self._answers()
        return Outcome(
            events=sum(each.events for each in outcomes),
            started_at=min(each.started_at for each in outcomes),
            finished_at=max(each.finished_at for each in outcomes),
            calls=[call for each in outcomes for call in each.calls],
        )

    def _answers(self) -> list[Any]:
        try:
            answers = [pipe.recv() for pipe in self._pipes]
        except (EOFError, ConnectionError) as error:
            raise RuntimeError("A client process died; what it said stands above.") from error
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers


def _serve(pipe: Connection) -> None:
    """Carry loads until the pipe closes."""
    import django

    django.setup()
    while True:
        try:
            load = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            with _stores[load.style](load) as store:
                pipe.send(_carry(load, store, pipe))
        except Exception as error:  # noqa: BLE001  (raised again in the bench's own process)
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _carry(load: Load, store: Callable[[int], int], pipe: Connection) -> Outcome:
    ready, go = threading.Barrier(load.threads + 1), threading.Event()
    outcome, failures = Outcome(), []

    def work() -> None:
        from django.db import connection

        try:
            connection.ensure_connection()
            ready.wait(60)
            go.wait()
            _call_again_and_again(load, store, outcome)
        except Exception as error:  # noqa: BLE001  (raised again below)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(load.threads)]
    for thread in threads:
        thread.start()
    ready.wait(60)
    pipe.send("ready")
    pipe.recv()
    outcome.started_at = time.time()
    go.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    outcome.finished_at = max((returned for _, returned, _ in outcome.calls), default=time.time())
    outcome.events = len(outcome.calls) * load.batch
    return outcome


def _call_again_and_again(load: Load, store: Callable[[int], int], outcome: Outcome) -> None:
    deadline = None if load.seconds is None else outcome.started_at + load.seconds
    calls = None if load.events is None else load.events // load.batch // load.threads
    while calls != 0 and (deadline is None or time.time() < deadline):
        began = time.perf_counter()
        row_id = store(load.batch)
        outcome.calls.append((time.perf_counter() - began, time.time(), row_id))
        calls = None if calls is None else calls - 1


def _freshet(load: Load) -> Any:
    from bench.event_log_ledger import click
    from eventlog.models import DEFAULT_SHOP_ID
    from eventlog.services import append

    def store(batch: int) -> int:
        appended = append(shop_id=DEFAULT_SHOP_ID, events=[click() for _ in range(batch)])
        return appended[-1].id or 0

    return nullcontext(store)


_ROW = "(shop_id, type, schema_version, data, personal, subject_id, event_id, causation_id, occurred_at)"
_BARE_ONE = f"INSERT INTO bench_bare {_ROW} VALUES (1, %s, %s, %s::jsonb, %b, %b, %b, %b, %b) RETURNING id"
_BARE_MANY = f"""
INSERT INTO bench_bare {_ROW}
SELECT 1, t, v, d::jsonb, p, s, e, c, o
  FROM unnest(%b::text[], %b::smallint[], %b::text[], %b::bytea[], %b::uuid[], %b::uuid[], %b::uuid[], %b::timestamptz[])
       AS g (t, v, d, p, s, e, c, o) RETURNING id"""


def _bare(load: Load) -> Any:
    from bench.event_log_ledger import click
    from eventlog.database import rows
    from eventlog.events import NewEvent

    def columns(e: NewEvent) -> tuple[Any, ...]:
        fact = e.event
        data = e.payload.decode()
        return (
            fact.type,
            fact.schema_version,
            data,
            e.personal,
            e.subject_id,
            e.event_id,
            e.causation_id,
            e.occurred_at,
        )

    def store(batch: int) -> int:
        values = [columns(click()) for _ in range(batch)]
        if batch == 1:
            return int(rows(_BARE_ONE, values[0])[0][0])
        return int(rows(_BARE_MANY, [list(column) for column in zip(*values, strict=True)], binary=True)[-1][0])

    return nullcontext(store)


def eventsourcing_recorder(*, pool_size: int) -> tuple[Any, Any]:
    """The library's PostgreSQL recorder as it comes (it locks its table, so that its readers miss nothing), and its pool."""
    from urllib.parse import unquote, urlsplit

    from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

    url = urlsplit(os.environ["DATABASE_URL"])
    datastore = PostgresDatastore(
        dbname=url.path.lstrip("/"),
        host=url.hostname or "",
        port=url.port or 5432,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        pool_size=pool_size,
    )
    return PostgresApplicationRecorder(datastore, events_table_name="bench_eventsourcing"), datastore


def _eventsourcing(load: Load) -> Any:
    from eventsourcing.persistence import StoredEvent

    from bench.event_log_ledger import click

    recorder, datastore = eventsourcing_recorder(pool_size=load.threads)

    def store(batch: int) -> int:
        events = [click() for _ in range(batch)]
        stored = [StoredEvent(e.event_id, 1, e.event.type, e.payload + (e.personal or b"")) for e in events]
        return int(recorder.insert_events(stored)[-1])

    return _closing(datastore, store)


class _closing:
    def __init__(self, datastore: Any, store: Callable[[int], int]) -> None:
        self._datastore, self._store = datastore, store

    def __enter__(self) -> Callable[[int], int]:
        return self._store

    def __exit__(self, *details: object) -> None:
        self._datastore.close()


def _race(load: Load) -> Any:
    """Several facts or a change in a shared stream, held back at random before the commit."""
    from datetime import UTC, datetime

    from django.db import transaction

    from bench.event_log_ledger import Repriced, click
    from eventlog.events import NewEvent
    from eventlog.models import DEFAULT_SHOP_ID
    from eventlog.services import append

    def repriced() -> NewEvent:
        stream = f"bench/{random.randrange(STREAMS)}"
        return NewEvent(event=Repriced(price=random.random()), occurred_at=datetime.now(UTC), stream=stream)

    def store(batch: int) -> int:
        events = [repriced()] if random.random() < 0.5 else [click()]
        with transaction.atomic():
            appended = append(shop_id=DEFAULT_SHOP_ID, events=events)
            time.sleep(0.5 if random.random() < 0.02 else random.random() * 0.02)
        return appended[-1].id or 0

    return nullcontext(store)


_stores: dict[str, Callable[[Load], Any]] = {
    "freshet": _freshet,
    "bare": _bare,
    "eventsourcing": _eventsourcing,
    "race": _race,
}

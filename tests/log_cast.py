"""The cast of the log's tests: two events, a projection that notes what it was given and chokes on what it is told to."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from django.conf import settings as django_settings
from django.db import connection, connections

from eventlog.database import query, rows
from eventlog.events import Event, NewEvent, RecordedEvent
from eventlog.projection import Projection, projections
from eventlog.services import Appended, append, sequence

SHOP_ID = 1
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Counted(Event):
    """Something happened that is counted."""

    type = "tests.Counted"
    value: int


class Ledger(Projection):
    """A row an event; its primary key refuses to apply a position twice."""

    name = "tests_ledger"
    event_types = frozenset({Counted.type})
    tables = ("tests_ledger",)
    poison: ClassVar[set[int]] = set()

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            if event.data["value"] in self.poison:
                raise ValueError(f"cannot count {event.data['value']}")
        query(
            "INSERT INTO tests_ledger SELECT * FROM unnest(%b::bigint[], %b::uuid[], %b::text[], %b::integer[], %b::integer[])",
            [
                [event.position for event in events],
                [event.event_id for event in events],
                [event.stream for event in events],
                [event.version for event in events],
                [event.data["value"] for event in events],
            ],
        )


ledger = Ledger()
TABLE = """CREATE TABLE IF NOT EXISTS tests_ledger (
    position bigint PRIMARY KEY, event_id uuid NOT NULL, stream text, version integer, value integer NOT NULL)"""


@pytest.fixture
def only_ledger(settings: Any) -> Iterator[Ledger]:
    """Let the ledger be the one projection; call it after a fixture that opens the database."""
    settings.EVENTLOG_PROJECTIONS = ["tests.log_cast.ledger"]
    projections.cache_clear()
    query(TABLE)
    query("TRUNCATE tests_ledger")
    ledger.poison.clear()
    yield ledger
    ledger.poison.clear()
    projections.cache_clear()


def counted(value: int = 1, *, event_id: UUID | None = None, stream: str | None = None, **more: Any) -> NewEvent:
    """A new event that counts."""
    event = Counted(value=value)
    return NewEvent(event=event, occurred_at=NOW, event_id=event_id or uuid4(), stream=stream, **more)


def count(*values: int) -> list[Appended]:
    """Append values one after the other and give them positions."""
    appended = [append(shop_id=SHOP_ID, events=[counted(value)])[0] for value in values]
    sequence_all()
    return appended


def sequence_all() -> None:
    """Give every committed event its position."""
    while sequence() > 0:
        pass


def ledger_rows() -> list[tuple[Any, ...]]:
    """What the ledger holds, in the order of the log."""
    return rows("SELECT position, event_id, stream, version, value FROM tests_ledger ORDER BY position")


def together(*works: Callable[[], Any]) -> list[Any]:
    """Run each in a thread with a connection of its own, all at once; return what each returned or raised."""
    results: list[Any] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def run(i: int, work: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(30)
            results[i] = work()
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            results[i] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(i, work)) for i, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def database_url() -> str:
    """The URL of this session's test database, for other processes."""
    given = connection.settings_dict
    user, password = quote(given["USER"]), quote(given["PASSWORD"])
    return f"postgresql://{user}:{password}@{given['HOST']}:{given['PORT']}/{given['NAME']}"


_WORKER = """
import django
from django.conf import settings
settings.INSTALLED_APPS = ["django.contrib.contenttypes", "eventlog"]  # the others take seconds to load
django.setup()
settings.EVENTLOG_PROJECTIONS, settings.EVENTLOG_WAKE_UP = ["tests.log_cast.ledger"], ""
from eventlog.consume import sequence_and_drain
print("ready", flush=True)
while True:
    sequence_and_drain()
"""


def start_worker() -> subprocess.Popen[bytes]:
    """Start a process that sequences and drains for ever."""
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER],
        cwd=django_settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdout=subprocess.PIPE,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"ready\n"
    return worker


def values() -> list[int]:
    """What the ledger holds, in the order of its rows."""
    return [row[4] for row in ledger_rows()]


def checkpoints() -> dict[str, int]:
    """Where every consumer stands."""
    return dict(rows("SELECT consumer, position FROM eventlog_checkpoint"))

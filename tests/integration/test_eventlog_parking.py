"""Parking: what cannot be read or applied is set aside and can be retried, and a rebuild gives the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from structlog.testing import capture_logs

from eventlog import events, selectors
from eventlog.consume import NotParked, drain, retry_parked, sequence_and_drain
from eventlog.database import query, rows, scalar
from eventlog.errors import UnreadableEvent
from eventlog.events import RecordedEvent
from eventlog.rebuild import ParkedMeanwhile, RebuildRunning, rebuild
from eventlog.selectors import parked
from tests.log_cast import Counted, Ledger, checkpoints, count, database_url, ledger_rows, sequence_all, values


def drain_often(times: int = 4) -> None:
    """More often than an event is tried before it is parked."""
    for _ in range(times):
        sequence_and_drain()


@pytest.fixture
def counted_by_twos(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next version of `Counted` holds halves; what is odd cannot be read any more."""
    monkeypatch.setattr(Counted, "schema_version", 2)

    def halved(data: dict[str, Any]) -> dict[str, Any]:
        if data["value"] % 2:
            raise ValueError("it is odd")
        return {"value": data["value"] // 2}

    monkeypatch.setitem(events._upcasters, (Counted.type, 1), halved)


def test_an_event_that_cannot_be_upcast_is_parked_and_the_others_go_on(
    db: None, only_ledger: Ledger, request: pytest.FixtureRequest
) -> None:
    count(2, 3, 4)
    request.getfixturevalue("counted_by_twos")
    drain_often()
    assert values() == [1, 2]
    ((consumer, position, error, _),) = parked()
    assert (consumer, position) == ("tests_ledger", 2)
    assert "cannot be read from schema version 1: ValueError: it is odd" in error
    with pytest.raises(UnreadableEvent, match="position 2"):
        selectors.read(after=0, to=3)


def test_it_can_be_retried_when_the_upcaster_is_repaired(
    real_db: None, only_ledger: Ledger, request: pytest.FixtureRequest
) -> None:
    count(2, 3, 4)
    request.getfixturevalue("counted_by_twos")
    drain_often()
    retry_parked(consumer="tests_ledger", position=2)
    drain_often()
    assert [position for _, position, _, _ in parked()] == [5]
    events._upcasters[Counted.type, 1] = lambda data: {"value": data["value"] * 10}
    retry_parked(consumer="tests_ledger", position=5)
    drain_often()
    assert [(row[0], row[4]) for row in ledger_rows()] == [(1, 1), (3, 2), (7, 30)]


def test_a_rebuild_leaves_out_the_parked_event_that_cannot_be_upcast(
    real_db: None, only_ledger: Ledger, request: pytest.FixtureRequest
) -> None:
    count(2, 3, 4)
    request.getfixturevalue("counted_by_twos")
    drain_often()
    live = ledger_rows()
    rebuild("tests_ledger")
    assert ledger_rows() == live


def test_a_failure_that_was_got_over_is_forgotten_when_the_consumer_passes(db: None, only_ledger: Ledger) -> None:
    only_ledger.poison.add(2)
    count(1, 2, 3)
    drain(only_ledger)
    assert rows("SELECT position, attempts FROM eventlog_failure") == [(2, 1)]
    only_ledger.poison.clear()
    drain_often()
    assert values() == [1, 2, 3]
    assert scalar("SELECT count(*) FROM eventlog_failure") == 0


def test_an_event_is_parked_after_three_attempts_and_the_others_go_on(db: None, only_ledger: Ledger) -> None:
    only_ledger.poison.add(2)
    count(1, 2, 3)
    assert [drain(only_ledger), drain(only_ledger)] == [1, 0]
    assert (values(), parked()) == ([1], [])
    with capture_logs() as logs:
        assert drain(only_ledger) == 2
    assert values() == [1, 3]
    assert [row[:3] for row in parked()] == [("tests_ledger", 2, "ValueError: cannot count 2")]
    assert "projection_event_failed" in {line["event"] for line in logs}
    sequence_all()
    assert scalar("SELECT count(*) FROM eventlog_event WHERE type = 'eventlog.EventParked'") == 1


def test_a_parked_event_is_applied_at_the_position_of_its_retry(db: None, only_ledger: Ledger) -> None:
    only_ledger.poison.add(2)
    count(1, 2, 3)
    drain_often()
    only_ledger.poison.clear()
    retry_parked(consumer="tests_ledger", position=2)
    sequence_and_drain()
    assert [(row[0], row[4]) for row in ledger_rows()] == [(1, 1), (3, 3), (5, 2)]  # 4 is EventParked
    assert parked() == []


def test_a_retry_that_fails_is_parked_in_its_turn_and_can_be_retried(db: None, only_ledger: Ledger) -> None:
    only_ledger.poison.add(2)
    count(1, 2)
    drain_often()
    retry_parked(consumer="tests_ledger", position=2)
    drain_often()
    assert [row[1] for row in parked()] == [4]
    only_ledger.poison.clear()
    retry_parked(consumer="tests_ledger", position=4)
    sequence_and_drain()
    assert values() == [1, 2]


@pytest.mark.parametrize("position", [1, 9])
def test_what_is_not_parked_cannot_be_retried(db: None, only_ledger: Ledger, position: int) -> None:
    count(1)
    with pytest.raises(NotParked):
        retry_parked(consumer="tests_ledger", position=position)
    assert scalar("SELECT count(*) FROM eventlog_event") == 1


def test_an_error_text_that_postgresql_cannot_store_still_parks_the_event(db: None, only_ledger: Ledger) -> None:
    class Chokes(Ledger):
        def apply(self, events: Sequence[RecordedEvent]) -> None:
            raise ValueError("nul \0 and half \ud83d a pair")

    count(1)
    for _ in range(3):
        drain(Chokes())
    assert [row[1] for row in parked()] == [1]


def test_rebuilt_equals_live_with_parked_retried_and_twice_parked_events(real_db: None, only_ledger: Ledger) -> None:
    only_ledger.poison.update({2, 4})
    count(*range(1, 8))
    drain_often(8)
    only_ledger.poison.remove(2)
    retry_parked(consumer="tests_ledger", position=2)
    retry_parked(consumer="tests_ledger", position=4)
    drain_often(8)
    count(8, 9)
    sequence_and_drain()
    live = ledger_rows()
    assert sorted(row[4] for row in live) == [1, 2, 3, 5, 6, 7, 8, 9]

    seen: list[int] = []
    rebuild("tests_ledger", progress=lambda done, total: seen.append(done))
    assert ledger_rows() == live
    assert seen[-1] == checkpoints()["tests_ledger"]
    count(10)
    sequence_and_drain()
    assert values()[-1] == 10


def test_a_projection_that_was_never_drained_can_be_rebuilt(real_db: None, only_ledger: Ledger) -> None:
    count(1, 2)
    assert rebuild("tests_ledger") == 2
    count(3)
    drain_often()
    assert values() == [1, 2, 3]
    assert parked() == []


def test_an_event_that_was_parked_a_moment_ago_stays_out_of_a_rebuild(real_db: None, only_ledger: Ledger) -> None:
    only_ledger.poison.add(2)
    count(1, 2)
    for _ in range(3):
        drain(only_ledger)  # EventParked waits for its position
    only_ledger.poison.clear()
    rebuild("tests_ledger")
    assert values() == [1]


def test_a_rebuild_that_applied_what_live_parks_meanwhile_is_not_swapped_in(
    real_db: None, only_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(1, 2)

    def park(done: int, total: int) -> None:
        query("INSERT INTO eventlog_parked (consumer, position, error) VALUES ('tests_ledger', 2, 'choked')")

    with pytest.raises(ParkedMeanwhile):
        rebuild("tests_ledger", progress=park)
    assert values() == []
    assert scalar("SELECT to_regnamespace('rebuild_tests_ledger')") is None


def test_a_second_rebuild_of_the_same_projection_is_refused(real_db: None, only_ledger: Ledger) -> None:
    count(1)
    with psycopg.connect(database_url()) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('rebuild_tests_ledger', 0))")
        with pytest.raises(RebuildRunning, match="tests_ledger"):
            rebuild("tests_ledger")
    assert values() == []


def test_the_command_lists_what_is_parked_retries_it_and_says_when_there_is_nothing(
    db: None, only_ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    only_ledger.poison.add(2)
    count(1, 2)
    drain_often()
    call_command("retry_parked")
    assert "tests_ledger 2 parked" in capsys.readouterr().out
    with pytest.raises(CommandError, match="tests_ledger has parked nothing at position 1"):
        call_command("retry_parked", "tests_ledger", "1")
    only_ledger.poison.clear()
    call_command("retry_parked", "tests_ledger", "2")
    drain_often()
    assert values() == [1, 2]


def test_an_event_beyond_a_limit_of_postgresql_is_parked_and_the_others_go_on(
    db: None, only_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = only_ledger.apply
    query("CREATE TEMPORARY TABLE narrow (text text PRIMARY KEY) ON COMMIT DROP")

    def apply(events: Sequence[RecordedEvent]) -> None:
        if any(event.data["value"] == 2 for event in events):  # an index row holds 2,704 bytes at most
            query("INSERT INTO narrow SELECT string_agg(md5(n::text), '') FROM generate_series(1, 1000) n")
        plain(events)

    monkeypatch.setattr(only_ledger, "apply", apply)
    count(1, 2, 3)
    drain_often()
    assert values() == [1, 3]
    assert [(consumer, position) for consumer, position, _, _ in parked()] == [("tests_ledger", 2)]


def test_storage_errors_are_not_the_events_fault(
    db: None, only_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(1)
    with monkeypatch.context() as broken:
        broken.setattr(only_ledger, "apply", _raise_disk_full)
        with pytest.raises(psycopg.OperationalError):
            sequence_and_drain()
    assert scalar("SELECT count(*) FROM eventlog_failure") == 0
    sequence_and_drain()
    assert values() == [1]


def _raise_disk_full(events: Sequence[RecordedEvent]) -> None:
    raise psycopg.errors.DiskFull("no space left")

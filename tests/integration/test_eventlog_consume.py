"""Consuming: in order, once, read together; what cannot be applied is parked, and a rebuild gives the same rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import psycopg
import pytest
from django.core.management import CommandError, call_command
from structlog.testing import capture_logs

from eventlog import consume, events, selectors, window
from eventlog.consume import NotParked, checkpoint_move, checkpoint_read, drain, retry_parked, sequence_and_drain
from eventlog.database import query, rows, scalar
from eventlog.errors import LogDamaged, LostClaim, UnreadableEvent
from eventlog.events import ClockTicked, NewEvent, RecordedEvent
from eventlog.projection import Projection, projections
from eventlog.rebuild import ParkedMeanwhile, RebuildRunning, rebuild
from eventlog.selectors import age_seconds, lags, oldest_pending_seconds, parked, pending_count
from eventlog.services import append, forget_drains
from tests.log_cast import NOW, SHOP_ID, Counted, Ledger, count, counted, database_url, ledger_rows, sequence_all


def values() -> list[int]:
    return [row[4] for row in ledger_rows()]


def checkpoints() -> dict[str, int]:
    return dict(rows("SELECT consumer, position FROM eventlog_checkpoint"))


def drain_often(times: int = 4) -> None:
    for _ in range(times):
        sequence_and_drain()


def test_events_are_applied_in_order_and_the_drain_is_noted(db: None, only_ledger: Ledger) -> None:
    count(1, 2, 3)
    sequence_and_drain()
    assert values() == [1, 2, 3]
    assert checkpoints() == {"tests_ledger": 3}
    assert rows("SELECT consumer, from_position, to_position FROM eventlog_drain") == [("tests_ledger", 0, 3)]


def test_a_second_drain_finds_nothing(db: None, only_ledger: Ledger) -> None:
    count(1)
    assert drain(only_ledger) == 1
    assert drain(only_ledger) == 0


def test_events_of_other_types_move_the_checkpoint_without_a_note(db: None, only_ledger: Ledger) -> None:
    append(shop_id=SHOP_ID, events=[NewEvent(event=ClockTicked(), occurred_at=NOW)])
    sequence_and_drain()
    assert checkpoints() == {"tests_ledger": 1}
    assert scalar("SELECT count(*) FROM eventlog_drain") == 0


def test_a_hole_stops_the_consumer_loudly(db: None, only_ledger: Ledger) -> None:
    count(1, 2, 3)
    query("DELETE FROM eventlog_position WHERE position = 2")
    with pytest.raises(LogDamaged, match="1 positions are missing"):
        sequence_and_drain()
    assert values() == []
    assert checkpoints() in ({}, {"tests_ledger": 0})


def test_a_position_whose_event_is_gone_stops_the_consumer_as_a_hole_does(db: None, only_ledger: Ledger) -> None:
    count(1, 2, 3)
    query("DELETE FROM eventlog_event WHERE id = (SELECT event_id FROM eventlog_position WHERE position = 2)")
    with pytest.raises(LogDamaged, match="1 events are missing"):
        sequence_and_drain()
    assert values() == []
    assert checkpoints() in ({}, {"tests_ledger": 0})


def test_it_is_noticed_as_well_when_no_event_of_the_stretch_is_consumed(db: None, only_ledger: Ledger) -> None:
    append(shop_id=SHOP_ID, events=[NewEvent(event=ClockTicked(), occurred_at=NOW)])
    sequence_all()
    query("DELETE FROM eventlog_event")
    with pytest.raises(LogDamaged, match="1 events are missing"):
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


class Noted(Projection):
    """Notes how it was served."""

    event_types = frozenset({Counted.type})
    tables = ()
    calls: ClassVar[list[tuple[str, int]]] = []

    def __init__(self, name: str, *, seconds_each: float = 0.0, error: Exception | None = None) -> None:
        self.name = name  # type: ignore[misc]
        self.seconds_each, self.error = seconds_each, error

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        if self.error:
            raise self.error
        time.sleep(self.seconds_each * len(events))
        self.calls.append((self.name, len(events)))


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Let these be the running projections."""

    def these(*running: Noted) -> None:
        Noted.calls.clear()
        monkeypatch.setattr(consume, "projections", lambda: {projection.name: projection for projection in running})

    yield these
    projections.cache_clear()


def test_a_stretch_is_read_once_for_all_that_stand_at_its_start(
    db: None, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[tuple[int, int]] = []
    original = selectors.read

    def counting(*, after: int, to: int, **how: Any) -> list[RecordedEvent]:
        reads.append((after, to))
        return original(after=after, to=to, **how)

    monkeypatch.setattr(window, "read", counting)
    serve(Noted("a"), Noted("b"), Noted("c"))
    count(1, 2, 3)
    sequence_and_drain()
    assert Noted.calls == [("a", 3), ("b", 3), ("c", 3)]
    assert reads == [(0, 3)]


def test_a_slow_projection_is_cut_short_so_that_the_first_are_served_in_between(
    db: None, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consume, "SMALLEST_BATCH", 10)
    monkeypatch.setattr(consume, "TURN_SECONDS", 0.05)
    monkeypatch.setattr(consume, "BATCH", 800)
    serve(Noted("search reads this"), Noted("slow", seconds_each=0.002))
    append(shop_id=SHOP_ID, events=[counted() for _ in range(400)])
    sequence_and_drain()
    slow = [events for name, events in Noted.calls if name == "slow"]
    assert sum(slow) == 400
    assert max(slow[1:]) <= 50
    assert sum(events for name, events in Noted.calls if name == "search reads this") == 400


def test_one_projection_without_a_disk_does_not_stop_the_others(db: None, serve: Any) -> None:
    serve(Noted("broken", error=psycopg.errors.DiskFull("no space left")), Noted("well"))
    count(1)
    with pytest.raises(psycopg.errors.DiskFull):
        sequence_and_drain()
    assert Noted.calls == [("well", 1)]


def test_lingering_finds_what_came_while_it_found_nothing(
    db: None, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(Noted("a"))
    monkeypatch.setattr(
        consume, "sleep", lambda seconds: append(shop_id=SHOP_ID, events=[counted()]) if not Noted.calls else None
    )
    sequence_and_drain(linger_seconds=0.01)
    assert Noted.calls == [("a", 1)]


def test_a_drain_can_be_told_to_stop(db: None, only_ledger: Ledger) -> None:
    count(1)
    assert sequence_and_drain(should_stop=lambda: True) == 0
    assert values() == []


def test_a_consumer_outside_moves_its_checkpoint_by_compare_and_set(db: None) -> None:
    checkpoint_move(consumer="trainer", position=0, to=7)
    with pytest.raises(LostClaim):
        checkpoint_move(consumer="trainer", position=0, to=9)
    assert checkpoint_read("trainer") == 7
    assert rows("SELECT from_position, to_position FROM eventlog_drain WHERE consumer = 'trainer'") == [(0, 7)]
    assert checkpoint_read("embedder") == 0


def test_old_notes_of_drains_are_forgotten(db: None) -> None:
    for days in (1, 29, 31, 90):
        query("INSERT INTO eventlog_drain VALUES ('a', 0, %s, now() - make_interval(days => %s))", [days, days])
    assert forget_drains() == 2
    assert rows("SELECT to_position FROM eventlog_drain ORDER BY 1") == [(1,), (29,)]


def test_gauges_tell_what_waits_and_for_how_long(real_db: None, only_ledger: Ledger) -> None:
    assert (pending_count(), oldest_pending_seconds(), age_seconds(shop_id=SHOP_ID, position=0)) == (0, 0.0, 0.0)
    append(shop_id=SHOP_ID, events=[counted(), counted()])
    time.sleep(0.02)
    assert pending_count() == 2
    assert 0.02 <= oldest_pending_seconds() < 60
    assert 0.02 <= age_seconds(shop_id=SHOP_ID, position=0) < 60
    assert age_seconds(shop_id=SHOP_ID + 1, position=0) == 0.0
    sequence_and_drain()
    count(3)
    (lag,) = lags()
    assert (lag.consumer, lag.position, lag.events) == ("tests_ledger", 2, 1)
    assert age_seconds(shop_id=SHOP_ID, position=2) > 0
    assert age_seconds(shop_id=SHOP_ID, position=3) == 0.0

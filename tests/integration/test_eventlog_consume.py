"""Consuming: in order, once, read together; a hole or a lost event stops it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import psycopg
import pytest

from eventlog import consume, selectors, window
from eventlog.consume import checkpoint_move, checkpoint_read, drain, sequence_and_drain
from eventlog.database import query, rows, scalar
from eventlog.errors import LogDamaged, LostClaim
from eventlog.events import ClockTicked, NewEvent, RecordedEvent
from eventlog.projection import Projection, projections
from eventlog.selectors import age_seconds, lags, oldest_pending_seconds, pending_count
from eventlog.services import append, forget_drains
from tests.log_cast import NOW, SHOP_ID, Counted, Ledger, checkpoints, count, counted, sequence_all, values


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


@pytest.mark.parametrize(
    ("pass_seconds", "is_behind", "turn"),
    [(10.0, False, consume.TURN_SECONDS), (0.1, True, consume.TURN_SECONDS), (1.0, True, 0.5),
     (60.0, True, consume.LONGEST_TURN_SECONDS)],
)  # fmt: skip
def test_one_that_falls_behind_may_take_half_of_the_time_but_not_for_ever(
    pass_seconds: float, is_behind: bool, turn: float
) -> None:
    assert consume._turn_seconds(pass_seconds, is_behind=is_behind) == turn


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

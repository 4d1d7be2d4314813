"""Appending: each event answered on its own, streams guarded by their heads, nothing known stored twice."""

from __future__ import annotations

import threading
import time
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import transaction

from eventlog import services
from eventlog.database import GATE, query, rows, scalar, snapshot
from eventlog.errors import ConcurrentChange
from eventlog.events import NewEvent
from eventlog.selectors import Head, heads, partitions_ahead, read, read_stream
from eventlog.services import append, make_partitions, sequence, turn_known_ids
from tests.conftest import wake_ups
from tests.log_cast import SHOP_ID, counted, database_url, sequence_all, together


def stored() -> int:
    return int(scalar("SELECT count(*) FROM eventlog_event"))


def outcomes(*events: object) -> list[str]:
    return [appended.outcome for appended in append(shop_id=SHOP_ID, events=list(events))]  # type: ignore[arg-type]


@pytest.mark.parametrize("others", [0, 3], ids=["alone", "in a batch"])
def test_a_repeat_is_a_duplicate_and_other_content_a_conflict(db: None, others: int) -> None:
    known, more = uuid4(), [counted() for _ in range(others)]
    assert outcomes(counted(1, event_id=known), *more) == ["accepted"] * (others + 1)
    assert outcomes(counted(1, event_id=known)) == ["duplicate"]
    assert outcomes(counted(2, event_id=known)) == ["event_id_conflict"]
    assert stored() == others + 1


def test_in_a_batch_only_what_is_new_is_accepted_and_answers_keep_the_order_given(db: None) -> None:
    old, new, again = counted(1), counted(2), uuid4()
    append(shop_id=SHOP_ID, events=[old])
    batch = [new, old, counted(3, event_id=again), counted(3, event_id=again), counted(4, event_id=again)]
    assert outcomes(*batch) == ["accepted", "duplicate", "accepted", "duplicate", "event_id_conflict"]
    assert stored() == 3


def test_one_event_given_twice_in_a_batch_is_accepted_once(db: None) -> None:
    event = counted(1)
    assert outcomes(event, event, counted(2)) == ["accepted", "duplicate", "accepted"]
    assert stored() == 2


@pytest.mark.parametrize("expected", [None, 0], ids=["any version", "an expected version"])
def test_a_repeated_event_of_a_stream_is_a_duplicate_and_moves_nothing(db: None, expected: int | None) -> None:
    event = counted(1, stream="tests/mug", expected_version=expected, state={"hash": "a"})
    assert outcomes(event) == ["accepted"]
    assert outcomes(event) == ["duplicate"]
    assert outcomes(counted(2, event_id=event.event_id, stream="tests/mug")) == ["event_id_conflict"]
    assert outcomes(counted(1, event_id=event.event_id, stream="tests/cup")) == ["event_id_conflict"]
    assert outcomes(counted(1, event_id=event.event_id)) == ["event_id_conflict"]
    assert stored() == 1
    assert heads(shop_id=SHOP_ID, streams=["tests/mug", "tests/cup"]) == {
        "tests/mug": Head(1, {"hash": "a"}),
        "tests/cup": Head(),
    }


def test_of_many_streams_only_the_new_events_are_stored_each_in_its_own(db: None) -> None:
    known = counted(1, stream="tests/b", state={"n": 1})
    append(shop_id=SHOP_ID, events=[known])
    new = [counted(value, stream=f"tests/{name}", state={"n": value}) for value, name in ((2, "c"), (3, "a"))]
    twice = counted(2, event_id=new[0].event_id, stream="tests/d")
    assert outcomes(new[0], known, new[1], twice) == ["accepted", "duplicate", "accepted", "event_id_conflict"]
    assert heads(shop_id=SHOP_ID, streams=["tests/a", "tests/b", "tests/c", "tests/d"]) == {
        "tests/a": Head(1, {"n": 3}),
        "tests/b": Head(1, {"n": 1}),
        "tests/c": Head(1, {"n": 2}),
        "tests/d": Head(),
    }
    assert stored() == 3


def test_an_id_of_a_stream_event_is_known_for_two_generations(real_db: None) -> None:
    event = counted(1, stream="tests/mug")
    append(shop_id=SHOP_ID, events=[event])
    turn_now()
    assert outcomes(event) == ["duplicate"]


def test_a_refused_version_does_not_make_the_id_known(db: None) -> None:
    event = counted(1, stream="tests/mug", expected_version=1)
    with pytest.raises(ConcurrentChange), transaction.atomic():
        append(shop_id=SHOP_ID, events=[event])
    append(shop_id=SHOP_ID, events=[counted(0, stream="tests/mug")])
    assert outcomes(event) == ["accepted"]


def test_one_id_may_be_used_by_two_shops(db: None) -> None:
    event = counted(event_id=UUID(int=7))
    assert [append(shop_id=shop, events=[event])[0].outcome for shop in (1, 2)] == ["accepted", "accepted"]


def test_what_was_appended_is_read_back_whole(db: None) -> None:
    event = counted(5, personal=b"\x00\xff", subject_id=uuid4(), causation_id=uuid4())
    in_stream = counted(6, stream="tests/1", personal=b"sealed", subject_id=uuid4())
    append(shop_id=SHOP_ID, events=[event])
    append(shop_id=SHOP_ID, events=[in_stream])
    sequence_all()
    for read_back, given in zip(read(after=0, to=2), (event, in_stream), strict=True):
        assert read_back.data == given.event.data()
        assert (
            read_back.event_id,
            read_back.personal,
            read_back.subject_id,
            read_back.occurred_at,
            read_back.stream,
        ) == (
            given.event_id,
            given.personal,
            given.subject_id,
            given.occurred_at,
            given.stream,
        )


def test_stream_versions_count_from_one_and_the_head_keeps_the_state(db: None) -> None:
    append(
        shop_id=SHOP_ID, events=[counted(1, stream="tests/mug", state={"hash": "a"}), counted(2, stream="tests/cup")]
    )
    append(shop_id=SHOP_ID, events=[counted(3, stream="tests/mug", expected_version=1)])
    assert heads(shop_id=SHOP_ID, streams=["tests/mug", "tests/cup", "tests/none"]) == {
        "tests/mug": Head(2, {"hash": "a"}),
        "tests/cup": Head(1, {}),
        "tests/none": Head(),
    }
    sequence_all()
    assert [event.data["value"] for event in read_stream(shop_id=SHOP_ID, stream="tests/mug")] == [1, 3]


def test_one_stale_version_refuses_the_whole_call_and_writes_nothing(db: None) -> None:
    append(shop_id=SHOP_ID, events=[counted(stream="tests/mug")])
    with pytest.raises(ConcurrentChange, match="tests/mug"), transaction.atomic():
        append(
            shop_id=SHOP_ID,
            events=[counted(stream="tests/cup"), counted(stream="tests/mug", expected_version=0), counted()],
        )
    assert stored() == 1
    assert heads(shop_id=SHOP_ID, streams=["tests/cup"]) == {"tests/cup": Head()}


def test_two_events_of_one_stream_in_a_call_are_a_mistake(db: None) -> None:
    with pytest.raises(ValueError, match="one stream"):
        append(shop_id=SHOP_ID, events=[counted(stream="tests/mug"), counted(stream="tests/mug")])
    assert stored() == 0


def test_nothing_appended_answers_nothing(db: None) -> None:
    assert append(shop_id=SHOP_ID, events=[]) == []


def test_the_workers_are_woken_once_a_commit(real_db: None) -> None:
    with transaction.atomic():
        append(shop_id=SHOP_ID, events=[counted()])
        with transaction.atomic():
            append(shop_id=SHOP_ID, events=[counted(), counted(stream="tests/mug")])
        append(shop_id=SHOP_ID, events=[counted()])
        assert not wake_ups
    assert len(wake_ups) == 1
    append(shop_id=SHOP_ID, events=[counted()])
    assert len(wake_ups) == 2


def test_nobody_is_woken_by_a_rollback_or_by_a_repeat(real_db: None) -> None:
    event = counted()
    _append_and_roll_back(event)
    assert not wake_ups
    append(shop_id=SHOP_ID, events=[event])
    append(shop_id=SHOP_ID, events=[event])
    assert len(wake_ups) == 1


def test_a_savepoint_that_rolls_back_does_not_take_the_wake_up_of_its_transaction_along(real_db: None) -> None:
    with transaction.atomic():
        _append_and_roll_back(counted())
        append(shop_id=SHOP_ID, events=[counted()])
    assert len(wake_ups) == 1


def _append_and_roll_back(event: NewEvent) -> None:
    with transaction.atomic():
        append(shop_id=SHOP_ID, events=[event])
        transaction.set_rollback(True)


def test_rows_go_on_across_the_edge_of_a_partition(real_db: None) -> None:
    query("ALTER TABLE eventlog_event ALTER COLUMN id RESTART WITH 4999998")
    appended = append(shop_id=SHOP_ID, events=[counted(value) for value in range(5)])
    assert sorted(a.id or 0 for a in appended) == list(range(4_999_998, 5_000_003))
    assert {row[0] for row in rows("SELECT DISTINCT tableoid::regclass::text FROM eventlog_event")} == {
        "eventlog_event_p0",
        "eventlog_event_p1",
    }
    assert sequence() == 5
    assert sorted(event.data["value"] for event in read(after=0, to=5)) == list(range(5))
    assert partitions_ahead() == 1
    assert make_partitions() == 1
    assert partitions_ahead() == 2


def test_an_append_makes_the_partition_that_beat_did_not(real_db: None) -> None:
    query("DROP TABLE eventlog_event_p2")
    query("ALTER TABLE eventlog_event ALTER COLUMN id RESTART WITH 10000000")
    query("INSERT INTO eventlog_event (id, shop_id, type, schema_version, data, event_id, occurred_at)"
          " OVERRIDING SYSTEM VALUE VALUES (9999999, 1, 'tests.Counted', 1, '{}', gen_random_uuid(), now())")  # fmt: skip
    assert outcomes(counted()) == ["accepted"]
    assert partitions_ahead() == 1


def test_an_append_goes_on_when_another_made_the_partition_meanwhile(
    real_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    query("DROP TABLE eventlog_event_p2")
    query("ALTER TABLE eventlog_event ALTER COLUMN id RESTART WITH 10000000")

    def made_by_another() -> int:
        scalar("SELECT eventlog_add_partition('eventlog_event', 2, 5000000)")
        return make_partitions()

    monkeypatch.setattr(services, "make_partitions", made_by_another)
    assert outcomes(counted()) == ["accepted"]


def test_the_sequencer_makes_the_partition_that_beat_did_not(real_db: None) -> None:
    append(shop_id=SHOP_ID, events=[counted()])
    query("DROP TABLE eventlog_position_p2")
    query("UPDATE eventlog_sequencer SET last = 9999999")
    assert sequence() == 1
    assert scalar("SELECT position FROM eventlog_position") == 10_000_000


def test_a_snapshot_that_waited_in_vain_for_the_gate_leaves_the_connection_usable(real_db: None) -> None:
    with psycopg.connect(database_url()) as swapping:
        swapping.execute(f"LOCK {GATE} IN ACCESS EXCLUSIVE MODE")
        query("SET lock_timeout = '50ms'")
        try:
            with pytest.raises(psycopg.errors.LockNotAvailable), snapshot():
                pass
            assert scalar("SELECT 7") == 7
        finally:
            query("ROLLBACK")
            query("RESET lock_timeout")
        swapping.rollback()
    with snapshot():
        assert scalar("SELECT 7") == 7


def test_known_ids_are_known_for_two_generations(real_db: None) -> None:
    old = counted(1)
    append(shop_id=SHOP_ID, events=[old])
    assert turn_known_ids() is False
    turn_now()
    assert outcomes(old) == ["duplicate"]
    assert outcomes(old, counted()) == ["duplicate", "accepted"]
    assert outcomes(counted(2, event_id=old.event_id)) == ["event_id_conflict"]
    turn_now()
    assert outcomes(old) == ["accepted"]


def test_senders_of_one_id_cannot_win_on_both_sides_of_a_turn(real_db: None) -> None:
    for _ in range(5):
        events = [counted(1) for _ in range(30)]

        def send(events: list[object] = events) -> list[str]:  # type: ignore[assignment]
            return [outcomes(event)[0] for event in events] + outcomes(*events)

        *answers, turned = together(send, send, send, send, turn_at_last)
        assert turned is True
        assert sum(answer.count("accepted") for answer in answers) == 30
    assert stored() == 150


def turn_now() -> bool:
    return bool(scalar("SELECT eventlog_turn_known_ids('0 days')"))


def turn_at_last() -> bool:
    """It gives way to whatever keeps it waiting for half a second, which on a busy machine may be a few times."""
    return any(turn_now() for _ in range(20))


def test_a_turn_gives_way_to_an_append_under_way(real_db: None) -> None:
    appended, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            append(shop_id=SHOP_ID, events=[counted()])
            appended.set()
            done.wait(30)

    def turn() -> bool:
        appended.wait(30)
        try:
            return turn_now()
        finally:
            done.set()

    assert together(hold, turn) == [None, False]
    assert turn_now() is True


def test_a_turn_gives_way_to_a_batch_that_took_the_tables_in_the_other_order(real_db: None) -> None:
    held, waits = threading.Event(), "SELECT count(*) FROM pg_locks WHERE NOT granted"

    def batch() -> None:
        with transaction.atomic():
            query("LOCK eventlog_known_id IN ROW EXCLUSIVE MODE")
            held.set()
            deadline = time.monotonic() + 10
            while not scalar(waits) and time.monotonic() < deadline:
                time.sleep(0.005)
            query("LOCK eventlog_known_id_before IN ACCESS SHARE MODE")

    def turn() -> bool:
        held.wait(30)
        return turn_now()

    assert together(batch, turn) == [None, False]

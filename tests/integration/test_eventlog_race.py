"""Many writers at once: nothing lost, nothing twice, one order without holes."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import psycopg
from django.db import transaction

from eventlog.consume import sequence_and_drain
from eventlog.database import rows, scalar
from eventlog.errors import ConcurrentChange
from eventlog.selectors import pending_count
from eventlog.services import append, sequence
from eventlog.verify import verify
from tests.log_cast import Ledger, count, counted, database_url, ledger_rows, together

WRITERS, CALLS = 24, 25


def write_with_holds(seed: int) -> list[UUID]:
    """Append facts and changes of shared streams, each transaction held for a moment before it commits."""
    chance, written = random.Random(seed), []
    for call in range(CALLS):
        shared = [f"tests/{n}" for n in sorted(chance.sample(range(10), chance.randrange(3)))]
        events = [counted(call) for _ in range(chance.randrange(1, 4))] + [counted(call, stream=s) for s in shared]
        with transaction.atomic():
            append(shop_id=1, events=events)
            time.sleep(chance.random() * 0.02)
        written += [event.event_id for event in events]
    return written


def sequence_until(stop: list[bool]) -> int:
    sequenced = 0
    while not stop or sequence() > 0:
        sequenced += sequence_and_drain()
    return sequenced


def test_24_writers_and_a_foreign_transaction_lose_nothing_and_break_no_order(
    real_db: None, only_ledger: Ledger
) -> None:
    stop: list[bool] = []
    left = list(range(WRITERS))

    def writer(seed: int) -> list[UUID]:
        try:
            return write_with_holds(seed)
        finally:
            left.remove(seed)
            if not left:
                stop.append(True)

    with psycopg.connect(database_url()) as foreign:
        foreign.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        foreign.execute("CREATE TEMPORARY TABLE held (id integer)")
        works = [lambda seed=seed: writer(seed) for seed in range(WRITERS)]
        *written, first, second = together(*works, lambda: sequence_until(stop), lambda: sequence_until(stop))
        foreign.rollback()
    sequence_and_drain()

    assert not [answer for answer in (*written, first, second) if isinstance(answer, Exception)]
    consumed = ledger_rows()
    assert Counter(row[1] for row in consumed) == Counter(event_id for ids in written for event_id in ids)
    assert [row[0] for row in consumed] == list(range(1, len(consumed) + 1))
    for stream in {row[2] for row in consumed if row[2]}:
        versions = [row[3] for row in consumed if row[2] == stream]
        assert versions == list(range(1, len(versions) + 1))
    assert not any(finding.broken for finding in verify())


def test_batches_that_overlap_in_opposite_orders_accept_each_id_once_and_cannot_deadlock(real_db: None) -> None:
    pool = [counted(event_id=uuid4()) for _ in range(400)]

    def send(seed: int) -> int:
        chance, accepted = random.Random(seed), 0
        for turn in range(12):
            batch = chance.sample(pool, 150)
            batch.sort(key=lambda event: event.event_id, reverse=bool((turn + seed) % 2))
            accepted += sum(answer.outcome == "accepted" for answer in append(shop_id=1, events=batch))
        return accepted

    answers = together(*[lambda seed=seed: send(seed) for seed in range(8)])
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    assert (
        sum(answers)
        == scalar("SELECT count(*) FROM eventlog_event")
        == scalar("SELECT count(*) FROM eventlog_known_id")
    )


def test_batches_of_streams_in_opposite_orders_cannot_deadlock(real_db: None) -> None:
    def send(reverse: bool) -> None:
        streams = sorted((f"tests/{n}" for n in range(40)), reverse=reverse)
        for _ in range(10):
            append(shop_id=1, events=[counted(stream=stream) for stream in streams])

    assert together(*[lambda reverse=bool(n % 2): send(reverse) for n in range(6)]) == [None] * 6
    assert {row[0] for row in rows("SELECT version FROM eventlog_stream")} == {60}


def test_of_many_who_expect_the_same_version_exactly_one_wins(real_db: None) -> None:
    def change() -> Any:
        try:
            return append(shop_id=1, events=[counted(stream="tests/mug", expected_version=0)])[0].version
        except ConcurrentChange:
            return "refused"

    for _ in range(5):
        answers = together(*[change] * 12)
        assert Counter(answers)[1] <= 1
        assert {1, "refused"} >= set(answers)
    assert scalar("SELECT count(*) FROM eventlog_event") == 1


def test_only_one_session_sequences_at_a_time(real_db: None) -> None:
    append(shop_id=1, events=[counted()])
    with psycopg.connect(database_url()) as other:
        other.execute("SELECT eventlog_sequence()")
        assert sequence() == -1
        other.rollback()
    assert pending_count() == 1
    assert sequence() == 1


def test_an_append_still_open_takes_its_position_when_it_commits(real_db: None) -> None:
    with psycopg.connect(database_url()) as slow:
        slow.execute(
            "SELECT eventlog_append_fact(1, gen_random_uuid(), 'x', 'tests.Counted', 1::smallint, '{\"value\": 1}', null,"
            " null, null, now())"
        )
        count(2, 3)
        assert scalar("SELECT last FROM eventlog_sequencer") == 2
        slow.commit()
    assert sequence() == 1
    assert rows("SELECT (data ->> 'value')::int FROM eventlog_position JOIN eventlog_event ON id = eventlog_position.event_id"
                " ORDER BY position") == [(2,), (3,), (1,)]  # fmt: skip


def test_a_burst_after_calm_is_sequenced_in_short_calls(real_db: None) -> None:
    for _ in range(20):
        sequence()  # whatever the session plans, it plans for an empty table
    for _ in range(10):
        append(shop_id=1, events=[counted() for _ in range(2000)])
    calls = []
    while True:
        began = time.perf_counter()
        if not sequence(batch=5000):
            break
        calls.append(time.perf_counter() - began)
    assert scalar("SELECT last FROM eventlog_sequencer") == 20_000
    assert max(calls) < 2.0 * float(os.environ.get("SLOW_MACHINE", "1"))

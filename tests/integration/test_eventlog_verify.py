"""`verify_log` finds each kind of damage, made here by hand."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from eventlog.database import query
from eventlog.services import append
from eventlog.verify import verify
from tests.log_cast import SHOP_ID, count, counted, sequence_all

DAMAGE = {
    "DELETE FROM eventlog_position WHERE position = 2": "positions run from 1",
    "UPDATE eventlog_position SET position = 99 WHERE position = 4": "positions run from 1",
    "UPDATE eventlog_sequencer SET last = last + 1": "positions run from 1",
    "DELETE FROM eventlog_event WHERE id = (SELECT min(id) FROM eventlog_event)": "every position names an event",
    "UPDATE eventlog_position SET event_id = (SELECT min(id) FROM eventlog_event) WHERE position = 2": "no event has two positions",
    "DELETE FROM eventlog_pending": "every event has a position or waits for one",
    "INSERT INTO eventlog_pending SELECT 1, ARRAY[min(event_id)] FROM eventlog_position": "no event has a position and still waits",
    "INSERT INTO eventlog_pending VALUES (77, '{-77}')": "what waits is an event, and waits once",
    "INSERT INTO eventlog_pending SELECT 78, event_ids FROM eventlog_pending": "what waits is an event, and waits once",
    "UPDATE eventlog_event SET version = 5 WHERE version = 2": "the versions of each stream run from 1",
    "UPDATE eventlog_event SET version = 3 - version WHERE stream = 'tests/mug'": "the versions of each stream run from 1",
    # the two events of the stream have changed places in the log
    "UPDATE eventlog_position p SET event_id = (SELECT event_id FROM eventlog_position WHERE position = 7 - p.position)"
    " WHERE position > 2": "the versions of each stream run from 1",
    "UPDATE eventlog_stream SET version = 9": "every stream head is at its newest version",
    "DELETE FROM eventlog_stream": "every stream has a head",
    "INSERT INTO eventlog_checkpoint VALUES ('weights', 99)": "no consumer is ahead of the log",
}


@pytest.fixture
def some_log(db: None) -> None:
    """Two facts and a stream of two versions sequenced, two facts that wait."""
    count(1, 2)
    for _ in range(2):
        append(shop_id=SHOP_ID, events=[counted(stream="tests/mug")])
    sequence_all()
    append(shop_id=SHOP_ID, events=[counted(), counted()])


def broken() -> set[str]:
    return {finding.promise for finding in verify() if finding.broken}


def test_a_log_in_order_breaks_no_promise(some_log: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert broken() == set()
    call_command("verify_log")
    assert "4 events sequenced, 2 waiting" in capsys.readouterr().out


@pytest.mark.parametrize("statement", DAMAGE)
def test_it_finds_the_damage_and_says_which_promise_is_broken(some_log: None, statement: str) -> None:
    query(statement)
    assert any(promise.startswith(DAMAGE[statement]) for promise in broken())
    with pytest.raises(CommandError, match="damaged"):
        call_command("verify_log")

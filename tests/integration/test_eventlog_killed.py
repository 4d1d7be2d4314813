"""kill -9 of the process that sequences and drains, at any moment: nothing lost, nothing twice."""

from __future__ import annotations

import random
import time
from uuid import UUID

import pytest
from django.db import connections

from eventlog.consume import sequence_and_drain
from eventlog.selectors import last_position, pending_count
from eventlog.services import append
from eventlog.verify import verify
from tests.log_cast import SHOP_ID, Ledger, counted, ledger_rows, start_worker, together

KILLS = 5


def test_a_worker_killed_again_and_again_loses_nothing_and_applies_nothing_twice(
    real_db: None, only_ledger: Ledger
) -> None:
    chance = random.Random(7)
    sent: list[UUID] = []
    over: list[bool] = []

    def write() -> None:
        while not over:
            events = [counted(len(sent) + n) for n in range(200)]
            append(shop_id=SHOP_ID, events=events)
            sent.extend(event.event_id for event in events)
            time.sleep(0.01)

    def kill() -> None:
        try:
            for _ in range(KILLS):
                with start_worker() as worker:
                    time.sleep(0.05 + chance.random() * 0.3)
                    worker.kill()
        finally:
            over.append(True)

    assert together(write, kill) == [None, None]
    connections.close_all()
    _wait_for_the_last_killed_session()

    consumed = ledger_rows()
    assert sorted(row[1] for row in consumed) == sorted(sent)
    assert [row[0] for row in consumed] == list(range(1, len(sent) + 1))
    assert not any(finding.broken for finding in verify())


def _wait_for_the_last_killed_session() -> None:
    """Its server process notices the death a moment later, and holds its claim until then."""
    deadline = time.monotonic() + 20
    while True:
        sequence_and_drain()
        if not pending_count() and len(ledger_rows()) == last_position():
            return
        if time.monotonic() > deadline:
            pytest.fail("the log was not drained after the kills")
        time.sleep(0.05)

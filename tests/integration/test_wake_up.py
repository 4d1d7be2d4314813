"""The wake-up while its servers are away: late by a second at most, and no append waits for them."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from kombu.exceptions import OperationalError

from eventlog.services import append
from tests.log_cast import SHOP_ID, Ledger, counted, ledger_rows
from workers import wake_up
from workers.celery import app
from workers.servers.ports import choose_port
from workers.tasks import drain


class Away:
    """A cache server that does not answer."""

    asked = 0

    def set(self, *arguments: Any, **options: Any) -> None:
        self.asked += 1
        raise redis.TimeoutError("no answer")

    def delete(self, *keys: str) -> None:
        raise redis.ConnectionError("refused")


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Away:
    server = Away()
    monkeypatch.setattr(wake_up, "broker_client", lambda: server)
    monkeypatch.setattr(wake_up, "_asked_at", float("-inf"))
    return server


def test_a_cache_that_does_not_answer_is_not_asked_by_each_append(away: Away) -> None:
    for _ in range(3):
        wake_up.wake_up()
        time.sleep(2 * wake_up._ASK_AGAIN_SECONDS)

    assert away.asked == 1


def test_the_log_is_drained_while_the_cache_is_away(db: None, only_ledger: Ledger, away: Away) -> None:
    append(shop_id=SHOP_ID, events=[counted(1)])

    assert drain() == 1
    assert [row[4] for row in ledger_rows()] == [1]


def test_a_broker_that_is_away_holds_up_nobody() -> None:
    began = time.monotonic()
    with (
        app.connection_for_write(f"redis://127.0.0.1:{choose_port()}/0") as nobody,
        pytest.raises(OperationalError, match="refused"),
    ):
        app.send_task("workers.tasks.drain", connection=nobody, retry=False)

    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("task", ["drain", "make_partitions", "tick_clock"])
def test_what_the_log_needs_does_not_wait_behind_an_embedding(task: str) -> None:
    assert app.amqp.router.route({}, f"workers.tasks.{task}")["queue"].name == "projections"

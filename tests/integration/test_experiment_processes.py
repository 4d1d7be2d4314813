"""Experiments among several processes: one start of two, one stop of two, and a process that keeps what runs sees both."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.conf import settings

from eventlog.consume import sequence_and_drain
from eventlog.database import rows
from eventlog.errors import ConcurrentChange
from ranking.experiments import assignment
from ranking.experiments.experiment import Experiment
from ranking.experiments.inputs import experiment_read
from ranking.experiments.services import SurfaceTaken, experiment_start, experiment_stop
from ranking.experiments.watching import experiments_watch
from tests.cast import SHOP_ID, Clock, SmallShop
from tests.experiment_shop import AB, start, visits
from tests.log_cast import database_url, together


@pytest.fixture
def real_shop(real_db: None, clock: Clock) -> SmallShop:
    return SmallShop(clock=clock)


def kinds() -> list[str]:
    found = rows("SELECT type FROM eventlog_event WHERE type LIKE 'ranking.Experiment%' ORDER BY id")
    return [type_.removeprefix("ranking.Experiment") for (type_,) in found]


def test_of_two_who_start_one_on_a_surface_at_once_one_does(real_shop: SmallShop) -> None:
    given = experiment_read(AB)

    results = together(*[lambda: experiment_start(shop_id=SHOP_ID, given=given, now=real_shop.clock.now)] * 4)

    refused = [each for each in results if isinstance(each, ConcurrentChange | SurfaceTaken)]
    assert (kinds(), len(refused)) == (["Started"], 3)


def test_of_those_who_watch_at_once_one_stops_what_does_harm(real_shop: SmallShop) -> None:
    experiment = start(real_shop.clock.now)
    visits(real_shop, experiment, 700, clicks=lambda variant, n: n % (5 if variant == "popular" else 2) == 0)

    results = together(*[lambda: experiments_watch(shop_id=SHOP_ID, now=real_shop.clock.now)] * 3)
    sequence_and_drain()

    assert sum(results) == 1
    assert kinds() == ["Started", "Read", "Stopped"]


_SERVES = """
import django
django.setup()
from ranking.experiments.assignment import running
print("ready", flush=True)
seen = None
while True:
    found = running(1, "home", b"somebody")
    if (found and found.experiment) != seen:
        seen = found and found.experiment
        print(seen, flush=True)
"""


@pytest.fixture
def serving_process(real_shop: SmallShop) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "config.settings"}
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVES], cwd=settings.BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()


def test_a_process_that_serves_sees_a_start_and_a_stop(
    real_shop: SmallShop, serving_process: subprocess.Popen[str]
) -> None:
    assert serving_process.stdout is not None

    experiment = start(real_shop.clock.now)
    assert serving_process.stdout.readline() == f"{experiment.id}\n"
    experiment_stop(shop_id=SHOP_ID, id_=experiment.id, now=real_shop.clock.now)
    sequence_and_drain()

    assert serving_process.stdout.readline() == "None\n"


def test_a_process_asks_what_runs_twice_a_second_and_not_at_each_request(
    real_shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def ask(*, shop_id: int) -> list[Experiment]:
        asked.append(shop_id)
        return []

    monkeypatch.setattr(assignment, "experiments_running", ask)
    monkeypatch.setattr(settings, "FRESHET_MODEL_REFRESH_SECONDS", 3600)
    kept = assignment._Running()

    for _ in range(1000):
        kept.of(SHOP_ID)

    assert asked == [SHOP_ID]

"""A trainer killed at any moment leaves its checkpoint and what serves as one story, and the next run goes on from there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote

import pytest
from django.db import connection

from eventlog.consume import checkpoint_read, sequence_and_drain
from eventlog.database import rows
from eventlog.models import Shop
from ranking.cadence import cadence_read
from ranking.registry import artefact_load, model_serving, model_versions
from ranking.training import clicked_count, consumer, pace_of
from tests.learning_shop import shop_clicks, shop_fill
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 7  # its vectors have other dimensions than those of the other tests' shops, and a table of their own
KILLS = 20
PROJECT = Path(__file__).resolve().parents[2]
A_FEW = 10  # click-throughs more than a version takes
A_VERSION = 100 + A_FEW


@pytest.fixture
def _learning_shop(real_db: None, settings: Any, tmp_path: Path) -> None:
    settings.FRESHET_ENCODER = tiny_encoder_write(tmp_path)
    Shop.objects.create(id=SHOP_ID, name="learning")
    shop_fill(SHOP_ID)


class Trainers:
    """Starts `manage.py train --all` on this test's database, in processes that have everything loaded already."""

    def __init__(self, nursery: subprocess.Popen[str]) -> None:
        self._in, self._out = cast("IO[str]", nursery.stdin), cast("IO[str]", nursery.stdout)
        assert self._out.readline() == "ready\n"

    def start(self) -> int:
        """Start one; return its pid."""
        self._in.write("\n")
        self._in.flush()
        return int(self._out.readline())

    def ended(self) -> int:
        """Wait until it is gone; return its exit status, negative for a signal."""
        return int(self._out.readline())


@pytest.fixture
def trainers(_learning_shop: None, settings: Any) -> Iterator[Trainers]:
    at = connection.settings_dict
    login = f"{quote(at['USER'])}:{quote(at['PASSWORD'])}"
    url = f"postgresql://{login}@{at['HOST']}:{at['PORT']}/{at['NAME']}"
    environment = {**os.environ, "DATABASE_URL": url, "FRESHET_ENCODER": settings.FRESHET_ENCODER, "OMP_NUM_THREADS": "1",
                   "DJANGO_SETTINGS_MODULE": "config.settings", "FRESHET_TRAIN_EVERY": "1", "FRESHET_TENSORBOARD": "",
                   "WANDB_API_KEY": ""}  # fmt: skip
    command = [sys.executable, "-m", "tests.trainer_nursery", str(SHOP_ID)]
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as nursery:  # its end of input ends it
        yield Trainers(nursery)


def assert_one_story() -> None:
    """Every version follows from the one before, the checkpoint ends the last, and one with its bytes there serves."""
    sequence_and_drain()
    trained = sorted((each for each in model_versions(shop_id=SHOP_ID) if each.minor), key=lambda each: each.minor)
    position = 0
    for version in trained:
        assert version.from_position == position
        assert version.state != "candidate"  # the gate's word is committed with the version
        position = version.to_position
    assert checkpoint_read(consumer(SHOP_ID)) == position
    assert [version.minor for version in trained] == list(range(1, len(trained) + 1))
    serving = model_serving(shop_id=SHOP_ID)
    if trained:
        assert serving is not None
    if serving is not None:
        assert artefact_load(serving.artefact)
    serve = rows("SELECT count(*) FROM ranking_modelversion WHERE shop_id = %s AND state = 'serving'", [SHOP_ID])[0][0]
    assert serve == (serving is not None)


@pytest.mark.timeout(900)  # 40 s where nothing else runs
def test_kill_9_at_any_moment_leaves_checkpoint_and_serving_version_consistent(trainers: Trainers) -> None:
    rng = random.Random(5)
    length = seconds_of_a_run(trainers)
    made = [len(model_versions(shop_id=SHOP_ID))]
    killed = 0
    while killed < KILLS:
        after = checkpoint_read(consumer(SHOP_ID))
        wanted = pace_of(cadence_read(shop_id=SHOP_ID), shop_id=SHOP_ID, after=after).wanted + A_FEW
        if (there := clicked_count(shop_id=SHOP_ID, after_position=after)) < wanted:  # so that a run makes one version
            shop_clicks(SHOP_ID, wanted - there, seed=rng.randrange(10**6))
        pid = trainers.start()
        time.sleep(length * rng.random())
        with suppress(ProcessLookupError):  # it was done already: another one is killed for it
            os.kill(pid, signal.SIGKILL)
        died = trainers.ended() == -signal.SIGKILL
        killed += died
        assert_one_story()
        made.append(len(model_versions(shop_id=SHOP_ID)))
        if made[-1] > made[-2]:  # so that some die before their commit and some after, however busy the machine is
            length *= 0.9
        elif died:
            length *= 1.1

    trainers.start()

    assert trainers.ended() == 0
    assert_one_story()
    assert {after - before for before, after in pairwise(made)} >= {0, 1}  # some died before the commit, some after


def seconds_of_a_run(trainers: Trainers) -> float:
    """How long one takes that makes a version, after another that met everything for the first time."""
    for seed in (1, 2):
        shop_clicks(SHOP_ID, A_VERSION, seed=seed)
        started = time.monotonic()
        trainers.start()
        assert trainers.ended() == 0
    return time.monotonic() - started

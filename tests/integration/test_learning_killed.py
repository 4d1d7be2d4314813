"""A trainer killed at any moment leaves its checkpoint and what serves as one story, and the next run goes on from there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection

from eventlog.consume import checkpoint_read, sequence_and_drain
from eventlog.database import rows
from eventlog.models import Shop
from ranking.registry import artefact_load, model_serving, model_versions
from ranking.training import consumer
from tests.learning_shop import shop_clicks, shop_fill
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 7  # its vectors have other dimensions than those of the other tests' shops, and a table of their own
KILLS = 3
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def _learning_shop(real_db: None, settings: Any, tmp_path: Path) -> None:
    settings.FRESHET_ENCODER = tiny_encoder_write(tmp_path)
    Shop.objects.create(id=SHOP_ID, name="learning")
    shop_fill(SHOP_ID)
    shop_clicks(SHOP_ID, 1200, seed=1)


def trainer(encoder: str) -> subprocess.Popen[bytes]:
    """Start `manage.py train --all` on this test's database."""
    at = connection.settings_dict
    login = f"{quote(at['USER'])}:{quote(at['PASSWORD'])}"
    url = f"postgresql://{login}@{at['HOST']}:{at['PORT']}/{at['NAME']}"
    environment = {**os.environ, "DATABASE_URL": url, "FRESHET_ENCODER": encoder, "OMP_NUM_THREADS": "1",
                   "DJANGO_SETTINGS_MODULE": "config.settings", "FRESHET_TRAIN_EVERY": "100"}  # fmt: skip
    command = [sys.executable, "manage.py", "train", "--all", "--shop", str(SHOP_ID)]
    return subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


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
    assert serving is not None
    assert artefact_load(serving.artefact)
    assert (
        rows("SELECT count(*) FROM ranking_modelversion WHERE shop_id = %s AND state = 'serving'", [SHOP_ID])[0][0] == 1
    )


@pytest.mark.usefixtures("_learning_shop")
@pytest.mark.timeout(300)
def test_kill_9_at_any_moment_leaves_checkpoint_and_serving_version_consistent(settings: Any) -> None:
    rng = random.Random(5)
    started = time.monotonic()
    process = trainer(settings.FRESHET_ENCODER)
    while checkpoint_read(consumer(SHOP_ID)) == 0 and process.poll() is None:
        time.sleep(0.05)
    first = time.monotonic() - started  # from here on kills fall between start and the second version
    process.kill()
    process.communicate()
    assert_one_story()

    for _ in range(KILLS - 1):
        process = trainer(settings.FRESHET_ENCODER)
        time.sleep(first * rng.uniform(0.6, 1.2))
        process.kill()
        process.communicate()
        assert_one_story()

    process = trainer(settings.FRESHET_ENCODER)
    _, said = process.communicate()
    assert process.returncode == 0, said.decode()[-2000:]
    assert_one_story()
    assert len(model_versions(shop_id=SHOP_ID)) > 2

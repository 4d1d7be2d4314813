"""A rollout killed in the middle goes on where it was, by the command or by workers, and searches never notice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from catalog.services import products_upsert
from eventlog.consume import sequence_and_drain
from eventlog.database import rows, scalar
from eventlog.models import Shop
from ranking.learning.major_options import MAJOR
from ranking.major_training import major_train
from ranking.policies import shop_embed
from ranking.registry import model_serving
from ranking.serving import SearchRequest, search
from ranking.vector_state import rollout_read
from tests.learning_shop import NOW, QUERIES, shop_clicks, shop_fill
from tests.log_cast import database_url
from tests.tiny_encoder import WORDS, tiny_encoder_write
from workers.celery import app
from workers.tasks import advance_majors, roll_out

SHOP_ID = 7  # its vectors have other dimensions than those of the other tests' shops, and a table of their own
MORE = 3000  # products, so that there is a middle
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def _awaiting(real_db: None, settings: Any, tmp_path: Path) -> None:
    """A large shop whose major version 2.0 is trained and awaited."""
    settings.FRESHET_ENCODER = tiny_encoder_write(tmp_path)
    settings.ARTEFACT_URL = str(tmp_path / "artefacts")
    Shop.objects.create(id=SHOP_ID, name="learning")
    shop_fill(SHOP_ID)
    shop_clicks(SHOP_ID, 150, seed=1)
    more = [
        {"product_id": f"more-{n}", "title": f"{WORDS[n % 7]} {WORDS[7 + n % 5]} {n}", "language": "en"}
        for n in range(MORE)
    ]
    for start in range(0, MORE, 500):
        products_upsert(shop_id=SHOP_ID, items=more[start : start + 500], origin="api", now=NOW)
    sequence_and_drain()
    shop_embed(shop_id=SHOP_ID, now=NOW)
    quick = replace(MAJOR, learning_rate=1e-3, batch=8, epochs=10, most_steps=40, least_overlap=0.0)
    outcome = major_train(shop_id=SHOP_ID, now=NOW, options=quick)
    assert rollout_read(shop_id=SHOP_ID), outcome


def command(encoder: str, artefacts: str) -> subprocess.Popen[str]:
    """Start `manage.py train --major` on this test's database."""
    environment = {
        **os.environ, "DATABASE_URL": database_url(), "FRESHET_ENCODER": encoder, "ARTEFACT_URL": artefacts,
        "OMP_NUM_THREADS": "1", "DJANGO_SETTINGS_MODULE": "config.settings",
    }  # fmt: skip
    given = [sys.executable, "manage.py", "train", "--major", "--shop", str(SHOP_ID)]
    return subprocess.Popen(
        given, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def answered(seen: list[str]) -> None:
    answer = search(SearchRequest(shop_id=SHOP_ID, q=QUERIES[0], now=NOW.timestamp()))
    assert len(answer["items"]) == 20
    seen.append(answer["ranking"]["model"])


@pytest.mark.usefixtures("_awaiting")
@pytest.mark.timeout(600)
def test_kill_9_in_the_middle_of_the_embedding_loses_nothing_and_repeats_nothing(settings: Any) -> None:
    seen: list[str] = []
    process = command(settings.FRESHET_ENCODER, settings.ARTEFACT_URL)
    while (state := rollout_read(shop_id=SHOP_ID)) and state.embedded < 0.2 and process.poll() is None:
        answered(seen)
    process.kill()
    process.communicate()
    sequence_and_drain()
    state = rollout_read(shop_id=SHOP_ID)
    assert state is not None
    assert 0.2 <= state.embedded < 1.0

    process = command(settings.FRESHET_ENCODER, settings.ARTEFACT_URL)
    while process.poll() is None:
        answered(seen)
        time.sleep(0.02)

    said, errors = process.communicate()
    assert process.returncode == 0, errors[-2000:]
    assert "2.0 serves." in said
    answered(seen)
    assert seen == sorted(seen)
    assert set(seen) == {"1.0", "2.0"}
    embedded = """SELECT count(*), count(DISTINCT data::jsonb->>'product_id') FROM eventlog_event
                   WHERE type = %s AND data::jsonb->>'major' = '2'"""
    assert rows(embedded, ["ranking.DescriptionEmbedded"]) == [(MORE + 21, MORE + 21)]


@pytest.mark.usefixtures("_awaiting")
@pytest.mark.timeout(600)
def test_the_workers_tasks_roll_it_out() -> None:
    app.conf.task_always_eager = True
    try:
        for _ in range(50):
            roll_out()
            advance_majors()
            if rollout_read(shop_id=SHOP_ID) is None:
                break
    finally:
        app.conf.task_always_eager = False

    version = model_serving(shop_id=SHOP_ID)
    assert version is not None
    assert version.version == "2.0"
    assert scalar("SELECT count(*) FROM ranking_embedding_7_2") == MORE + 21
    connection.close()

"""Live, daily, frozen; slower while the gate refuses; and what a day of versions forgets."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import torch
from django.core.management import call_command
from structlog.testing import capture_logs

from eventlog.consume import checkpoint_read
from eventlog.rebuild import rebuild
from ranking.cadence import cadence_read, learning_set
from ranking.events import ModelVersionTrained
from ranking.learning.artefact import Artefact, artefact_read, artefact_write
from ranking.learning.candidate import candidate_make
from ranking.learning.options import TrainOptions
from ranking.learning.ranges import Split
from ranking.registry import (
    ModelVersion,
    artefact_hash,
    artefact_load,
    model_promote_new,
    model_refuse_new,
    model_register,
    model_rollback,
    model_served,
    model_serving,
    model_versions,
)
from ranking.relevance import head_default
from ranking.selectors import forgetting
from ranking.towers import encoder_frozen
from ranking.training import LEAST_EVERY, Outcome, consumer, models_drain, range_read, serving_ensured, shop_train
from tests.cast import Api, drain
from tests.learning_shop import NOW, shop_clicks, shop_fill
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
QUICK = TrainOptions(learning_rate=0.01, epochs=10, most_steps=60, least_overlap=0.0)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _learning_shop(db: None, settings: Any, tiny_encoder: str) -> None:
    settings.FRESHET_ENCODER = tiny_encoder
    settings.FRESHET_TRAIN_EVERY = LEAST_EVERY  # 100 click-throughs a version
    shop_fill(SHOP_ID)


def hour(count: float) -> datetime:
    return NOW + timedelta(hours=count)


def learn(*, at: datetime = NOW) -> Outcome | None:
    drain()
    return shop_train(shop_id=SHOP_ID, now=at, options=QUICK)


def versions() -> list[str]:
    return [each.version for each in model_versions(shop_id=SHOP_ID)]


def registered(*, refused: bool, at: int) -> None:
    """Record a version trained on one click-through, and what the gate said of it."""
    parent = serving_ensured(SHOP_ID, NOW)
    version = f"1.{len(versions())}"
    artefact = artefact_write(Artefact(head_default("tiny")))
    trained = ModelVersionTrained(
        version=version, parent=parent.version, encoder=parent.encoder, artefact=artefact_hash(artefact),
        from_position=at - 1, to_position=at, config=parent.config,
    )  # fmt: skip
    model_register(shop_id=SHOP_ID, trained=trained, artefact=artefact, now=NOW)
    decide = model_refuse_new if refused else model_promote_new
    decide(shop_id=SHOP_ID, version=version, reason="of a test", now=NOW)
    models_drain()


def refused(count: int) -> None:
    for n in range(count):
        registered(refused=True, at=n + 1)


# ── live, daily, frozen ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_frozen_shop_makes_no_version_until_it_is_thawed() -> None:
    shop_clicks(SHOP_ID, 200, seed=1)
    learning_set(shop_id=SHOP_ID, learning="frozen", now=NOW)

    assert learn() is None
    learning_set(shop_id=SHOP_ID, learning="live", now=NOW)

    assert learn() is not None


def test_a_daily_shop_makes_one_version_in_24_hours_of_all_that_closed() -> None:
    learning_set(shop_id=SHOP_ID, learning="daily", now=NOW)
    shop_clicks(SHOP_ID, 120, seed=1)
    first = learn(at=hour(0))
    shop_clicks(SHOP_ID, 300, seed=2)

    early = learn(at=hour(23.9))
    second = learn(at=hour(24))

    assert first is not None
    assert early is None
    assert second is not None
    taken = second.metrics["click_throughs"] + second.metrics["gate"]["click_throughs"]
    assert taken > 0.8 * 300
    assert versions() == ["1.2", "1.1", "1.0"]


def test_by_hand_a_frozen_shop_still_makes_a_version() -> None:
    shop_clicks(SHOP_ID, 120, seed=1)
    learning_set(shop_id=SHOP_ID, learning="frozen", now=NOW)
    drain()

    refused_to, made = said("train"), said("train", "--now")

    assert "learning is frozen. --now trains one all the same" in refused_to
    assert "1.1 " in made


def said(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def test_the_command_sets_and_shows_what_is_in_force() -> None:
    before = said("learning")
    said("learning", "daily")
    refused(3)

    assert "live: " in before
    assert "daily: a version a day at most." in said("learning")
    assert "refused 3 versions in a row: 2 times the usual" in said("learning")


def test_what_is_said_twice_is_recorded_once() -> None:
    assert learning_set(shop_id=SHOP_ID, learning="daily", now=NOW) > 0
    assert learning_set(shop_id=SHOP_ID, learning="daily", now=NOW) == 0


# ── slower by itself ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_after_three_refusals_a_version_waits_for_twice_the_click_throughs_and_learns_from_all_of_them() -> None:
    refused(3)
    shop_clicks(SHOP_ID, 150, seed=1)

    too_few = learn()
    shop_clicks(SHOP_ID, 70, seed=2)
    outcome = learn()

    assert too_few is None
    assert outcome is not None
    assert outcome.metrics["click_throughs"] == 2 * LEAST_EVERY


def test_a_promoted_version_brings_the_usual_pace_back() -> None:
    refused(4)
    slowed = cadence_read(shop_id=SHOP_ID)
    registered(refused=False, at=9)

    assert (slowed.refused_in_a_row, slowed.slowdown) == (4, 4)
    assert cadence_read(shop_id=SHOP_ID).slowdown == 1


def test_rolling_back_is_no_reason_to_hurry() -> None:
    registered(refused=False, at=1)
    refused(3)
    model_rollback(shop_id=SHOP_ID, now=NOW)
    models_drain()

    assert cadence_read(shop_id=SHOP_ID).slowdown == 2


def test_the_pace_follows_from_the_log() -> None:
    refused(3)
    learning_set(shop_id=SHOP_ID, learning="daily", now=NOW)
    drain()
    live = cadence_read(shop_id=SHOP_ID)

    rebuild("models")

    assert cadence_read(shop_id=SHOP_ID) == live


def test_slowing_down_is_a_line_in_the_log() -> None:
    shop_clicks(SHOP_ID, 60, seed=1)
    refused(2)
    shop_clicks(SHOP_ID, 200, seed=2, shuffled=True)

    with capture_logs() as lines:
        outcome = learn()

    assert outcome is not None
    assert not outcome.promoted
    assert [line["slowdown"] for line in lines if line["event"] == "learning_slowed"] == [2]


# ── a day of versions, and forgetting ────────────────────────────────────────────────────────────────────────────────


def test_what_served_a_day_ago_is_what_the_drift_is_measured_from(uninvited: Api) -> None:
    shop_clicks(SHOP_ID, 620, seed=1)
    drain()
    first = shop_train(shop_id=SHOP_ID, now=hour(0), every=200, options=QUICK)
    second = shop_train(shop_id=SHOP_ID, now=hour(1), every=100, options=QUICK)
    assert first is not None
    assert second is not None

    served = [model_served(shop_id=SHOP_ID, at=hour(at)) for at in (-1, 0, 0.5)]
    gates = [outcome.metrics["gate"] for outcome in (first, second)]

    assert [each and each.version for each in served] == ["1.0", "1.1", "1.1"]
    assert gates[0]["day_overlap"] == gates[0]["overlap"]  # 1.0 serves, and served a day ago
    assert gates[1]["day_overlap"] < gates[1]["overlap"]
    assert f'freshet_model_day_overlap{{shop="1"}} {newest_overlap()}' in metrics_of(uninvited)


def metrics_of(uninvited: Api) -> str:
    return str(uninvited.get("/metrics").content.decode())


def newest_overlap() -> float:
    serving = model_serving(shop_id=SHOP_ID)
    assert serving is not None
    return float(serving.metrics["gate"]["day_overlap"])


def test_forgetting_is_what_the_figures_on_older_click_throughs_lost() -> None:
    gate = {
        "serving_past": {"mrr": 0.75, "ndcg": None, "log_loss": 0.3},
        "candidate_past": {"mrr": 0.5, "log_loss": 0.1},
    }

    assert forgetting({"gate": gate}) == {"mrr": 0.25}
    assert forgetting({}) is None


def test_an_average_of_versions_is_what_is_judged_and_served() -> None:
    shop_clicks(SHOP_ID, 620, seed=1)
    drain()
    assert shop_train(shop_id=SHOP_ID, now=NOW, every=200, options=QUICK) is not None
    part, parent = next_part()
    frozen = encoder_frozen(parent.config["encoder_name"])

    alone, mean = (
        candidate_make(parent=parent, frozen=frozen, part=part, options=replace(QUICK, average_versions=versions))
        for versions in (1, 2)
    )

    before = artefact_read(artefact_load(parent.artefact)).tensors
    for name, tensor in mean.artefact.tensors.items():
        assert torch.allclose(tensor, (alone.artefact.tensors[name] + before[name]) / 2)
    assert mean.metrics["gate"]["overlap"] > alone.metrics["gate"]["overlap"]  # half as far


def next_part() -> tuple[Split, ModelVersion]:
    part = range_read(shop_id=SHOP_ID, after=checkpoint_read(consumer(SHOP_ID)), every=100)
    assert part is not None
    return part, serving_ensured(SHOP_ID, NOW)

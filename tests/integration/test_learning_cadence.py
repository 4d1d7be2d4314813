"""Live, daily, frozen; slower while the gate refuses; and a version in shadow, judged by what closes later."""

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
from eventlog.database import scalar
from eventlog.errors import ConcurrentChange
from eventlog.rebuild import rebuild
from ranking import shadow
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
    model_get,
    model_in_shadow,
    model_promote,
    model_promote_new,
    model_refuse_new,
    model_register,
    model_rollback,
    model_served,
    model_serving,
    model_shadow_end,
    model_versions,
)
from ranking.relevance import head_default
from ranking.selectors import forgetting, learning_answer
from ranking.shadow import shop_learn
from ranking.towers import Serving, encoder_frozen
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


# ── shadow ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def shadowed(settings: Any) -> ModelVersion:
    """1.1 passed the gate, and waits for 40 click-throughs."""
    settings.FRESHET_SHADOW = 40
    settings.FRESHET_TRAIN_EVERY = 200
    shop_clicks(SHOP_ID, 300, seed=1)
    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=200, options=QUICK)
    assert outcome is not None
    assert not outcome.promoted
    found = model_in_shadow(shop_id=SHOP_ID)
    assert found is not None
    return found


def state(version: str) -> str:
    return model_get(shop_id=SHOP_ID, version=version).state


def test_in_shadow_a_version_is_a_candidate_and_searches_know_nothing_of_it(shadowed: ModelVersion) -> None:
    assert (shadowed.version, shadowed.state) == ("1.1", "candidate")
    assert Serving().model(SHOP_ID).version == "1.0"
    assert learning_answer(shop_id=SHOP_ID)["shadow"] == {"version": "1.1", "closed": 0, "click_throughs": 40}


def test_the_trainer_waits_while_a_version_is_in_shadow(shadowed: ModelVersion, settings: Any) -> None:
    shop_clicks(SHOP_ID, 39, seed=2)
    settings.FRESHET_TRAIN_EVERY = 70  # so that enough has closed

    assert shop_learn(shop_id=SHOP_ID, now=NOW) is None
    assert shop_train(shop_id=SHOP_ID, now=NOW, every=70) is None
    assert versions() == ["1.1", "1.0"]


def test_later_click_throughs_promote_it_with_their_figures(shadowed: ModelVersion) -> None:
    shop_clicks(SHOP_ID, 45, seed=2)

    outcome = shop_learn(shop_id=SHOP_ID, now=NOW)

    assert outcome is not None
    assert outcome.promoted, outcome.reason
    version = model_get(shop_id=SHOP_ID, version="1.1")
    assert version.state == "serving"
    assert version.metrics["shadow"]["click_throughs"] == 40
    assert version.metrics["gate"] == shadowed.metrics["gate"]
    assert model_in_shadow(shop_id=SHOP_ID) is None


def test_later_click_throughs_that_speak_against_it_refuse_it(shadowed: ModelVersion, monkeypatch: Any) -> None:
    worse = artefact_write(Artefact(head_default("tiny")))  # 1.0 with another head: worse than 1.1, which learned
    monkeypatch.setattr("ranking.learning.candidate.artefact_load", turned(shadowed, worse))
    shop_clicks(SHOP_ID, 45, seed=2)

    outcome = shop_learn(shop_id=SHOP_ID, now=NOW)

    assert outcome is not None
    assert outcome.reason.startswith("in shadow: ")
    assert (state("1.1"), state("1.0")) == ("refused", "serving")
    assert cadence_read(shop_id=SHOP_ID).refused_in_a_row == 1


def turned(shadowed: ModelVersion, worse: bytes) -> Any:
    """Give the learned artefact to the version that serves, and one that learned nothing to the one in shadow."""
    return lambda digest: worse if digest == shadowed.artefact else artefact_load(shadowed.artefact)


def test_an_operators_choice_ends_a_shadow(shadowed: ModelVersion) -> None:
    model_promote(shop_id=SHOP_ID, version="1.1", reason="it is good", now=NOW)
    shop_clicks(SHOP_ID, 45, seed=2)

    assert shop_learn(shop_id=SHOP_ID, now=NOW) is None  # too little for the next one
    assert state("1.1") == "serving"
    assert model_get(shop_id=SHOP_ID, version="1.1").reason == "it is good"


def test_two_trainers_end_a_shadow_once(shadowed: ModelVersion) -> None:
    end = {"shop_id": SHOP_ID, "version": "1.1", "refused": False, "reason": "fine", "figures": {}, "now": NOW}
    model_shadow_end(**end)  # type: ignore[arg-type]

    with pytest.raises(ConcurrentChange):
        model_shadow_end(**end)  # type: ignore[arg-type]


def test_a_trainer_that_dies_before_the_end_of_a_shadow_leaves_it_to_the_next(
    shadowed: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop_clicks(SHOP_ID, 45, seed=2)
    before = scalar("SELECT count(*) FROM eventlog_event")

    def died(**given: Any) -> None:
        raise ConnectionError("the database went away")

    monkeypatch.setattr(shadow, "model_shadow_end", died)
    with pytest.raises(ConnectionError):
        shop_learn(shop_id=SHOP_ID, now=NOW)
    monkeypatch.undo()

    assert scalar("SELECT count(*) FROM eventlog_event") == before
    assert model_in_shadow(shop_id=SHOP_ID) == shadowed


def test_a_frozen_shop_leaves_a_version_in_its_shadow(shadowed: ModelVersion) -> None:
    learning_set(shop_id=SHOP_ID, learning="frozen", now=NOW)
    shop_clicks(SHOP_ID, 45, seed=2)

    assert shop_learn(shop_id=SHOP_ID, now=NOW) is None
    assert model_in_shadow(shop_id=SHOP_ID) == shadowed


def test_a_rebuild_finds_the_shadow_again(shadowed: ModelVersion) -> None:
    rebuild("models")

    assert model_in_shadow(shop_id=SHOP_ID) == shadowed
    serving = model_serving(shop_id=SHOP_ID)
    assert serving is not None
    assert serving.version == "1.0"


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

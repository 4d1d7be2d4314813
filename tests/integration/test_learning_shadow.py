"""A version in shadow, judged by what closes later."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog.database import scalar
from eventlog.errors import ConcurrentChange
from eventlog.rebuild import rebuild
from ranking import shadow
from ranking.cadence import cadence_read, learning_set
from ranking.learning.artefact import Artefact, artefact_write
from ranking.learning.options import TrainOptions
from ranking.registry import (
    ModelVersion,
    artefact_load,
    model_get,
    model_in_shadow,
    model_promote,
    model_serving,
    model_shadow_end,
    model_versions,
)
from ranking.relevance import head_default
from ranking.selectors import learning_answer
from ranking.shadow import shop_learn
from ranking.towers import Serving
from ranking.training import shop_train
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
    shop_fill(SHOP_ID)


def versions() -> list[str]:
    return [each.version for each in model_versions(shop_id=SHOP_ID)]


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

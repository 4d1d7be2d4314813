"""A major version from click-throughs: trained in one process or two, judged against what serves, registered or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from feedback.erasure import shopper_erase
from ranking.artefacts import towers_load, towers_stored
from ranking.learning.major_options import MAJOR
from ranking.major_training import MajorUnderWay, TooLittleToLearn, major_train
from ranking.registry import (
    ModelVersionRefusedToServe,
    model_awaited,
    model_get,
    model_promote,
    model_serving,
    model_versions,
)
from ranking.rollout import rollout_advance, rollout_embed
from ranking.selectors import models_answer
from ranking.training import Outcome
from tests.cast import drain
from tests.learning_shop import NOW, shop_clicks, shop_fill, shop_visits
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
LONG = 600.0  # seconds: what a step does does not depend on how busy the machine is
QUICK = replace(MAJOR, learning_rate=1e-3, batch=8, epochs=10, most_steps=40, least_overlap=0.0)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _learning_shop(db: None, settings: Any, tiny_encoder: str, tmp_path: Path) -> None:
    settings.FRESHET_ENCODER = tiny_encoder
    settings.ARTEFACT_URL = str(tmp_path / "artefacts")
    shop_fill(SHOP_ID)


def train(**more: Any) -> Outcome:
    outcome = major_train(shop_id=SHOP_ID, now=NOW, options=more.pop("options", QUICK), **more)
    assert outcome is not None
    return outcome


def test_clicks_make_a_better_major_version_which_is_a_candidate_with_its_towers() -> None:
    shop_clicks(SHOP_ID, 300, seed=1)

    outcome = train()

    figures, version = outcome.metrics["gate"], model_get(shop_id=SHOP_ID, version="2.0")
    assert version.state == "candidate", version.reason
    assert figures["candidate"]["mrr"] > figures["serving"]["mrr"] + 0.1
    assert model_awaited(shop_id=SHOP_ID) == version
    assert version.config["encoder_name"] == f"towers:{version.encoder}"
    assert towers_load(version.encoder)
    serving = model_serving(shop_id=SHOP_ID)
    assert serving is not None
    assert (serving.version, version.parent) == ("1.0", "1.0")


def test_impressions_calibrate_its_head() -> None:
    shop_visits(SHOP_ID, 300, seed=2)

    figures = train().metrics["gate"]

    assert figures["candidate"]["accuracy"] > figures["serving"]["accuracy"] + 0.01
    assert figures["candidate"]["log_loss"] < figures["serving"]["log_loss"]


def test_the_same_click_throughs_make_the_same_towers_whatever_came_before() -> None:
    shop_clicks(SHOP_ID, 150, seed=1)
    few = replace(QUICK, most_steps=4)
    train(options=few)
    model_promote(shop_id=SHOP_ID, version="1.0", reason="given up", now=NOW)
    drain()
    train(options=few)

    one, two = (model_get(shop_id=SHOP_ID, version=version) for version in ("2.0", "3.0"))
    assert (one.encoder, one.artefact) == (two.encoder, two.artefact)


def test_shuffled_clicks_are_refused_and_leave_no_file() -> None:
    shop_clicks(SHOP_ID, 200, seed=4, shuffled=True)

    outcome = train()

    version = model_get(shop_id=SHOP_ID, version="2.0")
    assert version.state == "refused"
    assert version.reason == outcome.reason
    assert list(towers_stored()) == []
    assert model_awaited(shop_id=SHOP_ID) is None


def test_too_little_feedback_trains_nothing_and_says_how_much_there_is() -> None:
    shop_clicks(SHOP_ID, 30, seed=1)

    with pytest.raises(TooLittleToLearn, match="30 click-throughs"):
        train()


def test_one_major_version_is_rolled_out_at_a_time() -> None:
    shop_clicks(SHOP_ID, 150, seed=1)
    train()

    with pytest.raises(MajorUnderWay, match=r"2\.0 is being rolled out"):
        train()


def test_a_major_version_trained_without_an_erased_shopper_takes_the_others_out() -> None:
    shop_clicks(SHOP_ID, 250, seed=1)
    train()
    rollout_embed(shop_id=SHOP_ID, now=NOW, seconds=LONG)
    assert rollout_advance(shop_id=SHOP_ID, now=NOW, seconds=LONG)
    shopper_erase(shop_id=SHOP_ID, shopper_id="shopper-7", now=NOW)
    drain()

    train(without_erased=True)
    rollout_embed(shop_id=SHOP_ID, now=NOW, seconds=LONG)
    assert rollout_advance(shop_id=SHOP_ID, now=NOW, seconds=LONG)

    erased = {each["version"]: each["erased"] for each in models_answer(shop_id=SHOP_ID)["versions"]}
    states = {each.version: each.state for each in model_versions(shop_id=SHOP_ID)}
    assert erased == {"1.0": 0, "2.0": 4, "3.0": 0}
    assert states == {"1.0": "retired", "2.0": "refused", "3.0": "serving"}
    assert model_get(shop_id=SHOP_ID, version="3.0").parent == "1.0"
    with pytest.raises(ModelVersionRefusedToServe, match="erased"):
        model_promote(shop_id=SHOP_ID, version="2.0", reason="in spite of it", now=NOW)

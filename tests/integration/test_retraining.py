"""What learned from a shopper who was erased is replaced by a version that did not, and cannot serve any more."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog.consume import checkpoint_read
from feedback.erasure import shopper_erase
from ranking.learning.options import TrainOptions
from ranking.registry import (
    ModelVersionRefusedToServe,
    model_get,
    model_promote,
    model_rollback,
    model_serving,
    model_versions,
)
from ranking.retraining import NothingToRetrain, TooLittleLeft, retrain_without_erased, touched_read
from ranking.selectors import models_answer
from ranking.training import consumer, shop_train
from tests.cast import drain
from tests.learning_shop import NOW, shop_clicks, shop_fill
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
QUICK = TrainOptions(learning_rate=0.01, epochs=10, most_steps=40, least_overlap=0.0)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def _learned(db: None, settings: Any, tiny_encoder: str) -> None:
    """1.1 and 1.2 learned from clicks of 50 shoppers."""
    settings.FRESHET_ENCODER = tiny_encoder
    shop_fill(SHOP_ID)
    shop_clicks(SHOP_ID, 350, seed=1)
    for _ in range(2):
        outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=140, options=QUICK)
        assert outcome is not None
    if model_serving(shop_id=SHOP_ID) != model_get(shop_id=SHOP_ID, version="1.2"):
        model_promote(shop_id=SHOP_ID, version="1.2", reason="the newest", now=NOW)
        drain()


def erase(shopper: str) -> None:
    shopper_erase(shop_id=SHOP_ID, shopper_id=shopper, now=NOW)
    drain()


@pytest.mark.usefixtures("_learned")
def test_a_line_trained_without_them_replaces_what_learned_from_erased_shoppers() -> None:
    erase("shopper-7")
    touched = touched_read(shop_id=SHOP_ID, now=NOW)
    assert [each.version for each in touched.line] == ["1.1", "1.2"]

    outcome = retrain_without_erased(shop_id=SHOP_ID, now=NOW, options=QUICK)

    assert outcome is not None
    assert outcome.promoted, outcome.reason
    version = model_get(shop_id=SHOP_ID, version="1.3")
    assert (version.state, version.parent, version.from_position) == ("serving", "1.0", 0)
    assert version.metrics["left_out"] > 0
    assert checkpoint_read(consumer(SHOP_ID)) == version.to_position
    erased = {each["version"]: each["erased"] for each in models_answer(shop_id=SHOP_ID)["versions"]}
    assert erased["1.3"] == 0 < erased["1.1"]


@pytest.mark.usefixtures("_learned")
def test_what_was_replaced_can_neither_be_promoted_nor_rolled_back_to() -> None:
    erase("shopper-7")
    retrain_without_erased(shop_id=SHOP_ID, now=NOW, options=QUICK)

    assert {each.version: each.state for each in model_versions(shop_id=SHOP_ID)} == {
        "1.0": "retired", "1.1": "refused", "1.2": "refused", "1.3": "serving",
    }  # fmt: skip
    with pytest.raises(ModelVersionRefusedToServe, match="were erased"):
        model_promote(shop_id=SHOP_ID, version="1.2", reason="in spite of it", now=NOW)
    assert model_rollback(shop_id=SHOP_ID, now=NOW) == "1.0"


@pytest.mark.usefixtures("_learned")
def test_nothing_is_trained_when_nobody_was_erased_or_nothing_learned_from_them() -> None:
    with pytest.raises(NothingToRetrain, match=r"1\.2 serves"):
        retrain_without_erased(shop_id=SHOP_ID, now=NOW)
    erase("shopper-of-another-shop")
    with pytest.raises(NothingToRetrain):
        retrain_without_erased(shop_id=SHOP_ID, now=NOW)
    assert len(model_versions(shop_id=SHOP_ID)) == 3


@pytest.mark.usefixtures("_learned")
def test_when_nearly_everybody_was_erased_it_says_how_little_is_left() -> None:
    for n in range(45):
        shopper_erase(shop_id=SHOP_ID, shopper_id=f"shopper-{n}", now=NOW)
    drain()

    with pytest.raises(TooLittleLeft, match="click-throughs with an outcome are left"):
        retrain_without_erased(shop_id=SHOP_ID, now=NOW)

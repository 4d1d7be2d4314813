"""A line keeps its kind of adapter; whatever else trains in a shop whose versions are projections copes with that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from eventlog.consume import checkpoint_read, sequence_and_drain
from feedback.selectors import closed_click_throughs
from ranking import supervised
from ranking.judgements import judgements_record
from ranking.learning import gate
from ranking.learning.artefact import artefact_read, artefact_write
from ranking.learning.candidate import candidate_make
from ranking.learning.folds import FOLDS, fold_of
from ranking.learning.major_job import MajorJob, towers_start
from ranking.learning.major_lesson import lesson_make
from ranking.learning.major_options import MAJOR
from ranking.learning.options import DEFAULTS, TrainOptions
from ranking.learning.shadow import shadow_verdict
from ranking.learning.unasked import is_kept
from ranking.privacy import Privacy, privacy_set
from ranking.registry import ModelVersion, artefact_load, model_get, model_serving
from ranking.supervised import NothingToPretrain, supervised_train
from ranking.towers import encoder_frozen
from ranking.train_options import line_options, train_options_set
from ranking.training import consumer, range_read, shop_train
from tests.learning_shop import NOW, QUERIES, shop_clicks, shop_fill, wish
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
EVERY = 67  # 101 click-throughs a version
SOON = replace(DEFAULTS, most_steps=20)  # as by default, six times a version


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def _shop(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch, tiny_encoder: str) -> None:
    """Its gate lets everything pass: what is trained matters here, not how well."""
    monkeypatch.setattr(gate, "CRITERIA", ())
    settings.FRESHET_ENCODER = tiny_encoder
    shop_fill(SHOP_ID)
    shop_clicks(SHOP_ID, 420, seed=1)


@pytest.fixture
def projected(_shop: None) -> ModelVersion:
    """Serves, and has a projection."""
    return version_of(SOON)


def version_of(options: TrainOptions) -> ModelVersion:
    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=EVERY, options=options)
    assert outcome is not None
    found = model_serving(shop_id=SHOP_ID)
    assert found is not None
    assert found.version == outcome.version
    return found


def kind_of(version: ModelVersion) -> str:
    return str(artefact_read(artefact_load(version.artefact)).adapter["kind"])


def test_the_same_range_gives_the_same_bytes_by_the_defaults(projected: ModelVersion) -> None:
    part = range_read(shop_id=SHOP_ID, after=checkpoint_read(consumer(SHOP_ID)), every=EVERY)
    assert part is not None
    frozen = encoder_frozen(projected.config["encoder_name"])
    first, again = (
        artefact_write(candidate_make(parent=projected, frozen=frozen, part=part, options=SOON).artefact)
        for _ in range(2)
    )

    assert first == again
    assert first != artefact_load(projected.artefact)


def test_what_shoppers_click_for_the_queries_of_a_fold_changes_nothing_in_its_version(projected: ModelVersion) -> None:
    part = range_read(shop_id=SHOP_ID, after=checkpoint_read(consumer(SHOP_ID)), every=EVERY)
    assert part is not None
    others = [each for each in part.train if fold_of(SHOP_ID, each.context_key or "") != 2]
    frozen, options = encoder_frozen(projected.config["encoder_name"]), replace(SOON, replay=0.0)
    every, without = (
        candidate_make(parent=projected, frozen=frozen, part=each, options=options).artefact
        for each in (part, replace(part, train=others))
    )

    alike = [
        torch.equal(every.folds[n]["projection.shift"], without.folds[n]["projection.shift"]) for n in range(FOLDS)
    ]
    assert alike == [n == 2 for n in range(FOLDS)]
    assert not torch.equal(every.tensors["projection.shift"], without.tensors["projection.shift"])


def test_a_private_version_after_a_projection_learns_in_the_private_form(projected: ModelVersion) -> None:
    train_options_set(shop_id=SHOP_ID, options={"private_steps": 3, "noise_clip": 0.5}, reason="a test", now=NOW)
    privacy_set(shop_id=SHOP_ID, privacy=Privacy(4.0, 1e-6, 8.0), now=NOW)
    sequence_and_drain()

    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=EVERY)

    assert outcome is not None
    version = model_get(shop_id=SHOP_ID, version=outcome.version)
    assert kind_of(projected) == "projection"
    assert kind_of(version) == "lora"
    assert outcome.metrics["noise"]["steps"] == 3
    assert (
        version.config["options"] | {"private_steps": 3, "noise_clip": 0.5, "ema": 0.9, "pooled": False}
        == version.config["options"]
    )


@pytest.mark.usefixtures("_shop")
def test_a_line_of_lora_is_trained_with_the_defaults_of_lora() -> None:
    parent = version_of(TrainOptions(learning_rate=0.01))

    assert line_options(parent) == TrainOptions()
    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=EVERY)

    assert outcome is not None
    version = model_get(shop_id=SHOP_ID, version=outcome.version)
    assert kind_of(version) == "lora"
    assert version.config["options"]["pooled"] is False


def test_a_major_version_starts_without_the_projection(projected: ModelVersion) -> None:
    job = MajorJob(projected.config["encoder_name"], artefact_load(projected.artefact), 20.0, [], MAJOR, 1)
    query, _ = towers_start(job)

    plain = encoder_frozen(projected.config["encoder_name"])
    assert query.projection is None
    assert np.array_equal(query.encode_query(QUERIES[0]), plain.encode_query(QUERIES[0]))


@pytest.mark.usefixtures("_shop")
def test_a_major_version_is_not_taught_by_queries_that_judge() -> None:
    end = checkpoint_read("click_throughs")
    closed = closed_click_throughs(shop_id=SHOP_ID, after_position=0, to_position=end)
    lesson = lesson_make(closed, [], position=end, seen_to=0, shop_id=SHOP_ID, options=MAJOR)

    assert any(is_kept(SHOP_ID, each.context_key or "") for each in closed)
    assert lesson.train
    assert not any(is_kept(SHOP_ID, each.context_key or "") for each in lesson.train)


def test_pretraining_what_a_projection_leaves_as_it_is_is_refused(projected: ModelVersion) -> None:
    with pytest.raises(NothingToPretrain, match=projected.version):
        supervised_train(shop_id=SHOP_ID, now=NOW, pretrain=True)


def test_judgements_teach_a_projection_as_well(projected: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "LEAST_QUERIES", 5)  # of this small shop's queries 7 judge
    items = [{"query": query, "product_id": wish(query), "rating": 3} for query in QUERIES]
    judgements_record(shop_id=SHOP_ID, items=items, now=NOW)
    sequence_and_drain()

    outcome = supervised_train(shop_id=SHOP_ID, now=NOW)

    assert outcome is not None
    assert kind_of(model_get(shop_id=SHOP_ID, version=outcome.version)) == "projection"


def test_the_shadow_judges_a_projection_by_its_folds_too(projected: ModelVersion) -> None:
    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=EVERY, options=replace(SOON, least_overlap=0.0))
    assert outcome is not None
    end = checkpoint_read("click_throughs")
    closed = closed_click_throughs(shop_id=SHOP_ID, after_position=0, to_position=end)[-60:]
    shadow = model_get(shop_id=SHOP_ID, version=outcome.version)

    verdict = shadow_verdict(
        serving=projected,
        shadow=shadow,
        frozen=encoder_frozen(projected.config["encoder_name"]),
        closed=closed,
        position=end,
    )

    assert verdict.figures["fold_queries"] > 15
    assert verdict.figures["serving_folds"] != verdict.figures["candidate_folds"]
    assert verdict.figures["unasked_click_throughs"] == 0


@pytest.mark.usefixtures("_shop")
def test_a_line_of_lora_is_judged_by_queries_that_never_teach() -> None:
    version = version_of(TrainOptions(learning_rate=0.01))

    assert artefact_read(artefact_load(version.artefact)).folds == ()
    assert version.metrics["kept"] > 0
    assert version.metrics["gate"]["unasked_click_throughs"] >= 20
    assert version.metrics["gate"]["fold_queries"] == 0

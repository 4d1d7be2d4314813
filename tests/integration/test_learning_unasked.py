"""Queries that teach nothing judge a version by what searches would answer if nobody had asked them before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eventlog.consume import checkpoint_read
from ranking.learning import gate
from ranking.learning.catalogue import CatalogueAt, catalogue_at
from ranking.learning.evaluate import Ranker, remember
from ranking.learning.options import DEFAULTS
from ranking.learning.unasked import is_kept, surroundings_read, teaching, unasked_mrr, unasked_read
from ranking.registry import model_serving
from ranking.serving import SearchRequest, search
from ranking.towers import Serving, encoder_frozen, query_vectors, serving
from ranking.training import shop_train
from tests.learning_shop import NOW, PRODUCTS, QUERIES, shop_clicks, shop_fill, shop_visits, wish
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
SOON = replace(DEFAULTS, most_steps=20)  # as by default, six times a version
KEPT = [query for query in QUERIES if is_kept(SHOP_ID, query)]


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _learning_shop(db: None, settings: Any, tiny_encoder: str) -> None:
    settings.FRESHET_ENCODER = tiny_encoder
    shop_fill(SHOP_ID)


def products() -> CatalogueAt:
    return catalogue_at(shop_id=SHOP_ID, position=2**62, major=1, named=PRODUCTS, pool=0, seed=1)


def frozen_ranker() -> Ranker:
    model = serving.model(SHOP_ID)
    return Ranker(remember(model.tower.encode_query), model.head)


def test_about_one_query_in_seven_is_kept_and_always_the_same_ones() -> None:
    kept = [n for n in range(7000) if is_kept(SHOP_ID, f"query {n}")]

    assert 900 < len(kept) < 1100
    assert kept == [n for n in range(7000) if is_kept(SHOP_ID, f"query {n}")]
    assert 0 < len(KEPT) < len(QUERIES) / 2


def test_kept_queries_judge_and_do_not_teach() -> None:
    shop_clicks(SHOP_ID, 300, seed=1)
    closed = unasked_read(shop_id=SHOP_ID, to_position=checkpoint_read("click_throughs"))

    assert {each.context_key for each in closed} == set(KEPT)
    assert teaching(closed, shop_id=SHOP_ID) == []


def test_near_contexts_and_popularity_count_and_own_clicks_do_not() -> None:
    shop_clicks(SHOP_ID, 300, seed=1)
    closed = unasked_read(shop_id=SHOP_ID, to_position=checkpoint_read("click_throughs"))
    at = products()
    around = surroundings_read(shop_id=SHOP_ID, keys=KEPT, catalogue=at, now=NOW.timestamp())

    evidence = around.evidence(KEPT[0], np.ones(len(PRODUCTS)))
    assert evidence.product_breadth.sum() > 0
    assert not evidence.context_reward.any()
    own = surroundings_read(shop_id=SHOP_ID, keys=[KEPT[0]], catalogue=at, now=NOW.timestamp()).own[KEPT[0]]
    wanted = at.rows[wish(KEPT[0])]
    assert around.product_breadth[wanted] > evidence.product_breadth[wanted] > 0
    assert own[0].tolist() == [wanted]
    found = unasked_mrr(frozen_ranker(), closed, catalogue=at, around=around, lifts={})
    first = [search(SearchRequest(shop_id=SHOP_ID, q=query, now=NOW.timestamp()))["items"][0] for query in KEPT]
    assert [item["product_id"] for item in first] == [wish(query) for query in KEPT]  # by their own clicks
    assert found.mean() < 0.9  # without them, some do not find what all wish for


def test_a_version_trained_by_the_defaults_is_taught_by_all_queries_and_judged_by_its_folds() -> None:
    shop_visits(SHOP_ID, 300, seed=2)
    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=200, options=SOON)

    assert outcome is not None
    figures = outcome.metrics["gate"]
    assert outcome.metrics["kept"] == 0
    assert figures["unasked_click_throughs"] == 0
    assert figures["fold_queries"] == len(QUERIES)
    assert 0 < figures["serving_folds"] != figures["candidate_folds"] > 0
    assert outcome.promoted <= (figures["candidate_folds"] > figures["serving_folds"])


def test_promoting_a_projection_encodes_no_query_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shop_visits(SHOP_ID, 300, seed=2)
    asked = Serving()
    before = query_vectors.get(asked.model(SHOP_ID), KEPT[0])
    monkeypatch.setattr(gate, "CRITERIA", ())
    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=200, options=SOON)
    assert outcome is not None

    model = Serving().model(SHOP_ID)
    monkeypatch.setattr(model.frozen, "encode_query", lambda text: pytest.fail("encoded again"))
    after = query_vectors.get(model, KEPT[0])

    served = model_serving(shop_id=SHOP_ID)
    assert served is not None
    assert served.version == "1.1"
    assert np.abs(after - before).max() > 1e-3
    assert np.abs(after - model.tower.projected(before)).max() == 0.0
    assert encoder_frozen(served.config["encoder_name"]).projection is None
    assert wish(KEPT[0]) in PRODUCTS

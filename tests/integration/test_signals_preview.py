"""What a change of signals would have done: counted as the shop counts, each search with what came before it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from eventlog.database import scalar
from eventlog.selectors import last_position, read_types
from feedback.contexts import query_context
from ranking.events import ExaminationEstimated
from ranking.learning.catalogue import CatalogueAt, catalogue_at
from ranking.learning.evaluate import Ranker
from ranking.policies import shop_embed
from ranking.previewing.preview import Preview, preview
from ranking.previewing.reading import NothingToPreview, asked_read, near_read
from ranking.previewing.side import Side
from ranking.previewing.walk import average_precision_at_k
from ranking.projections.weight_refill import FEEDBACK
from ranking.projections.weights import weights
from ranking.serving import SearchRequest, rank
from ranking.signal_setting import signals_checked, signals_set
from ranking.signals import options_of, signals_now, signals_of
from ranking.towers import query_vectors, serving
from ranking.weights.options import DEFAULTS, WeightOptions
from tests.cast import drain
from tests.integration.test_ranking_rebuild import content
from tests.learning_shop import NOW, PRODUCTS, QUERIES, shop_clicks, shop_fill, shop_visits
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
LATER = NOW + timedelta(hours=3)
OTHER = {"click": 0.5, "pseudo_count": 2.0, "context_half_life_seconds": 3600.0, "breadth_half_life_seconds": 600.0}


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _shop(db: None, settings: Any, tiny_encoder: str) -> None:
    settings.FRESHET_ENCODER = tiny_encoder
    shop_fill(SHOP_ID)


@pytest.fixture
def busy() -> None:
    """A shop with clicks, visits, and near contexts."""
    shop_clicks(SHOP_ID, 60, seed=1)
    shop_visits(SHOP_ID, 60, seed=2)
    shop_embed(shop_id=SHOP_ID, now=NOW)
    drain()


def table(**signals: float) -> dict[str, float]:
    return signals_checked(signals, over=signals_of(DEFAULTS))


def previewed(after: dict[str, float], **more: Any) -> Preview:
    asked: dict[str, Any] = {
        "shop_id": SHOP_ID,
        "before": table(),
        "after": after,
        "from_at": NOW - timedelta(days=1),
        "to_at": LATER,
    }
    return preview(**(asked | more))


def products() -> CatalogueAt:
    return catalogue_at(shop_id=SHOP_ID, position=2**62, major=1, named=PRODUCTS, pool=0, seed=1)


def side(options: WeightOptions, *, position: int) -> Side:
    found = Side(options, shop_id=SHOP_ID, row_of=products().rows, documents=len(PRODUCTS), curve=())
    found.begin(position=position, keys=QUERIES)
    return found


def scored(of: Side, query: str) -> dict[str, float]:
    catalogue, model = products(), serving.model(SHOP_ID)
    y = Ranker(lambda text: query_vectors.get(model, text), model.head).relevance(query, catalogue)
    near = near_read(SHOP_ID, [query], model).get(query, [])
    scores = of.score(key=query, near=near, relevance=y, expected=np.ones(len(PRODUCTS)), now=LATER.timestamp())
    return dict(zip(catalogue.product_ids, scores.tolist(), strict=True))


def searched(query: str) -> dict[str, float]:
    model = serving.model(SHOP_ID)
    request = SearchRequest(shop_id=SHOP_ID, q=query, now=LATER.timestamp())
    ranked = rank(request, query_context(query), model, query_vectors.get(model, query))
    return dict(zip(ranked.candidates.product_ids, ranked.scores.score.tolist(), strict=True))


@pytest.mark.parametrize("signals", [{}, OTHER])
def test_a_preview_counts_as_a_search_would(busy: None, signals: dict[str, float]) -> None:
    signals_set(shop_id=SHOP_ID, signals=signals, forced_because="a test", now=NOW)
    drain()
    now = side(signals_now(shop_id=SHOP_ID), position=last_position())

    assert near_read(SHOP_ID, QUERIES, serving.model(SHOP_ID))
    for query in QUERIES[:6]:
        assert scored(now, query) == pytest.approx(searched(query), rel=1e-4)


@pytest.mark.parametrize("signals", [{}, OTHER])
def test_it_comes_to_the_same_from_any_position_on(busy: None, signals: dict[str, float]) -> None:
    options, last = options_of(table(**signals)), last_position()
    walked, at_once = side(options, position=last // 2), side(options, position=last)

    for event in read_types(types=FEEDBACK | {ExaminationEstimated.type}, after=last // 2, to=last, shop_id=SHOP_ID):
        walked.add(event)

    assert scored(walked, QUERIES[3]) == pytest.approx(scored(at_once, QUERIES[3]), rel=1e-9)
    assert walked.shop_breadth.reward == pytest.approx(at_once.shop_breadth.reward)


def test_the_same_table_changes_nothing(busy: None) -> None:
    found = previewed(table())

    assert found.mrr.difference == found.map_at_5.difference == 0.0
    assert found.overlap == 1.0
    assert 0.0 < found.mrr.serving < 1.0


def test_a_table_that_learns_nothing_is_seen_to_lose() -> None:
    shop_clicks(SHOP_ID, 300, seed=1)

    found = previewed(
        table(pseudo_count=1e6, recent_pseudo_count=1e6, global_pseudo_count=1e6, breadth_pseudo_count=1e6)
    )

    assert found.mrr.difference < found.mrr.high < 0.0
    assert found.map_at_5.candidate < found.map_at_5.serving
    assert found.moved[0].overlap == min(each.overlap for each in found.moved) < 1.0


def test_the_first_search_of_all_knows_nothing() -> None:
    shop_clicks(SHOP_ID, 1, seed=1)

    found = previewed(table(click=1000.0))

    assert found.click_throughs == 1
    assert found.mrr.difference == 0.0
    assert found.moved[0].overlap == 1.0  # nor at the end: what it led to came after it


def test_only_the_newest_of_a_range_are_asked(busy: None) -> None:
    asked = asked_read(shop_id=SHOP_ID, from_at=NOW - timedelta(days=1), to_at=LATER, limit=10_000)
    found = previewed(table(), click_throughs=20)

    assert [each.position for each in asked] == sorted(each.position for each in asked)
    assert found.from_position > asked[0].position
    assert found.click_throughs == 20


def test_a_range_without_outcomes_has_no_preview(busy: None) -> None:
    with pytest.raises(NothingToPreview):
        previewed(table(), to_at=NOW - timedelta(hours=1))


def test_it_writes_nothing(busy: None) -> None:
    before, appended = content(weights), scalar("SELECT count(*) FROM eventlog_event")

    previewed(table(click=3.0))

    assert content(weights) == before
    assert scalar("SELECT count(*) FROM eventlog_event") == appended


def test_average_precision_is_of_the_first_five() -> None:
    scores, wanted = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.5]), np.array([False, True, False, True, False, True])

    assert average_precision_at_k(scores, wanted, k=5) == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert average_precision_at_k(scores, np.zeros(6, dtype=bool), k=5) == 0.0

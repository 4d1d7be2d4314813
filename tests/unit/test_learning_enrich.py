"""What is added to examples: nearest products that nobody saw, and products that belong to those that were wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from ranking.learning.catalogue import CatalogueAt, Floats
from ranking.learning.enrich import enriched, related_rows
from ranking.learning.examples import Example
from ranking.learning.options import TrainOptions

NAMES = ["phone", "phone case", "red phone", "mug", "tea pot"]
ANGLES = [0.0, 0.1, 0.2, 1.0, 1.2]  # of their vectors: the smaller the nearer to the query


def content(*relations: tuple[str, str]) -> str:
    return orjson.dumps({"relations": [{"kind": kind, "product_id": other} for kind, other in relations]}).decode()


@pytest.fixture
def catalogue() -> CatalogueAt:
    vectors = np.array([[np.cos(angle), np.sin(angle)] for angle in ANGLES], dtype=np.float32)
    contents = [content(), content(("accessory_of", "phone")), content(("variant_of", "phone"), ("variant_of", "gone")),
                content(), "{}"]  # fmt: skip
    return CatalogueAt(NAMES, vectors, contents, ("en",), 5, 2.0, 1, 1)


def encode(text: str) -> Floats:
    return np.array([1.0, 0.0], dtype=np.float32)


def example(*, shown: bool = True) -> Example:
    """The phone was clicked, the mug passed over."""
    gains, weights = np.array([2.0, 0.0], dtype=np.float32), np.ones(2, dtype=np.float32)
    return Example(1, "phone", "phone", np.array([0, 3]), gains, weights, shown)


def rows_of(found: Example) -> list[tuple[int, float, float]]:
    return [tuple(each) for each in zip(found.products, found.gains, found.weights, strict=True)]  # type: ignore[misc]


def enrich(catalogue: CatalogueAt, given: Example, clicked: set[int] | None = None, **options: Any) -> Example:
    (found,) = enriched(
        [given], catalogue=catalogue, encode=encode, options=replace(TrainOptions(), **options),
        clicked_for={"phone": clicked or {0}},
    )  # fmt: skip
    return found


def test_relations_go_both_ways_and_only_to_what_is_there(catalogue: CatalogueAt) -> None:
    assert related_rows(catalogue) == {0: [1, 2], 1: [0], 2: [0]}


def test_related_products_gain_as_much_at_a_small_weight(catalogue: CatalogueAt) -> None:
    found = enrich(catalogue, example(), relation_weight=0.25, shown_hard_negatives=0)

    assert rows_of(found)[2:] == [(1, 2.0, 0.25), (2, 2.0, 0.25)]


def test_nearest_products_that_were_not_shown_are_negatives(catalogue: CatalogueAt) -> None:
    found = enrich(catalogue, example(), relation_weight=0, shown_hard_negatives=2, shown_hard_weight=0.5)

    assert rows_of(found)[2:] == [(1, 0.0, 0.5), (2, 0.0, 0.5)]


def test_what_was_clicked_for_the_query_elsewhere_is_neither(catalogue: CatalogueAt) -> None:
    found = enrich(catalogue, example(), {0, 1}, relation_weight=0.25, shown_hard_negatives=9, shown_hard_weight=0.5)

    assert rows_of(found)[2:] == [(2, 2.0, 0.25), (4, 0.0, 0.5)]


def test_an_implied_example_has_its_hard_negatives_already(catalogue: CatalogueAt) -> None:
    given = example(shown=False)

    assert enrich(catalogue, given, relation_weight=0, shown_hard_negatives=9) is given


def test_a_click_far_down_counts_for_those_who_did_not_look_so_far_up_to_the_clip(catalogue: CatalogueAt) -> None:
    seen = replace(
        example(), products=np.array([3, 0]), gains=np.array([0.0, 2.0], dtype=np.float32), ranks=np.array([1, 7])
    )

    found = enrich(catalogue, seen, relation_weight=0.0, inverse_propensity=10.0)
    clipped = enrich(catalogue, seen, relation_weight=0.0, inverse_propensity=2.0)

    assert found.weights.tolist() == pytest.approx([1.0, 3.0])
    assert clipped.weights.tolist() == pytest.approx([1.0, 2.0])
    assert enrich(catalogue, seen, relation_weight=0.0).weights.tolist() == [1.0, 1.0]

"""The head after training: a probability again, and never another order."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ranking.learning.calibrate import head_calibrated
from ranking.learning.catalogue import CatalogueAt, Floats
from ranking.learning.examples import Example
from ranking.relevance import Head, head_default, relevance

PARENT = head_default("all-minilm-l6-v2")
TRAINED = Head(dense=12.0, lexical=4.0, intercepts=PARENT.intercepts, unknown=PARENT.unknown)
RNG = np.random.default_rng(0)


def unit(vectors: NDArray[np.float64]) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)


@pytest.fixture
def catalogue() -> CatalogueAt:
    names = [f"p{n}" for n in range(60)]
    contents = [f'{{"title": "{name}"}}' for name in names]
    words = {str(n): RNG.random(60).astype(np.float32) * 0.2 for n in range(40)}
    return CatalogueAt(names, unit(RNG.normal(size=(60, 8))), contents, ("en",), 60, 2.0, 1, 1, words)


def vector_of(text: str) -> Floats:
    return unit(np.random.default_rng(int(text)).normal(size=8))


def visit(text: str, catalogue: CatalogueAt, *, shown: bool) -> Example:
    products = np.argsort(-(catalogue.vectors @ vector_of(text)))[:10]
    gains = (RNG.random(10) < 0.1).astype(np.float32)
    return Example(1, text, text, products, gains, np.ones(10, dtype=np.float32), shown)


def calibrated(catalogue: CatalogueAt, visits: list[Example]) -> Head:
    return head_calibrated(
        TRAINED, parent=PARENT, before=vector_of, after=vector_of, examples=visits, catalogue=catalogue, seed=1
    )


def test_what_was_shown_brings_relevance_to_how_often_it_was_wanted(catalogue: CatalogueAt) -> None:
    visits = [visit(str(n), catalogue, shown=True) for n in range(40)]

    head = calibrated(catalogue, visits)

    def mean(of: Head) -> float:
        every = [relevance(catalogue.vectors[each.products] @ vector_of(each.text),
                           catalogue.lexical(each.text)[each.products], of, "query") for each in visits]  # fmt: skip
        return float(np.mean(every))

    wanted = float(np.mean([each.gains for each in visits]))
    assert abs(mean(head) - wanted) < 0.1 < abs(mean(TRAINED) - wanted)


@pytest.mark.parametrize("shown", [True, False])
def test_calibrating_never_changes_an_order(catalogue: CatalogueAt, shown: bool) -> None:
    head = calibrated(catalogue, [visit(str(n), catalogue, shown=shown) for n in range(40)])

    assert head.dense > 0
    assert head.lexical / head.dense == pytest.approx(TRAINED.lexical / TRAINED.dense)


def test_without_negatives_the_mean_relevance_is_the_parents(catalogue: CatalogueAt) -> None:
    visits = [visit(str(n), catalogue, shown=False) for n in range(40)]

    head = calibrated(catalogue, visits)

    assert (head.dense, head.lexical) == (TRAINED.dense, TRAINED.lexical)
    assert head.intercepts["query"] != TRAINED.intercepts["query"]
    assert calibrated(catalogue, []) == TRAINED

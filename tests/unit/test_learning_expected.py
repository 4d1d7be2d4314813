"""What a version expects of exposure: what g must not count twice."""

import numpy as np
import pytest

from ranking.learning.catalogue import CatalogueAt
from ranking.learning.examples import Example
from ranking.learning.expected import expected_lifts
from ranking.relevance import Head, relevance

HEAD = Head(
    dense=4.0, lexical=0.0, intercepts=dict.fromkeys(("query", "product", "basket", "history"), -2.0), unknown=0.0
)
QUERY = np.array([1.0, 0.0], dtype=np.float32)


@pytest.fixture
def catalogue():
    made = CatalogueAt(
        product_ids=["near", "far", "unshown"], vectors=np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32),
        contents=['{"title": "a"}'] * 3, languages=("en",), documents=3, mean_length=1.0, shop_id=1, position=1,
    )  # fmt: skip
    made._lexical["q"] = np.zeros(3, dtype=np.float32)
    return made


def example(weights=(1.0, 1.0), *, shown=True):
    return Example(
        position=1, text="q", key="q", products=np.array([0, 1]), gains=np.array([1.0, 0.0], dtype=np.float32),
        weights=np.array(weights, dtype=np.float32), shown=shown,
    )  # fmt: skip


def lifts(examples, catalogue, parent=None):
    return expected_lifts(examples, encode=lambda text: QUERY, head=HEAD, catalogue=catalogue, parent=parent or {})


def test_what_the_model_calls_relevant_is_expected_to_earn_more_and_the_rest_less(catalogue):
    near, far = relevance(np.array([1.0, 0.0]), np.zeros(2), HEAD, "query")

    found = lifts([example()] * 1000, catalogue)

    assert found["near"] == pytest.approx(2 * near / (near + far), abs=0.002)
    assert found["far"] == pytest.approx(2 * far / (near + far), abs=0.002)


def test_one_look_counts_as_much_as_the_parent(catalogue):
    all_at_once = lifts([example()] * 1000, catalogue)["near"]

    assert lifts([example()], catalogue, {"near": 3.0})["near"] == pytest.approx((all_at_once + 3.0) / 2, abs=0.002)


def test_what_was_not_shown_keeps_what_the_parent_expected(catalogue):
    assert lifts([example()], catalogue, {"unshown": 1.7})["unshown"] == 1.7
    assert "unshown" not in lifts([example()], catalogue)


def test_clicks_without_a_list_say_nothing_of_exposure(catalogue):
    assert lifts([example(shown=False)], catalogue, {"near": 1.2}) == {"near": 1.2}


def test_a_product_nobody_looked_at_expects_nothing(catalogue):
    assert "far" not in lifts([example((1.0, 0.0))], catalogue)

"""The metrics of the benches, against their closed forms and their extremes."""

from math import isnan, log2

import numpy as np
import pytest

from bench.metrics import ece, map_at_k, mrr_at_k, ndcg_at_k, recall_at_k

RATINGS = {"a": 3, "b": 2, "c": 0}


def test_ndcg_is_one_in_the_ideal_order_whatever_follows() -> None:
    assert ndcg_at_k(["a", "b", "x", "c"], RATINGS, 10) == pytest.approx(1.0)


def test_ndcg_is_the_discounted_gain_over_the_ideal_one() -> None:
    ideal = 7 + 3 / log2(3)

    assert ndcg_at_k(["x", "b", "a"], RATINGS, 10) == pytest.approx((3 / log2(3) + 7 / log2(4)) / ideal)


def test_ndcg_counts_what_was_judged_and_not_found() -> None:
    assert ndcg_at_k(["b"], RATINGS, 10) == pytest.approx(3 / (7 + 3 / log2(3)))


def test_ndcg_looks_at_k_only() -> None:
    assert ndcg_at_k(["x", "a"], RATINGS, 1) == 0.0


def test_ndcg_of_a_query_without_anything_good_is_unknown() -> None:
    assert isnan(ndcg_at_k(["a"], {"a": 0}, 10))


def test_recall_is_the_share_found_among_the_first_k() -> None:
    assert recall_at_k(["x", "a", "b"], ["a", "b"], 2) == 0.5
    assert isnan(recall_at_k(["x"], [], 2))


def test_mrr_is_one_over_the_first_relevant_rank() -> None:
    assert mrr_at_k(["x", "y", "a", "b"], ["a", "b"]) == pytest.approx(1 / 3)
    assert mrr_at_k(["x", "y", "a"], ["a"], 2) == 0.0


def test_map_with_one_relevant_item_is_one_over_its_rank_or_nothing() -> None:
    assert map_at_k(["x", "a"], ["a"], 5) == 0.5
    assert map_at_k(["x"] * 5 + ["a"], ["a"], 5) == 0.0


def test_map_averages_precision_at_each_relevant_rank() -> None:
    assert map_at_k(["a", "x", "b"], ["a", "b"], 5) == pytest.approx((1 + 2 / 3) / 2)
    assert map_at_k(["a", "b"], ["a", "b", "c", "d"], 2) == pytest.approx(1.0)


def test_ece_is_nothing_when_each_bin_keeps_its_promise() -> None:
    assert ece([0.25, 0.25, 0.25, 0.25, 1.0], [1, 0, 0, 0, 1]) == pytest.approx(0.0)


def test_ece_weighs_each_bin_by_its_pairs() -> None:
    assert ece([0.9, 0.9, 0.9, 0.1], [0, 0, 0, 0]) == pytest.approx(0.75 * 0.9 + 0.25 * 0.1)


def test_ece_does_not_let_bins_excuse_each_other() -> None:
    assert ece(np.array([0.1, 0.9]), np.array([1, 0])) == pytest.approx(0.9)


def test_ece_of_no_pairs_is_unknown_and_lengths_must_agree() -> None:
    assert isnan(ece([], []))
    with pytest.raises(ValueError, match="2 probabilities and 1 labels"):
        ece([0.1, 0.2], [1])

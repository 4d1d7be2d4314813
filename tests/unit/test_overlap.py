"""Rank-biased overlap: its closed form, its extremes, and what holds of any two rankings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.overlap import rank_biased_overlap

RANKINGS = st.lists(st.integers(0, 12), unique=True, max_size=10)


def test_the_same_list_is_1_and_another_is_0() -> None:
    assert rank_biased_overlap(["a", "b", "c"], ["a", "b", "c"]) == 1.0
    assert rank_biased_overlap(["a", "b", "c"], ["d", "e", "f"]) == 0.0


def test_two_empty_lists_are_alike_and_an_empty_one_is_like_no_other() -> None:
    assert rank_biased_overlap([], []) == 1.0
    assert rank_biased_overlap([], ["a"]) == 0.0


@pytest.mark.parametrize("p", [0.5, 0.9, 0.98])
def test_the_closed_form_of_an_exchanged_pair(p: float) -> None:
    """Of [a, b] and [b, a] the agreement is 0 at depth 1, and 1 from there on: all but the weight of depth 1."""
    assert rank_biased_overlap(["a", "b"], ["b", "a"], p=p) == pytest.approx(p)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.98])
def test_the_closed_form_of_another_product_at_depth_3(p: float) -> None:
    """Agreements 1, 1, 2/3, and 2/3 ever after."""
    assert rank_biased_overlap("abc", "abd", p=p) == pytest.approx(1 - p**2 / 3)


def test_the_closed_form_of_lists_of_different_lengths() -> None:
    """Equation 32 by hand for [a, b] and [b, a, c], p = 0.5: X = 0, 2, 2; the shorter list goes on in full agreement."""
    seen = 0.5**2 * 2 / 2 + 0.5**3 * 2 / 3
    known_of_one = 0.5**3 * 2 * (3 - 2) / (2 * 3)
    tail = ((2 - 2) / 3 + 2 / 2) * 0.5**3

    assert rank_biased_overlap("ab", "bac", p=0.5) == pytest.approx((1 - 0.5) / 0.5 * (seen + known_of_one) + tail)


def test_a_list_that_begins_like_the_other_is_alike_as_far_as_is_known() -> None:
    assert rank_biased_overlap("abc", "abcdefgh") == pytest.approx(1.0)


def test_a_change_at_the_top_counts_for_more_than_one_at_the_end() -> None:
    assert rank_biased_overlap("abcdef", "Xbcdef") < rank_biased_overlap("abcdef", "abcdeX")


@given(RANKINGS, RANKINGS, st.floats(0.01, 0.99))
def test_it_is_symmetric_and_between_0_and_1(first: list[int], second: list[int], p: float) -> None:
    overlap = rank_biased_overlap(first, second, p=p)

    assert 0.0 <= overlap <= 1.0
    assert overlap == pytest.approx(rank_biased_overlap(second, first, p=p))


@given(RANKINGS, RANKINGS)
def test_it_agrees_with_the_sum_over_depths(first: list[int], second: list[int]) -> None:
    """Lists of one length, taken naively: sets at each depth, the last agreement for ever (2,000 depths of 0.9)."""
    k = min(len(first), len(second))
    first, second = first[:k], second[:k]
    agreement = [len(set(first[:d]) & set(second[:d])) / d for d in range(1, k + 1)] or [1.0]
    total = sum(0.1 * 0.9**d * agreement[min(d, len(agreement) - 1)] for d in range(2000))

    assert rank_biased_overlap(first, second) == pytest.approx(total)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.5])
def test_a_p_that_is_no_share_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        rank_biased_overlap("ab", "ab", p=p)


def test_a_ranking_that_names_something_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="once"):
        rank_biased_overlap(["a", "a"], ["a", "b"])

"""Which variant a shopper is in: uniform, for ever, and independent between experiments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.experiments.assigning import assigned, draw_seed

SHOPPERS = [f"shopper {n}".encode() for n in range(20_000)]
SURELY = 27.9  # chi-square of 9 degrees of freedom is larger once in a thousand; the seeds are fixed


def chi_square(found: Counter[object], expected: Mapping[Any, float]) -> float:
    return sum((found[key] - count) ** 2 / count for key, count in expected.items())


@pytest.mark.parametrize("seed", [0, 1, 2**53 - 1])
def test_shoppers_fall_into_variants_by_their_shares(seed: int) -> None:
    shares = [0.3, 0.2, 0.1]

    found: Counter[object] = Counter(assigned(seed, shopper, shares) for shopper in SHOPPERS)

    expected = {0: 6000.0, 1: 4000.0, 2: 2000.0, None: 8000.0}
    assert chi_square(found, expected) < SURELY


def test_one_experiment_says_nothing_about_another() -> None:
    pairs = Counter((assigned(1, shopper, [0.5, 0.5]), assigned(2, shopper, [0.5, 0.5])) for shopper in SHOPPERS)

    assert chi_square(Counter(pairs), {(a, b): 5000.0 for a in (0, 1) for b in (0, 1)}) < SURELY


@given(st.integers(0, 2**53 - 1), st.binary(max_size=64), st.integers(1, 5))
def test_equal_shares_leave_nobody_out_and_a_shopper_stays(seed: int, subject: bytes, variants: int) -> None:
    number = assigned(seed, subject, [1 / variants] * variants)

    assert number in range(variants)
    assert assigned(seed, subject, [1 / variants] * variants) == number


@given(st.integers(0, 2**53 - 1), st.binary(max_size=64), st.floats(0.01, 0.5), st.floats(0, 0.4))
def test_a_larger_share_of_the_first_variant_takes_nobody_out_of_it(
    seed: int, subject: bytes, share: float, more: float
) -> None:
    if assigned(seed, subject, [share]) == 0:
        assert assigned(seed, subject, [share + more, 0.1]) == 0


def test_a_shopper_has_one_list_of_a_context_and_others_of_others() -> None:
    assert draw_seed(1, b"alice", "mug") == draw_seed(1, b"alice", "mug")
    assert len({draw_seed(1, b"alice", "mug"), draw_seed(1, b"alice", "tea"), draw_seed(1, b"bob", "mug")}) == 3

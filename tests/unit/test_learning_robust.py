"""What one shopper repeats, and what is pushed into the first pages of many queries."""

from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.joining import ClickThrough
from ranking.learning.robust import Ints, capped, crowding

ALICE, ROBOT = UUID(int=1), UUID(int=2)


def wanted(position: int, product: str | None) -> ClickThrough:
    outcomes = {} if product is None else {product: ["click"]}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return ClickThrough(position, position, "query", "q", "q", ["mug", "cup"], 1, "r", outcomes, at, False, False)


def test_one_shoppers_repeats_of_one_product_are_left_out() -> None:
    closed = [wanted(n, "mug") for n in range(10)] + [wanted(10, "mug"), wanted(11, "cup")]
    subjects = dict.fromkeys(range(10), ROBOT) | {10: ALICE, 11: ROBOT}

    assert [each.impression_position for each in capped(closed, subjects, most=3)] == [0, 1, 2, 10, 11]


def test_nobody_known_and_nothing_wanted_are_kept() -> None:
    closed = [wanted(n, "mug") for n in range(10)] + [wanted(n, None) for n in range(10, 20)]

    assert capped(closed, dict.fromkeys(range(10, 20), ROBOT), most=3) == closed


@given(st.lists(st.tuples(st.sampled_from([ALICE, ROBOT]), st.sampled_from(["mug", "cup"]))), st.integers(1, 4))
def test_nobody_counts_more_than_the_most(acts: list[tuple[UUID, str]], most: int) -> None:
    closed = [wanted(n, product) for n, (_, product) in enumerate(acts)]
    subjects = {n: who for n, (who, _) in enumerate(acts)}

    kept = [acts[each.impression_position] for each in capped(closed, subjects, most=most)]

    assert all(kept.count(pair) == min(most, acts.count(pair)) for pair in acts)


def pushed(product: int, *, products: int) -> tuple[Ints, Ints]:
    """An order of so many products, and the one in which one of them is first."""
    before = np.arange(products)
    return before, np.concatenate([[product], np.delete(before, product)])


@pytest.mark.parametrize("queries", [1, 4])
def test_a_product_that_comes_from_far_in_many_queries_is_found(queries: int) -> None:
    before, after = pushed(90, products=200)

    assert crowding([before] * queries + [before], [after] * queries + [before], first=10) == (90, queries)


def test_what_was_near_may_come_to_every_first_page() -> None:
    before, after = pushed(40, products=200)

    assert crowding([before] * 4, [after] * 4, first=10) == (-1, 0)


def test_in_a_small_shop_nothing_is_far() -> None:
    before, after = pushed(90, products=199)

    assert crowding([before], [after], first=10) == (-1, 0)
    assert crowding([], [], first=10) == (-1, 0)

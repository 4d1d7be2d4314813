"""Lists of one query taken together: rates instead of accidents."""

import numpy as np
import pytest

from ranking.learning.examples import Example
from ranking.learning.pooled import pooled

LOOKS = 3.0


def shown(key: str, products: list[int], clicked: list[int], *, first_rank: int = 1) -> Example:
    ranks = np.arange(first_rank, first_rank + len(products))
    gains = np.array([product in clicked for product in products], dtype=np.float32)
    return Example(1, key, key, np.array(products), gains, np.ones_like(gains), shown=True, ranks=ranks)


def implied(key: str) -> Example:
    gains = np.array([1.0, 0.0], dtype=np.float32)
    return Example(1, key, key, np.array([4, 5]), gains, np.ones_like(gains), shown=False)


def test_lists_of_a_query_become_one_and_other_queries_stay_apart() -> None:
    found = pooled([shown("mug", [1, 2], [2]), shown("pot", [1, 3], [1]), shown("mug", [2, 3], [2])], looks=LOOKS)

    assert [(each.key, each.products.tolist()) for each in found] == [("mug", [1, 2, 3]), ("pot", [1, 3])]


def test_a_gain_is_what_was_gained_per_look_drawn_to_the_mean() -> None:
    (found,) = pooled([shown("mug", [1], [1]), shown("mug", [1], [])] + [shown("mug", [2], [])] * 2, looks=LOOKS)

    base = 1 / 4  # one click in four looks at rank 1
    rates = np.array([(1 + LOOKS * base) / (2 + LOOKS), (0 + LOOKS * base) / (2 + LOOKS)])
    assert found.gains[0] / found.gains[1] == pytest.approx(rates[0] / rates[1])
    assert found.weights == pytest.approx(2 / (2 + LOOKS))


def test_a_product_that_was_seldom_looked_at_is_believed_less() -> None:
    (found,) = pooled([shown("mug", [1, 2], [1]), shown("mug", [2, 3], [3], first_rank=9)], looks=LOOKS)

    weights = dict(zip(found.products.tolist(), found.weights.tolist(), strict=True))
    assert weights[1] > weights[3]


def test_every_query_weighs_the_same_however_often_it_was_asked() -> None:
    busy = [shown("mug", [1, 2], [1])] * 50
    found = pooled([*busy, shown("pot", [3, 4], [4])], looks=LOOKS)

    for each in found:
        more = np.maximum(each.gains[:, None] - each.gains[None, :], 0.0)
        assert float((more * np.outer(each.weights, each.weights)).sum()) == pytest.approx(1.0, abs=1e-5)


def test_what_was_not_shown_stays_as_it_is() -> None:
    alone = implied("lamp")

    assert pooled([shown("mug", [1, 2], [1]), alone], looks=LOOKS)[0] is alone
    assert pooled([], looks=LOOKS) == []


def test_a_query_whose_products_all_gained_alike_teaches_nothing() -> None:
    (found,) = pooled([shown("mug", [1], [1])], looks=LOOKS)

    assert not found.teaches

"""One contract for all strategies: what any of them says of any candidate of any shopper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranking.strategies.around import AROUND
from ranking.strategies.buy_again import BUY_AGAIN
from ranking.strategies.established import ESTABLISHED
from ranking.strategies.evergreen import EVERGREEN
from ranking.strategies.mixes import MIXES
from ranking.strategies.mixing import TERMS, Mix, evidence_of, known, proposals, relevance_of
from ranking.strategies.nearest import NEAREST_ITEM
from ranking.strategies.new_arrivals import NEW_ARRIVALS
from ranking.strategies.next_for_you import NEXT_FOR_YOU
from ranking.strategies.popular import POPULAR
from ranking.strategies.recently_viewed import RECENTLY_VIEWED
from ranking.strategies.registry import NAMES, STRATEGIES
from ranking.strategies.similar import SIMILAR
from ranking.strategies.strategy import MOST, Strategy
from ranking.strategies.strongest import STRONGEST
from ranking.strategies.together import TOGETHER
from ranking.strategies.trending import TRENDING
from ranking.visits.asked import OWNED, Asked, Pool, spread
from ranking.visits.companions import COMPANION, scale

NOW = 1_750_000_000.0
DAY = 86_400.0


def companions(*pairs: tuple[int, float]) -> np.ndarray:
    return np.array(
        [(id_, sum_ * float(scale(NOW)), sum_ * float(scale(NOW, "recent"))) for id_, sum_ in sorted(pairs)],
        dtype=COMPANION,
    )


def owned(*given: tuple[int, int, float]) -> np.ndarray:
    """What a shopper had: number, purchases, days ago."""
    return np.array(
        [(id_, bought, 1.0, NOW - ago * DAY, NOW - ago * DAY, NOW - ago * DAY if bought else np.nan, np.nan)
         for id_, bought, ago in given],
        dtype=OWNED,
    )  # fmt: skip


NOBODY = Asked(
    now=NOW,
    ids=np.zeros(0, np.int64),
    at=np.zeros(0),
    pull=np.zeros(0),
    companions=[],
    totals=np.zeros(0),
    recent_totals=np.zeros(0),
)
SOMEBODY = Asked(
    now=NOW,
    ids=np.array([11, 12]),
    at=np.array([NOW - 60, NOW - 9 * DAY]),
    pull=np.ones(2),
    companions=[companions((13, 4.0), (14, 1.0)), companions((14, 6.0))],
    totals=np.array([5.0, 6.0]),
    recent_totals=np.array([5.0, 6.0]),
    owned=owned((11, 0, 0.001), (12, 2, 9), (15, 1, 400)),
)
POOL = Pool(
    numbers=np.array([11, 12, 13, 14, 15, 0]),
    dense=np.array([0.9, 0.8, 0.5, -0.2, np.nan, 0.7]),
    day=np.array([1.0, 0.0, 9.0, 0.1, 0.0, 0.0]),
    week=np.array([5.0, 2.0, 12.0, 3.0, 0.5, 0.0]),
    month=np.array([20.0, 9.0, 20.0, 8.0, 2.0, 0.0]),
    year=np.array([50.0, 70.0, 21.0, 9.0, 4.0, 0.0]),
    age=np.array([300.0, 300.0, 40.0, 300.0, 300.0, 0.0]) * DAY,
    accessory=np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
    nearest=np.array([0.2, 0.3, 0.9, 0.0, 0.0, 0.6]),
    around=np.array([0.0, 0.1, 0.4, 0.0, 0.0, 0.5]),
    shop=(12.0, 30.0, 90.0, 400.0),
)
FIELDS = ("dense", "day", "week", "month", "year", "age", "accessory", "nearest", "around")
EMPTY: dict[str, Any] = {name: np.zeros(0) for name in FIELDS}
NOTHING = Pool(numbers=np.zeros(0, np.int64), **EMPTY)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
@pytest.mark.parametrize("asked", [NOBODY, SOMEBODY], ids=["nobody", "somebody"])
def test_every_strategy_says_something_finite_of_every_candidate(strategy: Strategy, asked: Asked) -> None:
    for pool in (POOL, NOTHING):
        said = strategy.evidence(asked, pool)

        assert said.shape == (len(pool),)
        assert np.isfinite(said).all()
        assert (said >= 0).all()


@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_every_strategy_proposes_each_product_once_and_not_too_many(strategy: Strategy) -> None:
    for asked in (NOBODY, SOMEBODY):
        proposed = strategy.propose(asked)

        assert len(set(proposed.tolist())) == len(proposed) <= MOST
        assert strategy.propose(asked).tolist() == proposed.tolist()
    assert strategy.propose(NOBODY).tolist() == []


@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_what_a_strategy_says_of_a_candidate_does_not_depend_on_the_others(strategy: Strategy) -> None:
    some = np.array([5, 2, 0])
    fewer = Pool(
        **{name: getattr(POOL, name)[some] for name in ("numbers", *FIELDS)},
        shop=POOL.shop,
    )

    assert strategy.evidence(SOMEBODY, fewer) == pytest.approx(strategy.evidence(SOMEBODY, POOL)[some])


def test_the_registry_has_each_strategy_once() -> None:
    assert len(set(NAMES)) == len(STRATEGIES)
    assert all(set(mix.coefficients) <= set(TERMS) for mixes in MIXES.values() for mix in mixes)
    assert all(len({mix.name for mix in mixes}) == len(mixes) for mixes in MIXES.values())


def best(strategy: Strategy) -> int:
    return int(np.argmax(strategy.evidence(SOMEBODY, POOL)))


def test_each_prefers_what_it_is_for() -> None:
    assert best(POPULAR) == best(TRENDING) == 2
    assert best(EVERGREEN) == 1
    assert best(SIMILAR) == 0
    assert best(TOGETHER) == 3  # 1/10 + 6/11 beside 4/10
    assert best(STRONGEST) == 3
    assert best(NEXT_FOR_YOU) == 3
    assert best(BUY_AGAIN) in (1, 4)
    assert best(RECENTLY_VIEWED) == 0
    assert best(NEW_ARRIVALS) == 5
    assert best(NEAREST_ITEM) == 2
    assert best(AROUND) == 5


def test_only_what_was_visited_is_established() -> None:
    said = ESTABLISHED.evidence(SOMEBODY, POOL)

    assert said[5] == 0.0 < said[2] < said[0]


def test_next_for_you_follows_the_newest_item_more_than_together_does() -> None:
    ratio = [
        strategy.evidence(SOMEBODY, POOL)[2] / strategy.evidence(SOMEBODY, POOL)[3]
        for strategy in (TOGETHER, NEXT_FOR_YOU)
    ]

    assert ratio[1] > ratio[0]


def test_relevance_is_a_probability_and_grows_with_every_evidence() -> None:
    evidence = evidence_of(SOMEBODY, POOL)
    for mixes in MIXES.values():
        for mix in mixes:
            y = relevance_of(evidence, mix)
            assert ((y > 0) & (y < 1)).all()
            assert (relevance_of(evidence + 0.1, mix) >= y).all()


def test_what_is_said_counts_once_more_as_far_as_the_shopper_is_known() -> None:
    mix = Mix(name="m", coefficients={"popular": 1.0, "popular_known": -1.0}, intercept=0.0)
    parts = [mix.parts(each)["popular"] for each in evidence_of(SOMEBODY, POOL)[:3]]

    assert known(NOBODY) == 0.0 < known(SOMEBODY) < 1.0
    assert parts == pytest.approx(((1.0 - known(SOMEBODY)) * POPULAR.evidence(SOMEBODY, POOL)[:3]).tolist())
    assert not evidence_of(NOBODY, POOL)[:, len(NAMES) :].any()


def test_proposals_are_those_of_all_strategies() -> None:
    assert proposals(SOMEBODY, 200).tolist() == [11, 12, 13, 14, 15]
    assert len(proposals(SOMEBODY, 1)) <= len(STRATEGIES)


def test_spreading_over_candidates_leaves_the_others_at_nothing() -> None:
    assert spread(np.array([5, 0, 7, 9]), np.array([9, 5]), np.array([2.0, 3.0])).tolist() == [3.0, 0.0, 0.0, 2.0]
    assert spread(np.array([5]), np.zeros(0, np.int64), np.zeros(0)).tolist() == [0.0]

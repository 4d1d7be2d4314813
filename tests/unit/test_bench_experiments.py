"""Small versions of the bench of experiments, through the project's own arithmetic; the dice are fixed."""

from __future__ import annotations

import numpy as np
import pytest

from bench.experiments import LEVEL, blind_alarms, by_ab, by_interleaving, false_alarms, found
from bench.experiments_shop import RELATED, Rankers, Shop, Visits

FEW = Shop(shoppers=400, days=10)


@pytest.mark.parametrize(
    "shop",
    [FEW, Shop(shoppers=400, days=10, tail="pareto", share=0.2), Shop(shoppers=400, days=10, once=True, conversion=0.1)],
    ids=["lognormal", "pareto", "once"],
)  # fmt: skip
def test_without_a_difference_looking_daily_seldom_cries_wolf_and_usual_intervals_do(shop: Shop) -> None:
    alarms = false_alarms(shop, 60, seed=1, name="of a test")

    assert alarms["any"] <= LEVEL
    assert alarms["guard"] <= LEVEL
    assert alarms["usual_ctr"] > 2 * LEVEL


def test_a_large_difference_is_found() -> None:
    assert found(0.8, 3, seed=1)["share"] == 1.0


def test_interleaving_takes_a_tenth_of_the_clicks_to_know_the_better_next_version() -> None:
    outcomes = []
    for pair in range(4):
        rankers = Rankers.of(np.random.default_rng(pair), "its next version")
        chance = np.random.default_rng([pair, 1])
        outcomes.append((by_interleaving(rankers, chance), by_ab("ctr")(rankers, chance, most=6000)))
    clicks, verdicts = zip(*(each for each, _ in outcomes), strict=True)

    assert verdicts == (1, 1, 1, 1)
    assert sum(clicks) < 0.1 * sum(taken for _, (taken, _) in outcomes)


def test_shoppers_who_click_blindly_make_interleaving_prefer_none() -> None:
    assert blind_alarms(40, seed=3, shoppers=100) <= LEVEL


@pytest.mark.parametrize("related", RELATED)
def test_the_second_ranker_is_the_better_one(related: str) -> None:
    chance = np.random.default_rng(1)
    rankers, visits = Rankers.of(chance, related), Visits.of(chance, 30_000)

    first, second = (
        rankers.clicked(chance, visits.query, each[visits.query]).sum() for each in (rankers.first, rankers.second)
    )

    assert second > first

"""The benches of the bandit and of policies, small: the same code, shops and truths."""

from __future__ import annotations

import numpy as np
import pytest

from bench.bandit import ORDER, SMOOTHED, learners, measure, recovered_after
from bench.bandit_learners import Thompson
from bench.bandit_shop import SEGMENTS, run, world
from bench.policy import POLICY, logged, truth
from bench.policy import SEGMENTS as POLICY_SEGMENTS
from bench.policy import measure as measure_policy


def test_the_same_seed_visits_the_same_shop() -> None:
    shop = world(requests=400, arms=3, seed=1)
    make = learners(["m0", "m1", "m2"], 1)["bandit"]

    assert (run(shop, make(), per_day=1e6, seed=1) == run(shop, make(), per_day=1e6, seed=1)).all()


def test_at_a_flip_the_best_and_the_worst_change_places() -> None:
    shop = world(requests=1000, arms=4, seed=2, flips=[500])
    before, after = shop.clicks[499].mean(axis=0), shop.clicks[500].mean(axis=0)

    assert before.argmax() == after.argmin()
    assert shop.segments.max() == len(SEGMENTS) - 1


def test_the_bandit_regrets_less_than_half_of_what_any_mix_does() -> None:
    regret = np.zeros(2)
    for seed in (1, 2, 3):
        shop = world(requests=5000, arms=3, seed=seed)
        earned = run(shop, Thompson(["m0", "m1", "m2"], every=250), per_day=20_000, seed=seed)
        best, mean = shop.rewards.max(axis=1), shop.rewards.mean(axis=1)
        regret += (best - earned).sum(), (best - mean).sum()

    assert regret[0] < 0.5 * regret[1]


def test_every_way_of_choosing_is_measured_on_the_same_shop() -> None:
    found = measure(1, {"arms": 3, "requests": 4400, "per_day": 20_000, "half_life": None})

    assert tuple(found) == ORDER
    assert all(0 <= each["total"] == pytest.approx(each["before"] + each["after"]) for each in found.values())


def test_what_is_back_at_once_takes_as_long_as_it_is_looked_at_and_what_never_is_takes_for_ever() -> None:
    length, best, mean = 4 * SMOOTHED, np.ones(4 * SMOOTHED), np.zeros(4 * SMOOTHED)
    falls = np.where(np.arange(length) < 2 * SMOOTHED, 0.8, 0.1)

    assert recovered_after(np.full(length, 0.8), best, mean, 2 * SMOOTHED) == SMOOTHED
    assert recovered_after(falls, best, mean, 2 * SMOOTHED) is None


@pytest.mark.parametrize("kind", ["even", "lopsided", "adaptive"])
def test_logs_say_truly_how_likely_each_arm_was(kind: str) -> None:
    units = logged(kind, 1, 6000)

    assert np.mean([1 / unit.propensity for unit in units]) == pytest.approx(5, rel=0.12)  # Σ over arms of p · 1/p
    weights = [POLICY[POLICY_SEGMENTS.index(u.segment), int(u.arm[1])] / u.propensity for u in units]
    assert np.mean(weights) == pytest.approx(1, abs=0.12)


def test_intervals_hold_the_truth_that_is_known() -> None:
    runs = [found for seed in range(24) if (found := measure_policy("even", seed, 4000)) is not None]

    held = {
        name: np.mean([low <= truth() <= high for _, low, high in (run[name] for run in runs)])
        for name in ("ips", "snips", "dr")
    }
    assert len(runs) >= 20
    assert min(held.values()) >= 0.83

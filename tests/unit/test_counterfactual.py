"""Counterfactual values: by hand, at their extremes, without overlap, and against a truth that is known."""

from collections.abc import Callable

import numpy as np
import pytest

from ranking.bootstrap import Floats
from ranking.counterfactual import (
    ESTIMATORS,
    Logged,
    Page,
    choices_logged,
    compared,
    effective_size,
    figures_of,
    pages_logged,
    valued,
)
from ranking.weights.factors import examination


def numbers(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)


def values_of(logged: Logged) -> dict[str, float]:
    return {name: value for name, (value, _, _) in valued(logged, seed=0, resamples=2).items()}


def choices(*, rewards: Floats, logged: Floats, chosen: Floats, model: float = 0.0, most: float = 10.0) -> Logged:
    expected = np.full(len(rewards), model)
    return choices_logged(
        rewards=rewards, logged=logged, chosen=chosen, modelled=expected, explained=expected, most=most
    )


def test_the_three_by_hand() -> None:
    found = values_of(choices(rewards=numbers(1, 0), logged=numbers(0.5, 0.25), chosen=numbers(1, 1), model=0.5))

    assert found["ips"] == pytest.approx((2 * 1 + 4 * 0) / 2)
    assert found["snips"] == pytest.approx(2 / 6)
    assert found["dr"] == pytest.approx((0.5 + 2 * (1 - 0.5) + 0.5 + 4 * (0 - 0.5)) / 2)


def test_the_version_that_decided_is_worth_what_it_earned() -> None:
    propensity = numbers(0.2, 0.7, 0.1, 0.9)

    found = values_of(choices(rewards=numbers(1, 0, 0, 1), logged=propensity, chosen=propensity, model=0.3))

    assert found == {name: pytest.approx(0.5) for name in ("ips", "snips", "dr")}


def test_without_overlap_only_the_model_says_something() -> None:
    nothing = choices(rewards=numbers(1, 1), logged=numbers(0.5, 0.5), chosen=numbers(0, 0), model=0.4)

    assert values_of(nothing) == {"ips": 0.0, "snips": 0.0, "dr": pytest.approx(0.4)}
    assert effective_size(nothing) == 0.0


def test_an_arm_of_no_propensity_counts_nothing_and_a_rare_one_no_more_than_the_clip() -> None:
    found = choices(rewards=numbers(1, 1), logged=numbers(0, 1e-9), chosen=numbers(1, 1), most=10.0)

    assert found.gained.tolist() == [0.0, 10.0]


def test_equal_weights_are_as_many_units_as_there_are_and_one_large_one_is_one() -> None:
    equal = choices(rewards=numbers(1, 1, 1), logged=numbers(1, 1, 1), chosen=numbers(1, 1, 1))
    one = choices(rewards=numbers(1, 1, 1), logged=numbers(1, 1, 1), chosen=numbers(1e-9, 1, 1e-9))

    assert effective_size(equal) == pytest.approx(3.0)
    assert effective_size(one) == pytest.approx(1.0)


def page(*clicked: int, count: int = 3, appeal: float = 0.5) -> Page:
    ranks = np.arange(1, count + 1)
    return Page(ranks, np.isin(ranks, clicked), np.full(count, appeal))


def test_a_click_counts_by_how_much_more_its_new_rank_is_looked_at() -> None:
    lifted = pages_logged([page(3)], [numbers(2, 1, 3)])

    assert lifted.gained.tolist() == pytest.approx([1.0 / 0.5])
    assert lifted.mass.tolist() == pytest.approx([2.0])  # wanted by as many as would have looked
    assert values_of(lifted)["snips"] == pytest.approx(1.0)
    assert pages_logged([page(3)], [numbers(2, 1, 3)], [1.0, 0.5, 0.25]).gained.tolist() == pytest.approx([4.0])


def test_the_order_shown_is_worth_the_clicks_it_got_and_ties_are_that_order() -> None:
    pages = [page(1, 2), page(3), page()]

    assert values_of(pages_logged(pages, [np.zeros(3)] * 3))["ips"] == pytest.approx(1.0)


def test_a_page_from_further_down_keeps_its_ranks() -> None:
    below = Page(np.array([11, 12]), np.array([False, True]), numbers(0.5, 0.5))

    assert pages_logged([below], [numbers(1, 2)]).gained.tolist() == pytest.approx([np.log2(13) / np.log2(12)])


def test_doubly_robust_is_ips_but_where_the_clip_takes_something() -> None:
    scores = [numbers(1, 2, 3)]
    free, clipped = pages_logged([page(3)], scores), pages_logged([page(3)], scores, most=1.5)

    assert values_of(free)["dr"] == pytest.approx(values_of(free)["ips"])
    assert values_of(clipped)["ips"] == pytest.approx(1.5)
    assert values_of(clipped)["dr"] == pytest.approx(1.5 + 0.5 * (1.0 - 1.5 * 0.5))


def test_two_versions_that_order_alike_do_not_differ() -> None:
    logged = pages_logged([page(1), page(2), page(3)], [numbers(3, 1, 2)] * 3)

    found = figures_of(compared(logged, logged, seed=1))

    assert found.keys() == {"ips", "snips", "dr"}
    assert all((each["difference"], each["low"], each["high"]) == (0.0, 0.0, 0.0) for each in found.values())


def test_the_same_seed_gives_the_same_interval() -> None:
    pages, scores, _ = pages_simulated(np.random.default_rng(1))
    one, two = pages_logged(pages, scores), pages_logged(pages, [-each for each in scores])

    assert compared(one, two, seed=1) == compared(one, two, seed=1)
    assert compared(one, two, seed=1) != compared(one, two, seed=2)


def test_of_rare_rewards_the_interval_reaches_further_up_than_down() -> None:
    rare = np.zeros(500)
    rare[:10] = 1.0
    alike = np.full(500, 0.5)

    found = valued(choices(rewards=rare, logged=alike, chosen=alike), seed=1)

    # the basic interval does the reverse
    assert all(high - value > 1.2 * (value - low) for value, low, high in found.values())


RUNS = 200
CURVE = examination(np.arange(1, 6))


def pages_simulated(rng: np.random.Generator) -> tuple[list[Page], list[Floats], float]:
    """Pages in random order, another version's scores of them, and how many clicks a page that one would have had."""
    appeals = rng.choice([0.1, 0.4, 0.8], size=(150, 5))
    clicked = rng.random(appeals.shape) < CURVE * appeals
    scores = appeals + rng.normal(0, 0.3, appeals.shape)
    ordered = np.take_along_axis(appeals, np.argsort(-scores, axis=1), axis=1)
    pages = [Page(np.arange(1, 6), each, np.full(5, 0.4)) for each in clicked]
    return pages, list(scores), float((ordered @ CURVE).mean())


def choices_simulated(rng: np.random.Generator) -> tuple[Logged, float]:
    """Arms drawn by known propensities, valued for a version that prefers another one; the model is wrong by a third."""
    logging, other, worth = numbers(0.6, 0.3, 0.1), numbers(0.2, 0.3, 0.5), numbers(0.2, 0.4, 0.6)
    arms = rng.choice(3, size=300, p=logging)
    rewards = (rng.random(300) < worth[arms]).astype(np.float64)
    model = worth * 2 / 3
    logged = choices_logged(
        rewards=rewards, logged=logging[arms], chosen=other[arms],
        modelled=np.full(300, float(other @ model)), explained=model[arms],
    )  # fmt: skip
    return logged, float(other @ worth)


def covered(run: Callable[[int], tuple[dict[str, tuple[float, float, float]], dict[str, float]]]) -> dict[str, float]:
    """Share of the runs in which each estimator's interval holds the truth."""
    hits = {name: 0 for name in ESTIMATORS}
    for seed in range(RUNS):
        found, truth = run(seed)
        for name in truth:
            hits[name] += found[name][1] <= truth[name] <= found[name][2]
    return {name: hit / RUNS for name, hit in hits.items()}


def test_intervals_of_arms_hold_the_truth_as_often_as_they_say() -> None:
    def run(seed: int) -> tuple[dict[str, tuple[float, float, float]], dict[str, float]]:
        logged, truth = choices_simulated(np.random.default_rng(seed))
        return valued(logged, seed=seed, resamples=200), dict.fromkeys(ESTIMATORS, truth)

    assert all(0.91 <= share <= 0.98 for share in covered(run).values())


def test_intervals_of_pages_hold_the_truth_as_often_as_they_say() -> None:
    def run(seed: int) -> tuple[dict[str, tuple[float, float, float]], dict[str, float]]:
        pages, scores, truth = pages_simulated(np.random.default_rng(seed))
        return valued(pages_logged(pages, scores), seed=seed, resamples=200), {"ips": truth, "dr": truth}

    found = covered(run)
    assert 0.91 <= found["ips"] <= 0.98
    assert 0.91 <= found["dr"] <= 0.98

"""How often luck alone passes the gate, over many simulated shops, and whether what helps passes still."""

from __future__ import annotations

import numpy as np
import pytest

from ranking.learning.evaluate import Doubles, Judged
from ranking.learning.gate import CHANCE, LEAST_QUERIES, Trial, gate

QUERIES, PRODUCTS = 24, 18
NOTHING = Judged(*(np.zeros(0) for _ in range(4)))


def figures(mrr: Doubles) -> Judged:
    unknown = np.full(len(mrr), np.nan)
    return Judged(unknown, unknown, mrr, unknown)


def major(seed: int, *, clicks: int, helped: float) -> Trial:
    """Clicks without sense on a shop in which two versions order each query's products at random; with `helped` as a chance,
    the wanted product of a click is the one that the candidate has first."""
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(PRODUCTS), (2, QUERIES, 1)), axis=2)  # rank, from 0, of each product
    asked, wanted = rng.integers(QUERIES, size=clicks), rng.integers(PRODUCTS, size=clicks)
    first = orders[1].argmin(axis=1)[asked]
    wanted = np.where(rng.random(clicks) < helped, first, wanted)
    before, after = (figures(1 / (1 + order[asked, wanted])) for order in orders)
    return Trial(before, after, NOTHING, NOTHING, costly=True, queries=[f"query {n}" for n in asked])


def passed(clicks: int, helped: float, shops: int = 400) -> float:
    return float(np.mean([gate(major(seed, clicks=clicks, helped=helped)).reason is None for seed in range(shops)]))


@pytest.mark.parametrize("clicks", [36, 72, 600])
def test_of_major_versions_made_of_shuffled_clicks_no_more_pass_than_stated(clicks: int) -> None:
    assert passed(clicks, helped=0.0) <= CHANCE + 0.015  # of 400, two standard errors


def test_a_major_version_that_helps_passes() -> None:
    assert passed(72, helped=0.3) > 0.8


def folded(seed: int, *, gain: float, queries: int = 26) -> Trial:
    rng = np.random.default_rng(seed)
    better = figures(np.full(100, 0.5)), figures(np.full(100, 0.6))
    accuracy = rng.uniform(0.5, 0.7, queries)
    return Trial(*better, NOTHING, NOTHING, folds=(accuracy, accuracy + gain + rng.normal(0, 0.05, queries)))


def test_a_recipe_must_help_queries_that_it_was_not_taught() -> None:
    helped = [gate(folded(seed, gain=0.03)).reason is None for seed in range(100)]
    harmed = [gate(folded(seed, gain=-0.02)).reason is None for seed in range(100)]

    assert np.mean(helped) > 0.85
    assert np.mean(harmed) < 0.05
    assert "never taught it" in (gate(folded(1, gain=-0.05)).reason or "")


def test_one_that_changes_nothing_for_them_is_refused_and_too_few_of_them_keep_what_serves() -> None:
    trial = folded(1, gain=0.5)
    same = Trial(trial.serving, trial.candidate, NOTHING, NOTHING, folds=(trial.folds[0], trial.folds[0]))

    assert gate(same).reason is not None
    assert "only 7 queries" in (gate(folded(1, gain=0.5, queries=LEAST_QUERIES - 1)).reason or "")


def test_what_replaces_another_may_fall_short_within_noise() -> None:
    trial = folded(3, gain=0.0)
    worse = (trial.folds[0], trial.folds[0] - np.linspace(-0.05, 0.06, 26))

    assert gate(Trial(trial.serving, trial.candidate, NOTHING, NOTHING, folds=worse)).reason is not None
    assert gate(Trial(trial.serving, trial.candidate, NOTHING, NOTHING, folds=worse, replaces=True)).reason is None

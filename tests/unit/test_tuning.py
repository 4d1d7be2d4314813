"""What a walk is judged by, by how much one is better than another, and how a range is parted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import numpy as np
import pytest

from feedback.joining import ClickThrough
from ranking.learning.options import DEFAULTS, LossName, TrainOptions
from ranking.tuning.figures import Figures, gain_of
from ranking.tuning.space import Choice, options_of, space_of
from ranking.tuning.walk import folds_of

NAN = float("nan")


def figures(mrr: list[float], *, accuracy: list[float] | None = None, ndcg: list[float] | None = None) -> Figures:
    """Of click-throughs by two queries, in turn."""
    keys = [f"query {n % 2}" for n in range(len(mrr))]
    return Figures(keys, np.array(mrr), np.array(accuracy or [NAN] * len(mrr)), np.array(ndcg or [], dtype=np.float64))


def closed(position: int, *, acted: bool = True) -> ClickThrough:
    outcomes = {"mug": ["click"]} if acted else {}
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return ClickThrough(position, position, "query", "mug", "mug", ["mug"], 1, None, outcomes, at, False, False)


def test_a_score_is_the_mean_of_the_figures_that_there_are() -> None:
    assert figures([0.5, 1.0]).score() == 0.75
    assert figures([0.5, 1.0], accuracy=[0.25, NAN], ndcg=[0.8]).score() == pytest.approx((0.75 + 0.25 + 0.8) / 3)
    assert figures([]).score() == 0.0


def test_a_gain_is_the_difference_of_scores_and_its_interval_holds_it() -> None:
    before, after = figures([0.2, 0.4, 0.2, 0.4], ndcg=[0.5, 0.5]), figures([0.3, 0.7, 0.3, 0.7], ndcg=[0.6, 0.5])

    gain = gain_of(after, before)

    assert gain.mean == pytest.approx(after.score() - before.score())
    assert gain.low <= gain.mean <= gain.high
    assert gain.low == pytest.approx(
        (0.1 + 0.0) / 2
    )  # only the query that gained less, only the list that gained nothing
    assert gain.is_sure


def test_click_throughs_of_one_query_rise_together_and_are_no_proof() -> None:
    before, after = (
        figures([0.5] * 40),
        figures([0.9, 0.3] * 20),
    )  # one query gains in twenty, the other loses in twenty

    gain = gain_of(after, before)

    assert gain.mean > 0
    assert not gain.is_sure


def test_the_same_is_no_gain() -> None:
    assert gain_of(figures([0.5] * 8), figures([0.5] * 8)).is_sure is False
    assert gain_of(figures([]), figures([])).mean == 0.0


def test_figures_come_back_from_json_as_they_were() -> None:
    given = figures([0.5, NAN], ndcg=[1.0])

    read = Figures.from_dict(given.to_dict())

    assert read.keys == given.keys
    np.testing.assert_array_equal(read.mrr, given.mrr)
    np.testing.assert_array_equal(read.ndcg, given.ndcg)


def test_a_range_is_walked_so_that_each_click_through_judges_before_it_teaches() -> None:
    every = [closed(n, acted=n % 2 == 0) for n in range(1, 81)]  # forty with an outcome, at even positions

    folds = folds_of(every, from_position=0, count=3)

    assert [(fold.part.from_position, fold.part.trained_to, fold.part.to_position) for fold in folds] == [
        (0, 20, 40), (20, 40, 60), (40, 60, 80),
    ]  # fmt: skip
    for fold in folds:
        assert {each.closed_position for each in fold.judged} == set(
            range(fold.part.trained_to + 5, fold.part.to_position + 1)
        )
        assert [each.closed_position for each in fold.part.calibrate] == list(
            range(fold.part.trained_to + 1, fold.part.trained_to + 5)
        )
    assert [each for fold in folds for each in fold.part.train] == every[:60]


@pytest.mark.parametrize("options", [DEFAULTS, TrainOptions()], ids=["projection", "lora"])
def test_the_space_of_a_kind_holds_its_defaults_and_every_loss(options: TrainOptions) -> None:
    space = space_of(options)

    for name, within in space.items():
        default = getattr(options, name)
        assert default in within.values if isinstance(within, Choice) else within.low <= default <= within.high, name
    assert space["loss"] == Choice(get_args(LossName))


def test_options_are_numbers_that_can_be_typed() -> None:
    assert options_of({"learning_rate": 0.00123456, "hard_negatives": 17, "loss": "info_nce"}) == {
        "learning_rate": 0.00123, "hard_negatives": 17, "loss": "info_nce",
    }  # fmt: skip

"""Trials of arms: when one closes, what it earned, and that delays flatter nobody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.events import ClockTicked, Event
from ranking.choices import Trial, Trials, arm_name, trial_key
from ranking.weights.options import VALUES
from tests.bandit_cast import did, recorded, seen

WINDOW = 1800.0
ALICE, BOB = UUID(int=1), UUID(int=2)


def passed(*events: tuple[Event, float] | tuple[Event, float, UUID]) -> list[Trial]:
    """The trials that close while these events pass."""
    trials = Trials(WINDOW)
    return [
        each
        for event, at, *who in events
        for each in trials.advance(recorded(event, at, subject=who[0] if who else None))
    ]


def rewards(*events: Any) -> list[float]:
    return [trial.reward(VALUES, 10.0) for trial in passed(*events)]


TICK = ClockTicked()


@pytest.mark.parametrize("text", ["search", "", None, 7, "home/known", "home//learned", "a/b/c/d"])
def test_what_is_no_choice_of_a_bandit_is_not_one(text: object) -> None:
    assert arm_name(text) is None


def test_an_arm_is_named_by_surface_segment_and_mix() -> None:
    name = arm_name("home/known/learned")
    assert name is not None
    assert (name.surface, name.segment, name.arm, name.text) == ("home", "known", "learned", "home/known/learned")


def test_a_trial_counts_when_its_window_has_passed_and_not_before() -> None:
    shown, bought = (seen("a"), 1.0), (did("purchase", "a"), 5.0)

    assert rewards(shown, bought, (TICK, WINDOW - 1)) == []
    assert rewards(shown, bought, (TICK, WINDOW)) == [1.0]
    assert rewards(shown, (TICK, WINDOW)) == [0.0]


def test_what_comes_after_the_window_is_too_late_and_opens_nothing() -> None:
    assert rewards((seen("a"), 1.0), (TICK, WINDOW), (did("purchase", "a"), WINDOW + 5), (TICK, 9 * WINDOW)) == [0.0]
    assert rewards((TICK, WINDOW), (seen("a"), 3.0), (TICK, 9 * WINDOW)) == []


def test_what_was_never_said_to_be_shown_is_no_trial() -> None:
    assert rewards((did("purchase", "a"), 5.0), (TICK, WINDOW)) == []


def test_a_deed_counts_once_a_product_and_no_trial_is_worth_more_than_one_or_less_than_nothing() -> None:
    clicks = [(did("click", "a"), float(n)) for n in range(50)]

    assert rewards((seen("a"), 1.0), *clicks, (TICK, WINDOW)) == [pytest.approx(0.1)]
    assert rewards((seen("a"), 1.0), (did("click", "a"), 2.0), (did("click", "a", "pot"), 2.0), (TICK, WINDOW)) == [0.2]
    assert rewards((seen("a"), 1.0), *[(did("purchase", "a", p), 2.0) for p in "xy"], (TICK, WINDOW)) == [1.0]
    assert rewards((seen("a"), 1.0), (did("dismiss", "a"), 2.0), (TICK, WINDOW)) == [0.0]


def test_an_answer_shown_to_two_shoppers_is_two_trials_and_pages_of_one_shopper_are_one() -> None:
    closed = passed(
        (seen("a"), 1, ALICE), (seen("a"), 2, ALICE), (seen("a"), 3, BOB), (did("click", "a"), 4, BOB), (TICK, 2e3)
    )

    assert sorted(len(trial.deeds) for trial in closed) == [0, 1]


def test_a_trial_does_not_say_whose_it_is() -> None:
    key = trial_key("a", ALICE)
    assert key != trial_key("a", BOB)
    assert ALICE.hex not in key


@given(st.permutations([(seen("a"), 1.0), (did("click", "a"), 9.0), (did("favourite", "a"), 4.0), (seen("a"), 7.0)]))
def test_the_order_in_which_it_is_told_does_not_matter(events: list[tuple[Event, float]]) -> None:
    assert rewards(*events, (TICK, WINDOW)) == [pytest.approx(0.4)]


def shown_by_two(seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Two arms of the same worth; the second is shown more and more. Means of what has closed, and of what is known at once."""
    rng = np.random.default_rng(seed)
    events: list[tuple[Event, float]] = []
    for n in range(4000):
        arm = "second" if rng.random() < n / 4000 else "first"
        token: dict[str, Any] = {"arm": f"home/known/{arm}", "at": float(n)}
        events.append((seen(str(n), **token), float(n)))
        if rng.random() < 0.3:
            events.append((did("purchase", str(n), **token), n + float(rng.exponential(600))))
    trials, closed = Trials(WINDOW), []
    for event, at in sorted(events, key=lambda each: each[1]):
        if at < 4000:
            closed += trials.advance(recorded(event, at))
    early = closed + [trial for trial in trials.open.values() if trial.deeds]  # a reward counts as soon as it comes
    return means(closed), means(early)


def means(trials: list[Trial]) -> dict[str, float]:
    return {
        arm: float(np.mean([t.reward(VALUES, 10.0) for t in trials if t.name.arm == arm]))
        for arm in ("first", "second")
    }


def test_delays_flatter_no_arm_while_rewards_counted_at_once_flatter_the_one_that_is_shown_more_of_late() -> None:
    runs = [shown_by_two(seed) for seed in range(8)]
    waited, at_once = ([run[n]["second"] - run[n]["first"] for run in runs] for n in (0, 1))

    assert abs(np.mean(waited)) < 0.02
    assert np.mean(at_once) > 0.1

"""The bench of online learning: what is made of a curve, how arms come back after a change of taste, and what is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bench.online_learning import ARMS, lost, recovery, summary
from bench.online_shoppers import flipped

FIVE = {"frozen", "weights", "theta", "both", "nightly"}


def point(interactions: int, seen: float | Mapping[str, float], unseen: float = 0.5) -> dict[str, Any]:
    of_arm = seen if isinstance(seen, Mapping) else dict.fromkeys(ARMS, seen)
    return {"interactions": interactions} | {arm: {"seen": of_arm[arm], "unseen": unseen} for arm in ARMS}


def turning(*after: Mapping[str, float]) -> list[dict[str, Any]]:
    """Tastes turn after 2,000: each arm falls from 0.8 to 0.4, so that 0.76 is wanted back."""
    back = (point(3000 + 1000 * n, dict.fromkeys(ARMS, 0.4) | dict(seen)) for n, seen in enumerate(after))
    return [point(0, 0.6), point(1000, 0.7), point(2000, 0.8), point(2000, 0.4), *back]


@pytest.mark.parametrize(
    "curve", [[point(0, 0.6, 0.5), point(1000, 0.8, 0.7)], [point(0, 0.6, 0.5), point(500, 0.4), point(1000, 0.8, 0.7)]]
)
def test_a_summary_has_the_five_arms_with_both_halves_before_and_after(curve: list[dict[str, Any]]) -> None:
    found = summary(curve)

    assert found.keys() == FIVE
    for arm in FIVE:
        assert found[arm] == {"seen": {"before": 0.6, "after": 0.8}, "unseen": {"before": 0.5, "after": 0.7}}


def test_a_summary_with_a_change_of_taste_has_the_same_shape() -> None:
    found = summary(turning({"both": 0.77}))

    assert found.keys() == FIVE
    assert found["both"]["seen"] == {"before": 0.6, "after": 0.77}
    assert found["frozen"]["seen"] == {"before": 0.6, "after": 0.4}


def test_an_arm_is_back_with_nine_tenths_of_what_it_lost_and_is_held_against_nightly() -> None:
    found = recovery(turning({"both": 0.77, "theta": 0.75}, {}, {"theta": 0.76}, {"nightly": 0.79}), 2000)

    assert found.keys() == FIVE | {"turned_at"}
    assert found["both"] == {
        "had": 0.8, "fell_to": 0.4, "recovered_after": 1000, "at_least": None,
        "to_nightly": 0.25, "to_nightly_at_most": None,
    }  # fmt: skip
    assert (found["theta"]["recovered_after"], found["theta"]["to_nightly"]) == (3000, 0.75)
    assert (found["nightly"]["recovered_after"], found["nightly"]["to_nightly"]) == (4000, 1.0)


def test_an_arm_that_never_comes_back_has_no_part_of_nightly_but_a_bound() -> None:
    found = recovery(turning({}, {"nightly": 0.79}), 2000)["both"]

    assert (found["recovered_after"], found["at_least"]) == (None, 2000)
    assert found["to_nightly"] is found["to_nightly_at_most"] is None


def test_where_nightly_never_comes_back_the_rest_of_the_run_bounds_its_part() -> None:
    found = recovery(turning({}, {"both": 0.77}, {}, {}), 2000)

    assert (found["nightly"]["recovered_after"], found["nightly"]["at_least"]) == (None, 4000)
    assert (found["both"]["to_nightly"], found["both"]["to_nightly_at_most"]) == (None, 0.5)


def test_an_arm_that_lost_nothing_is_back_at_once() -> None:
    curve = [point(0, 0.4), point(1000, 0.4), point(1000, dict.fromkeys(ARMS, 0.3) | {"both": 0.4}), point(2000, 0.4)]

    assert recovery(curve, 1000)["both"]["recovered_after"] == 0


def test_a_run_that_ends_where_tastes_turn_says_so() -> None:
    found = recovery(turning(), 2000)

    assert {(found[arm]["recovered_after"], found[arm]["at_least"]) for arm in FIVE} == {(None, 0)}
    assert {found[arm]["to_nightly_at_most"] for arm in FIVE} == {None}


def test_queries_are_lost_by_the_tastes_in_force() -> None:
    tastes = {"mug": {"red": 3.0, "old": 0.0}, "lamp": {"new": 2.0, "dim": 1.0}}
    first, last = {"mug": ["red"], "lamp": ["new", "dim"]}, {"mug": ["old"], "lamp": ["dim", "new"]}

    assert lost(first, last, tastes) == ["mug"]
    assert lost(first, last, flipped(tastes)) == []
    assert lost(last, first, flipped(tastes)) == ["mug"]


def test_what_stands_below_the_first_ten_is_lost() -> None:
    others = [f"other {n}" for n in range(10)]

    assert lost({"mug": ["red"]}, {"mug": [*others, "red"]}, {"mug": {"red": 3.0}}) == ["mug"]

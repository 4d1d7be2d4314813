"""The bench of poisoned ranges: what robots and shuffled shoppers click."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from bench.poison import Visitors

QUERIES = ["mug", "lamp"]
PAGE = [f"product {n}" for n in range(10)]
PAGES: dict[str, Any] = {
    query: {"items": [{"product_id": each} for each in PAGE], "ranking": {"token": "token"}} for query in QUERIES
}
RATINGS = {query: {"product 0": 3.0} for query in QUERIES}  # only what stands first is good


@pytest.fixture
def visitors() -> Visitors:
    return Visitors(QUERIES, RATINGS, seed=1)


def clicks_of(visitors: Visitors, *, visits: int, shuffled: bool) -> tuple[Counter[str], int]:
    """How often each product is clicked, and how many visits had a click."""
    made = [visitors.visit(PAGES, shuffled=shuffled) for _ in range(visits)]
    clicks = [each for events, _ in made for each in events if each["kind"] == "click"]
    assert all(PAGE[each["rank"] - 1] == each["product_id"] for each in clicks)
    return Counter(each["product_id"] for each in clicks), sum(clicked for _, clicked in made)


def test_one_robot_clicks_one_product_for_any_query_under_one_name(visitors: Visitors) -> None:
    clicks = [event for _ in range(40) for event in visitors.robot("pushed", one=True)]

    assert {(each["kind"], each["product_id"], each["shopper_id"]) for each in clicks} == {("click", "pushed", "robot")}
    assert {each["query"] for each in clicks} == set(QUERIES)
    assert len({each["event_id"] for each in clicks}) == 40


def test_many_robots_click_it_under_as_many_names(visitors: Visitors) -> None:
    clicks = [event for _ in range(40) for event in visitors.robot("pushed", one=False)]

    assert {each["product_id"] for each in clicks} == {"pushed"}
    assert len({each["shopper_id"] for each in clicks}) == 40


def test_shoppers_click_what_is_good_and_shuffled_ones_as_often_whatever_was_shown(visitors: Visitors) -> None:
    clean, clicked = clicks_of(visitors.copy(), visits=600, shuffled=False)
    shuffled, clicked_too = clicks_of(visitors, visits=600, shuffled=True)

    assert clean["product 0"] > 0.6 * clean.total()
    assert max(shuffled.values()) < 0.2 * shuffled.total()
    assert shuffled.total() == pytest.approx(clean.total(), rel=0.15)
    assert clicked_too == pytest.approx(clicked, rel=0.15)


def test_a_copy_goes_on_as_the_original_would_have(visitors: Visitors) -> None:
    visitors.visit(PAGES, shuffled=False)
    copy = visitors.copy()

    assert copy.visit(PAGES, shuffled=False) == visitors.visit(PAGES, shuffled=False)

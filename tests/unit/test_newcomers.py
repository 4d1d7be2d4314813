"""Newcomers get places below the first page: the best of them, and nothing is lost or shown twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ranking.strategies.newcomers import EVERY, FIRST_PAGE, with_newcomers


def test_each_eighth_place_below_the_first_page_is_the_best_newcomers() -> None:
    unvisited = [False] * 60 + [True] * 5

    placed = with_newcomers(range(65), unvisited)

    assert placed[:FIRST_PAGE] == list(range(FIRST_PAGE))
    assert [n + 1 for n, i in enumerate(placed[:50]) if unvisited[i]] == [18, 26, 34, 42, 50]
    assert [i for i in placed if unvisited[i]] == [60, 61, 62, 63, 64]
    assert [i for i in placed if not unvisited[i]] == list(range(60))


def test_without_newcomers_nothing_moves() -> None:
    assert with_newcomers([3, 1, 2], [False] * 4) == [3, 1, 2]


@given(st.lists(st.booleans(), max_size=90))
def test_everybody_is_placed_once_and_no_newcomer_moves_down(unvisited: list[bool]) -> None:
    placed = with_newcomers(range(len(unvisited)), unvisited)

    assert sorted(placed) == list(range(len(unvisited)))
    assert all(placed.index(i) <= i for i, new in enumerate(unvisited) if new)
    assert placed[:FIRST_PAGE] == list(range(len(unvisited)))[:FIRST_PAGE]
    assert EVERY > 1

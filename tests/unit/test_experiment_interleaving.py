"""Team-draft interleaving: who picks, whose clicks are whose, and that it favours nobody."""

from __future__ import annotations

from collections import Counter
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.experiments.interleaving import Drafted, credit, team_draft, team_of

rankings = st.permutations(range(8)).map(lambda every: every[:6])
seeds = st.integers(0, 2**64 - 1)


def test_two_rankings_pick_in_turn() -> None:
    drafted = {team_draft("abc", "xyz", k=6, seed=seed).teams[:2] for seed in range(50)}

    assert drafted == {"AB", "BA"}


def test_what_both_begin_with_is_nobodys() -> None:
    drafted = team_draft("abcd", "abdc", k=4, seed=1)

    assert "".join(drafted.items[:2]) == "ab"
    assert drafted.teams.startswith("==")
    assert set(drafted.teams[2:3]) <= {"A", "B"}


def test_when_one_has_ended_the_rest_is_nobodys() -> None:
    drafted = team_draft("ab", "xyzuvw", k=8, seed=3)

    assert sorted(drafted.items) == sorted("abxyzuvw")
    assert drafted.teams.rstrip("-").count("A") == 2
    assert drafted.teams.endswith("---")
    assert team_draft("xyzuvw", "ab", k=8, seed=3).teams.endswith("===")


@given(rankings, rankings, st.integers(1, 12), seeds)
def test_the_list_holds_each_once_the_best_of_both_and_fair_teams(
    first: list[int], second: list[int], k: int, seed: int
) -> None:
    drafted: Drafted[int] = team_draft(first, second, k=k, seed=seed)

    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=True))))
    assert len(set(drafted.items)) == len(drafted.items) == len(drafted.teams) == min(k, len({*first, *second}))
    assert drafted.items[0] in (first[0], second[0])
    assert drafted.teams[:shared].strip("=") == ""
    assert drafted.teams.endswith("-") <= (drafted.items[-1] not in first)
    assert abs(drafted.teams.count("A") - drafted.teams.count("B")) <= 2  # one coin, and one rank of the beginning


@given(rankings, rankings, seeds, st.integers(1, 6))
def test_a_longer_list_begins_like_the_shorter_one(
    first: list[int], second: list[int], seed: int, k: int
) -> None:  # so that a second page goes on from the first
    short, long = (team_draft(first, second, k=most, seed=seed) for most in (k, 12))

    assert long.items[:k] == short.items
    assert long.teams[: len(short.teams)] == short.teams


@pytest.mark.parametrize(("first", "second"), [("abcdef", "fedcba"), ("abcdef", "abdcfe"), ("abcdef", "bacdef")])
def test_who_clicks_without_regard_to_quality_favours_none(first: str, second: str) -> None:
    outcomes = Counter(credit(team_draft(first, second, k=6, seed=seed).teams, [1 + seed % 6]) for seed in range(6000))

    decided = outcomes[1] + outcomes[-1]
    assert abs(outcomes[1] - outcomes[-1]) < 3.3 * decided**0.5


def test_more_clicks_win_and_unknown_ranks_count_for_nobody() -> None:
    assert [credit("AB=BA", clicked) for clicked in ([1], [2, 4], [1, 2], [3], [0, 9], [])] == [-1, 1, 0, 0, 0, 0]
    assert team_of("AB", None) == "="

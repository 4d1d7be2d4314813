"""A mix is fitted to what shoppers took: it finds the mix they chose by, and says how likely each product is."""

from __future__ import annotations

import numpy as np
import pytest

from ranking.relevance import sigmoid
from ranking.strategies.fitting import Case, coefficients_fit, intercept_fit, mix_fit
from ranking.strategies.mixes import MIXES
from ranking.strategies.mixing import TERMS


def cases_of(truth: np.ndarray, count: int, seed: int = 0, candidates: int = 40) -> list[Case]:
    """Shoppers who choose by `truth`, each one product of her candidates."""
    chance = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        evidence = chance.exponential(size=(candidates, len(truth))) * (chance.random((candidates, len(truth))) < 0.4)
        odds = np.exp(evidence @ truth)
        taken = np.zeros(candidates, dtype=bool)
        taken[chance.choice(candidates, p=odds / odds.sum())] = True
        found.append(Case(evidence, taken))
    return found


def test_it_finds_the_mix_that_shoppers_choose_by() -> None:
    truth = np.array([1.5, 0.0, 0.7, -0.5])

    found = coefficients_fit(cases_of(truth, 4000), start=np.zeros(4))

    assert found == pytest.approx(truth, abs=0.12)


def test_it_comes_to_the_same_from_anywhere_and_twice() -> None:
    cases = cases_of(np.array([1.0, 0.3]), 300)
    here, there = coefficients_fit(cases, start=np.zeros(2)), coefficients_fit(cases, start=np.array([3.0, -3.0]))

    assert there == pytest.approx(here, abs=0.05)
    assert (coefficients_fit(cases, start=np.zeros(2)) == here).all()


def test_what_the_cases_say_nothing_of_stays_where_it_was() -> None:
    cases = [Case(np.pad(case.evidence, ((0, 0), (0, 1))), case.taken) for case in cases_of(np.array([1.0]), 200)]

    assert coefficients_fit(cases, start=np.array([0.5, 0.25]))[1] == pytest.approx(0.25)


def test_one_case_with_one_candidate_is_no_reason_to_move_or_to_fail() -> None:
    assert coefficients_fit([Case(np.ones((1, 2)), np.array([True]))], start=np.array([1.0, 2.0])) == pytest.approx(
        [1.0, 2.0]
    )
    with pytest.raises(ValueError, match="no cases"):
        coefficients_fit([], start=np.zeros(2))


def test_huge_evidence_overflows_nothing() -> None:
    cases = [Case(case.evidence * 1e6, case.taken) for case in cases_of(np.array([1.0, 0.5]), 100)]

    assert np.isfinite(coefficients_fit(cases, start=np.zeros(2))).all()


def test_relevances_add_up_to_what_was_taken() -> None:
    cases = cases_of(np.array([1.0, 0.3]), 200)
    coefficients = coefficients_fit(cases, start=np.zeros(2))

    intercept = intercept_fit(cases, coefficients)

    expected = sum(sigmoid(case.evidence @ coefficients + intercept).sum() for case in cases)
    assert expected == pytest.approx(200, rel=1e-6)


def test_a_fitted_mix_names_its_terms() -> None:
    mix = mix_fit(cases_of(np.linspace(0, 1, len(TERMS)), 100), start=MIXES["home"][0])

    assert mix.name == "learned"
    assert tuple(mix.coefficients) == TERMS


def test_one_of_several_at_the_top_is_worth_more_than_all_in_the_middle() -> None:
    evidence = np.array([[3.0], [0.0], [0.0], [0.5], [0.5], [0.5]])  # the first is taken, and so are two with the least
    cases = [Case(evidence, np.array([True, True, True, False, False, False]))]

    assert coefficients_fit(cases, start=np.zeros(1))[0] > 1.0

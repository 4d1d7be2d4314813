"""Paired over queries: how sure it is that one version is better than another."""

import numpy as np
import pytest

from ranking.learning.paired import by_query, least_gain, student


def test_each_query_counts_once_however_often_it_was_asked() -> None:
    changes = np.array([0.1, 0.3, np.nan, -0.2, np.nan])

    assert by_query(changes, ["mug", "mug", "mug", "pot", "lamp"]) == pytest.approx([0.2, -0.2])
    assert len(by_query(np.zeros(0), [])) == 0


@pytest.mark.parametrize(("freedom", "quantile"), [(3, 3.182), (7, 2.365), (20, 2.086), (1000, 1.962)])
def test_students_quantile_is_that_of_the_tables(freedom: int, quantile: float) -> None:
    assert student(0.975, freedom) == pytest.approx(quantile, rel=0.01)


def test_the_least_gain_is_below_the_mean_by_students_interval_and_one_query_is_certain_of_nothing() -> None:
    changes = np.array([0.1, 0.2, 0.3, 0.4])

    assert least_gain(changes, certainty=0.975) == pytest.approx(0.25 - 3.182 * changes.std(ddof=1) / 2, abs=2e-3)
    assert least_gain(changes[:1], certainty=0.975) == float("-inf")

"""The bench of queries with errors: what the steps of a version took."""

import pytest

from bench.robustness import seconds_of


def test_the_first_step_which_warms_up_counts_as_much_as_the_others() -> None:
    assert seconds_of([0.0, 5.0, 6.0, 7.0]) == pytest.approx(3.0)


def test_one_step_takes_its_own_time_and_none_takes_none() -> None:
    assert seconds_of([1.0, 3.0]) == 2.0
    assert seconds_of([1.0]) == 0.0

"""How candidates are looked for: which words find them, and statements that do not depend on the caller's values."""

from __future__ import annotations

import numpy as np
import pytest

from ranking.lexical import READ, essential_terms
from ranking.retrieval import candidates_sql, published_count
from ranking.vector_formats import vector_text


def test_all_words_find_candidates_while_they_are_rare() -> None:
    assert essential_terms([3, 10, 500]) == [True, True, True]


def test_words_that_half_the_catalogue_has_only_rank_what_the_rarer_ones_found() -> None:
    assert essential_terms([READ, 5, READ]) == [False, True, False]


def test_a_common_word_alone_finds_its_products() -> None:
    assert essential_terms([10 * READ]) == [True]
    assert essential_terms([10 * READ, 20 * READ]) == [True, False]


def test_words_that_no_product_has_cost_nothing_and_stop_nothing() -> None:
    assert essential_terms([-1, READ]) == [True, True]
    assert essential_terms([]) == []


def test_a_word_that_no_product_has_does_not_stand_for_one_that_many_have() -> None:
    assert essential_terms([-1, 2 * READ]) == [True, True]
    assert essential_terms([2 * READ, -8, 3 * READ]) == [True, True, False]


@pytest.mark.parametrize(("told", "published"), [(0, 0), (7, 7), (-1, 0), (-8, 7)])
def test_a_word_that_is_gone_counts_as_it_was_published(told: int, published: int) -> None:
    assert published_count(told) == published


def test_a_vector_is_written_so_that_it_is_read_back_exactly() -> None:
    vector = np.array([0.1, -1e-9, 3.0], dtype=np.float32)

    assert np.array_equal(np.array(vector_text(vector)[1:-1].split(","), dtype=np.float32), vector)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("exact", [True, False])
def test_a_statement_without_vectors_asks_for_none(whole: bool, exact: bool) -> None:
    sql = candidates_sql(table=None, conditions="", whole=whole, exact=exact, probe=False)

    assert "%(vector)s" not in sql
    assert ("(SELECT id FROM fresh)" in sql) is not whole


def test_an_exact_scan_keeps_away_from_the_approximate_index() -> None:
    exact = candidates_sql(table="t", conditions="", whole=False, exact=True, probe=False)
    approximate = candidates_sql(table="t", conditions="", whole=False, exact=False, probe=False)

    assert "%(vector)s::vector) + 0 LIMIT" in exact
    assert "%(vector)s::vector) LIMIT" in approximate

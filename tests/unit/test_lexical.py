"""BM25 over weighted fields, against its closed form and its extremes."""

import math

import numpy as np
import pytest

from ranking.lexical import ATTRIBUTE, DESCRIPTION, K1, TITLE, B, document_terms, idf, lexical_score, saturate

MUG = {
    "title": "Stoneware mug",
    "brand": "Kiln",
    "category": ["Kitchen", "Mugs"],
    "description": "A mug for tea.",
    "attributes": {"colour": "blue", "dishwasher_safe": True, "lid": False, "volume_ml": 350, "gifts": ["tea", "tea"]},
    "language": "en",
}


def test_a_term_weighs_what_its_fields_weigh() -> None:
    frequencies, length = document_terms(MUG)

    assert frequencies["mug"] == TITLE + TITLE + DESCRIPTION  # title, category, description
    assert frequencies["tea"] == DESCRIPTION + ATTRIBUTE  # however often attributes repeat it
    assert length == 2 * TITLE + 1 + 2 * TITLE + 4


def test_attributes_say_what_the_product_has_not_what_it_lacks_nor_bare_numbers() -> None:
    frequencies, _ = document_terms(MUG)

    assert {"blue", "dishwash", "safe"} <= frequencies.keys()
    assert not {"lid", "350", "colour"} & frequencies.keys()


def test_attributes_do_not_make_a_product_longer() -> None:
    assert document_terms(MUG)[1] == document_terms(MUG | {"attributes": {}})[1]


def test_a_title_is_enough() -> None:
    assert document_terms({"title": "Mug"}) == ({"mug": TITLE}, TITLE)


def test_idf_is_the_closed_form_and_stays_positive() -> None:
    assert idf(3, 10) == pytest.approx(math.log(1 + 7.5 / 3.5))
    assert idf(10, 10) > 0
    assert idf(12, 10) == idf(10, 10)
    assert idf(0, 0) > 0


def test_saturation_is_bm25_and_agrees_on_arrays() -> None:
    expected = 2.0 * (K1 + 1) / (2.0 + K1 * (1 - B + B * 30 / 20))

    assert saturate(2.0, 30.0, 20.0) == pytest.approx(expected)
    assert saturate(np.array([2.0]), np.array([30.0]), 20.0)[0] == pytest.approx(expected)


def test_saturation_stays_below_its_bound_and_lengths_are_optional() -> None:
    assert saturate(1e9, 20.0, 20.0) == pytest.approx(K1 + 1)
    assert saturate(1.0, 20.0, 0.0) == saturate(1.0, 20.0, 20.0)


def test_lexical_score_reaches_one_at_endless_frequencies_only() -> None:
    idfs = [2.0, 1.0]
    endless = sum(idfs) * (K1 + 1)

    assert lexical_score(np.array([0.0, endless / 2, endless, endless * 2]), idfs).tolist() == [0.0, 0.5, 1.0, 1.0]


def test_a_query_without_terms_has_no_lexical_evidence() -> None:
    assert lexical_score(np.zeros(2), []).tolist() == [0.0, 0.0]

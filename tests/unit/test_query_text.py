"""A query's terms with their variants, and which of them nobody's products have."""

from __future__ import annotations

from ranking.query_text import MOST_GROUPS, QueryText

SHOES = QueryText((("shoe", "schuh"), ("red",), ("xqz",)))


def test_terms_are_the_variants_in_order() -> None:
    assert SHOES.terms == ["shoe", "schuh", "red", "xqz"]


def test_a_word_weighs_as_much_as_its_rarest_variant() -> None:
    assert SHOES.largest([1.0, 3.0, 0.5, 2.0]) == [3.0, 0.5, 2.0]


def test_a_word_is_unknown_when_no_product_has_any_variant_of_it() -> None:
    assert SHOES.unknown([4, -1, 0, -1]) == [2]
    assert SHOES.unknown([-1, -3, 0, 5]) == [0]


def test_an_empty_query_has_no_terms() -> None:
    assert QueryText(()).terms == []
    assert QueryText(()).largest([]) == []


def test_a_page_of_text_is_read_by_its_rarest_words_in_their_order() -> None:
    page = QueryText(tuple((f"word{n}",) if n % 2 else (f"word{n}", f"wort{n}") for n in range(200)))
    documents = [int(term[4:]) + 1 for term in page.terms]

    kept, counts = page.rarest(documents)

    assert [group[0] for group in kept.groups] == [f"word{n}" for n in range(MOST_GROUPS)]
    assert counts == [int(term[4:]) + 1 for term in kept.terms]


def test_what_shoppers_type_is_read_whole() -> None:
    assert SHOES.rarest([4, -1, 0, -1]) == (SHOES, [4, -1, 0, -1])


def test_of_a_page_the_words_that_no_product_has_are_left_out_first() -> None:
    page = QueryText((*((f"xqz{n}",) for n in range(200)), ("shoe", "schuh")))

    kept, counts = page.rarest([*(-1 for _ in range(200)), 4, -1])

    assert kept.groups == (*((f"xqz{n}",) for n in range(MOST_GROUPS - 1)), ("shoe", "schuh"))
    assert counts == [*(-1 for _ in range(MOST_GROUPS - 1)), 4, -1]

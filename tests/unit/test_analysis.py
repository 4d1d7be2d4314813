"""What shoppers type meets what products say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.analysis import LONGEST_KEPT, _kept_terms, fold, query_terms, terms


def meets(query: str, product: str, *, language: str = "en") -> bool:
    said = set(terms(product, language=language))
    return all(said & set(variants) for variants in query_terms(query, languages=[language, "en"]))


@pytest.mark.parametrize(
    ("query", "product", "language"),
    [
        ("SNEAKERS", "red sneaker", "en"),
        ("creme brulee torch", "Crème Brûlée Torch", "fr"),
        ("rote schuhe", "Roter Schuh", "de"),
        ("strasse", "Straße", "de"),
        ("men's shoes", "shoes for men", "en"),
        ("красные наушники", "Красный наушник", "ru"),
        ("ｂｌｕｅｔｏｏｔｈ", "Bluetooth speaker", "en"),
        ("كتاب", "الكتاب", "ar"),
    ],
)
def test_a_query_without_a_language_meets_products_of_any(query: str, product: str, language: str) -> None:
    assert meets(query, product, language=language)


@pytest.mark.parametrize(
    ("query", "product"),
    [
        ("MBS-100", "Trevi MBS 100"),
        ("mbs100", "Trevi MBS-100"),
        ("mbs", "Trevi MBS-100"),
        ("dv7", "HP Pavilion dv7-1211ea"),
        ("1211ea", "HP Pavilion dv7-1211ea"),
        ("43.2", "43,2 cm display"),
        ("43", "43.2 cm display"),
        ("usb-c", "USB-C cable"),
        ("usbc", "USB-C cable"),
        ("500 gb", "500GB disk"),
        ("iphone 13", "iPhone13 case"),
        ("h&m", "H&M shirt"),
    ],
)
def test_a_model_number_is_found_whole_and_in_parts(query: str, product: str) -> None:
    said = set(terms(product))

    assert any(said & set(variants) for variants in query_terms(query))
    assert set(terms(query)[1:]) <= said or set(terms(query)[:1]) <= said


def test_a_decimal_is_not_the_number_without_its_point() -> None:
    assert "43.2" in terms("43.2 cm")
    assert "432" not in terms("43.2 cm")


@pytest.mark.parametrize(
    ("query", "product"),
    [
        ("运动鞋", "红色运动鞋男"),
        ("鞋", "运动鞋"),
        ("シューズ", "ランニングシューズ"),
        ("รองเท้า", "รองเท้าวิ่งสีแดง"),
        ("스피커", "블루투스 스피커를"),
    ],
)
def test_languages_without_spaces_are_found_by_their_words(query: str, product: str) -> None:
    assert set(terms(query)) & set(terms(product))


def test_words_of_hindi_keep_their_vowel_signs() -> None:
    assert len(terms("हिन्दी किताबें")) == 2


def test_a_word_that_languages_stem_alike_has_one_variant() -> None:
    assert query_terms("bluetooth", languages=["en", "zh"]) == [("bluetooth",)]
    assert query_terms("schuhe", languages=["de", "en"]) == [("schuh", "schuhe")]


@pytest.mark.parametrize("text", ["", "   ", "!!!", "🎧🎧", "\x00"])
def test_a_text_without_words_has_no_terms(text: str) -> None:
    assert terms(text) == []
    assert query_terms(text) == []


@given(st.text(max_size=80), st.sampled_from(["en", "de", "zh", "ar", None, "xx", "pt-BR"]))
def test_any_text_can_be_analysed(text: str, language: str | None) -> None:
    found = terms(text, language=language)

    assert all(term and not term.isspace() for term in found)
    assert set(found) == {term for variants in query_terms(text, languages=[language]) for term in variants}


@given(st.text(max_size=80))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_only_words_are_kept_and_no_sentences_without_spaces() -> None:
    _kept_terms.cache_clear()

    assert terms("防" * LONGEST_KEPT)
    assert terms("水" * (LONGEST_KEPT + 1))
    assert _kept_terms.cache_info().currsize == 1

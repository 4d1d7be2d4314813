"""What changed between two description versions, as HTML that cannot bite."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from catalog.diffs import content_diff, text_diff


def test_it_marks_the_words_that_changed() -> None:
    assert text_diff("a red mug", "a blue mug") == "a <del>red</del><ins>blue</ins> mug"


def test_it_marks_single_characters_where_words_have_no_spaces() -> None:
    assert text_diff("青花瓷茶杯", "青花瓷酒杯") == "青花瓷<del>茶</del><ins>酒</ins>杯"


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_but_its_own_marks_is_html(old: str, new: str) -> None:
    html = text_diff(old, new)
    for mark in ("<ins>", "</ins>", "<del>", "</del>"):
        html = html.replace(mark, "")  # type: ignore[assignment]

    assert "<" not in html
    assert ">" not in html


def test_only_fields_that_changed_are_told() -> None:
    old = {"title": "Mug", "brand": None, "category": ["Kitchen"], "attributes": {"w": 1}}
    new = {"title": "Mug", "brand": "Tonwerk", "category": ["Kitchen", "Cups"], "attributes": {"w": 1}}

    assert [each.field for each in content_diff(old, new)] == ["brand", "category"]


def test_a_long_text_is_shown_whole() -> None:
    assert text_diff("a " * 5000, "b").startswith("<del>a a ")

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.contexts import Context, context_key, query_context


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("  Blu-ray   PLAYER ", "blu ray player"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("c++", "c++"),
        ("蓝牙 音箱！", "蓝牙 音箱"),
        ("\u200fسماعة\u200e", "سماعة"),
        ("🎁 for mum!", "🎁 for mum"),
        ("zero\u200bwidth and soft\u00adhyphen", "zerowidth and softhyphen"),
        ("<b>bold</b> '; DROP TABLE shop;--", "<b>bold< b> drop table shop"),
        ("nul\x00 and \ud800", "nul and"),
    ],
)
def test_the_key_is_what_queries_that_look_alike_share(text: str, key: str) -> None:
    assert context_key(text) == key


@pytest.mark.parametrize("text", ["", "   ", "?!…", "\u200b", "\t\n"])
def test_a_query_of_which_nothing_is_left_has_no_context(text: str) -> None:
    assert query_context(text) is None


def test_a_context_keeps_the_query_as_typed() -> None:
    assert query_context("Mugs!") == Context("query", "mugs", "Mugs!")


@given(st.text(st.characters()))
def test_normalising_again_changes_nothing(text: str) -> None:
    assert context_key(context_key(text)) == context_key(text)


@given(st.text(st.characters(), min_size=200, max_size=1000))
def test_a_key_always_fits_an_index_entry(text: str) -> None:
    assert len(context_key(text)) <= 240


def test_long_queries_that_differ_at_the_end_have_keys_of_their_own() -> None:
    assert context_key("a" * 900 + "b") != context_key("a" * 900 + "c")

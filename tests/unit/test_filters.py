"""Filters as they are read from the query string: conditions with named parameters, never text of the caller's in SQL."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.filters import BadFilter, filters_parse


def only(*texts: str) -> tuple[str, dict[str, object]]:
    (found,) = filters_parse(texts)
    return found.condition, found.params


def test_values_of_one_field_are_alternatives() -> None:
    assert only("brand:HP", "brand:Trevi") == ("p.brand = ANY(%(filter_0)s::text[])", {"filter_0": ["HP", "Trevi"]})


def test_fields_restrict_each_other_and_have_parameters_of_their_own() -> None:
    found = filters_parse(["brand:HP", "category:Printers", "brand:Epson"])

    assert [each.params for each in found] == [{"filter_0": ["HP", "Epson"]}, {"filter_1": ["Printers"]}]


def test_only_the_first_colon_parts_a_name_from_its_value() -> None:
    assert only("brand:A:B")[1] == {"filter_0": ["A:B"]}
    assert only("attributes.ratio:16:9")[1] == {"filter_0_name": "ratio", "filter_0": ["16:9"]}


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [("10..50", 10, 50), ("10..", 10, inf), ("..50", 0, 50), ("12.5", 12.5, 12.5), ("50..10", 50, 10), ("0", 0, 0)],
)
def test_a_price_range_has_two_ends(value: str, low: float, high: float) -> None:
    assert only(f"price:{value}")[1] == {"filter_0_0_0": low, "filter_0_0_1": high}


def test_price_ranges_are_alternatives() -> None:
    condition, params = only("price:..10", "price:90..")

    assert condition.count(" OR ") == 1
    assert list(params.values()) == [0, 10, 90, inf]


@pytest.mark.parametrize("value", ["true", "TRUE", "False"])
def test_stock_is_true_or_false(value: str) -> None:
    assert only(f"in_stock:{value}")[1] == {"filter_0": [value.lower() == "true"]}


@given(st.lists(st.text(max_size=30) | st.from_regex(r"(brand|price|in_stock|attributes\.x):.{0,9}", fullmatch=True)))
def test_whatever_is_asked_either_is_refused_or_stays_out_of_the_sql(texts: list[str]) -> None:
    try:
        found = filters_parse(texts)
    except BadFilter:
        return
    names = [name for each in found for name in each.params]
    assert len(names) == len(set(names))
    allowed = set("abcdefghijklmnopqrstuvwxyz_0123456789.%()[]:=<>&ANYORD -")
    assert all(set(each.condition) <= allowed for each in found)

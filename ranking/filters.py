"""Filters, facets and sort orders of a search: read from the query string, written as SQL over catalog_product p (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan
from typing import Any, Literal, get_args

from eventlog.errors import FreshetError

Sort = Literal["relevance", "price", "-price", "newest"]
Facet = Literal["brand", "category", "price"]
SORTS: tuple[Sort, ...] = get_args(Sort)
FACETS: tuple[Facet, ...] = get_args(Facet)
_FIELDS = "brand, category, price, in_stock, language, product_id, attributes.<name>"


class BadFilter(FreshetError):
    """A filter is written field:value, for example brand:HP, price:10..50 or attributes.colour:Black."""

    code = "bad_filter"


@dataclass(frozen=True, slots=True)
class Filter:
    """What a product must have: a condition on catalog_product p, and the values of its named parameters."""

    condition: str
    params: dict[str, Any]


def filters_sql(filters: Sequence[Filter]) -> str:
    """The conditions of these filters, to go on a WHERE over catalog_product p."""
    return "".join(f" AND {each.condition}" for each in filters)


def filters_params(filters: Sequence[Filter]) -> dict[str, Any]:
    """The values of their named parameters."""
    return {name: value for each in filters for name, value in each.params.items()}


def filters_parse(texts: Sequence[str]) -> list[Filter]:
    """Read filters: values of one field are alternatives, fields restrict each other. Raises BadFilter."""
    by_field: dict[str, list[str]] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name or not value or "\0" in text:
            raise BadFilter(field="filter")
        by_field.setdefault(name, []).append(value)
    return [_filter(name, values, f"filter_{n}") for n, (name, values) in enumerate(by_field.items())]


def _filter(name: str, values: list[str], at: str) -> Filter:
    if name in ("brand", "language", "product_id"):
        return Filter(f"p.{name} = ANY(%({at})s::text[])", {at: values})
    if name == "category":
        return Filter(f"p.category && %({at})s::text[]", {at: values})
    if name == "in_stock":
        return Filter(f"p.in_stock = ANY(%({at})s::boolean[])", {at: [_boolean(value) for value in values]})
    if name == "price":
        return _price_filter([_price_range(value) for value in values], at)
    if name.startswith("attributes.") and len(name) > len("attributes."):
        wanted = [value.lower() for value in values]
        return Filter(
            f"lower(p.attributes ->> %({at}_name)s) = ANY(%({at})s::text[])", {f"{at}_name": name[11:], at: wanted}
        )
    raise BadFilter(f"{name[:50]!r} cannot be filtered by; the fields are {_FIELDS}.", field="filter")


def _price_filter(ranges: list[tuple[float, float]], at: str) -> Filter:
    params = {f"{at}_{n}_{end}": bounds[end] for n, bounds in enumerate(ranges) for end in (0, 1)}
    conditions = [f"(p.price >= %({at}_{n}_0)s AND p.price <= %({at}_{n}_1)s)" for n in range(len(ranges))]
    return Filter(f"({' OR '.join(conditions)})", params)


def _boolean(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise BadFilter(f"in_stock is true or false, not {value[:50]!r}.", field="filter")
    return value.lower() == "true"


def _price_range(value: str) -> tuple[float, float]:
    low, dots, high = value.partition("..")
    try:
        if not (low or high):
            raise ValueError
        bounds = (float(low or 0.0), float(high) if high else inf) if dots else (float(low), float(low))
    except ValueError:
        bounds = (inf, inf)
    if not isfinite(bounds[0]) or isnan(bounds[1]):
        raise BadFilter(f"a price range is written 10..50, 10.. or ..50, not {value[:50]!r}.", field="filter")
    return bounds

"""Query strings and bodies of ranking's calls, checked: a bad value gets an error that names the field and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from django.http import QueryDict
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from eventlog.errors import FreshetError
from feedback.contexts import query_context
from ranking.filters import FACETS, SORTS, Facet, Sort, filters_parse
from ranking.moments import Moment
from ranking.serving import SearchRequest

LONGEST_QUERY = 1000
MOST_ITEMS = 100
DEEPEST = 1000
_SEARCH_FIELDS = frozenset(
    {"q", "k", "offset", "shopper_id", "shopper_signature", "filter", "facets", "sort", "explain"}
)


class QueryEmpty(FreshetError):
    """q is empty: say what the shopper typed."""

    code = "query_empty"


class QueryTooLong(FreshetError):
    """q has more than 1,000 characters."""

    code = "query_too_long"


class BadParameter(FreshetError):
    """A parameter has a value that it cannot have."""

    code = "bad_parameter"


class UnknownParameter(FreshetError):
    """This call has no such parameter."""

    code = "unknown_parameter"


def search_read(params: QueryDict, *, shop_id: int, now: datetime) -> SearchRequest:
    """Read the query string of a search. Raises the errors above and BadFilter."""
    check_names(params, _SEARCH_FIELDS)
    filters = params.getlist("filter")
    return SearchRequest(
        shop_id=shop_id,
        q=query_text(params.get("q")),
        k=integer(params, "k", default=20, least=1, most=MOST_ITEMS),
        offset=integer(params, "offset", default=0, least=0, most=DEEPEST),
        filters=filters_parse(filters),
        filter_texts=filters,
        facets=_facets(params.get("facets", "")),
        sort=_sort(params.get("sort", "relevance")),
        explain=switch(params.get("explain", "0"), "explain"),
        now=now.timestamp(),
    )


def query_text(text: str | None, *, field: str = "q") -> str:
    """A query as it is searched for: white space collapsed. Raises QueryEmpty, QueryTooLong, which name the field."""
    if text is None or not (bare := " ".join(text.replace("\0", " ").split())):
        raise QueryEmpty(f"{field} is empty: say what the shopper typed.", field=field)
    if len(text) > LONGEST_QUERY:
        raise QueryTooLong(f"{field} has {len(text)} characters; {LONGEST_QUERY} are allowed.", field=field)
    return bare.encode("utf-8", "replace").decode()


def check_names(params: QueryDict, known: frozenset[str]) -> None:
    """Refuse a parameter that would be ignored: it is a mistake of the caller's that nobody would notice."""
    for name in params:
        if name not in known:
            raise UnknownParameter(f"{name!r} is none of {', '.join(sorted(known))}.", field=name[:100])


def integer(params: QueryDict, name: str, *, default: int, least: int, most: int) -> int:
    """A whole number within bounds."""
    text = params.get(name, str(default))
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if not least <= number <= most:
        raise BadParameter(f"{name} is a whole number from {least} to {most}, not {text[:50]!r}.", field=name)
    return number


def _facets(text: str) -> Sequence[Facet]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in FACETS:
            raise BadParameter(f"{name[:50]!r} is none of the facets {', '.join(FACETS)}.", field="facets")
    return [facet for facet in FACETS if facet in names]


def _sort(text: str) -> Sort:
    for sort in SORTS:
        if text == sort:
            return sort
    raise BadParameter(f"sort is one of {', '.join(SORTS)}, not {text[:50]!r}.", field="sort")


def switch(text: str, name: str) -> bool:
    """1 or 0."""
    if text not in ("0", "1", "true", "false"):
        raise BadParameter(f"{name} is 1 or 0, not {text[:50]!r}.", field=name)
    return text in ("1", "true")


def _says_something(query: str) -> str:
    if query_context(query) is None:  # it would be read as a weight for every query
        raise PydanticCustomError("query_empty", "A query has a word; leave it out for a weight that counts for all")
    return query


class WeightIn(BaseModel):
    """One weight of `PUT /v1/weights`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    product_id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
    weight: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False, strict=False)]
    query: Annotated[str, Field(max_length=LONGEST_QUERY), AfterValidator(_says_something)] | None = None
    until: Moment | None = None

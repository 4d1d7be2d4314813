"""The shop's judgement list: how well a product answers a query, in the eyes of those who know the catalogue.

The newest rating of a query and product counts. Ratings change no ranking by themselves: models learn from them
(`train --supervised`) and are judged by them (the gate).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from eventlog.database import rows, scalar
from eventlog.errors import FreshetError
from eventlog.events import NewEvent
from eventlog.receipts import receipt_make
from eventlog.rejections import Rejection, rejection_of
from eventlog.selectors import heads
from eventlog.services import append
from feedback.contexts import context_key
from ranking.events import JudgementGiven, judgement_stream

MOST_JUDGEMENTS = 1000
BEST = 3  # the largest rating; 0 is "no answer to this query"
_NO_NUL = r"^[^\x00]*$"  # the one character that PostgreSQL cannot hold


class BadJudgements(FreshetError):
    """The body is {"judgments": [{"query": "...", "product_id": "...", "rating": 3}]}."""

    code = "bad_judgments"


class TooManyJudgements(FreshetError):
    """A call takes up to 1,000 judgements; send several."""

    code = "too_many_judgments"


def _says_something(query: str) -> str:
    if not context_key(query):
        raise PydanticCustomError("empty", "A query has a word; this one has none")
    return query


class JudgementIn(BaseModel):
    """One judgement of `POST /v1/judgments`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: Annotated[str, Field(min_length=1, max_length=1000, pattern=_NO_NUL), AfterValidator(_says_something)]
    product_id: Annotated[str, Field(min_length=1, max_length=200, pattern=_NO_NUL)]
    rating: Annotated[float, Field(ge=0, le=BEST, allow_inf_nan=False)] = Field(
        description="3: just what was meant; 2: fits; 1: related; 0: no answer to this query"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedResult:
    """What became of a batch; accepted + duplicates + rejected is its length. `row_id` is the newest event row or 0."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]
    row_id: int
    receipt: str


@dataclass(slots=True)
class _Batch:
    """The readable items of a batch: for each query and product the last one; `repeats` counts those before it."""

    judgements: dict[str, JudgementGiven] = field(default_factory=dict)  # by stream
    rejected: list[Rejection] = field(default_factory=list)
    repeats: int = 0


def judgements_of(body: Any) -> list[Any]:
    """Take the items out of a body, unchecked. Raises BadJudgements."""
    items = body.get("judgments") if isinstance(body, dict) and set(body) == {"judgments"} else None
    if not isinstance(items, list):
        raise BadJudgements(field="judgments")
    return items


def judgements_record(*, shop_id: int, items: Sequence[object], now: datetime) -> JudgedResult:
    """Record judgements, each item answered on its own; a product need not be known yet.

    What says nothing new appends nothing and counts as duplicate. Of several for one query and product in a batch the
    last counts, and the others are its duplicates: events of one call have no order among them. Raises TooManyJudgements.
    """
    if len(items) > MOST_JUDGEMENTS:
        raise TooManyJudgements(field="judgments")
    batch = _parse(items)
    known = heads(shop_id=shop_id, streams=list(batch.judgements))
    # no expected version: of two writers who meet on a pair the one that comes second in the log counts
    events = [
        NewEvent(event=given, stream=stream, state={"rating": given.rating}, occurred_at=now)
        for stream, given in batch.judgements.items()
        if (known[stream].state or {}).get("rating") != given.rating
    ]
    row_id = max((appended.id or 0 for appended in append(shop_id=shop_id, events=events)), default=0)
    row_id = row_id or _newest_row(shop_id, list(batch.judgements))
    return JudgedResult(
        accepted=len(events),
        duplicates=len(batch.judgements) - len(events) + batch.repeats,
        rejected=batch.rejected,
        row_id=row_id,
        receipt=receipt_make(shop_id=shop_id, row_id=row_id),
    )


def _parse(items: Sequence[object]) -> _Batch:
    batch = _Batch()
    for index, item in enumerate(items):
        try:
            given = JudgementIn.model_validate(item)
        except ValidationError as error:
            batch.rejected.append(rejection_of(error, model=JudgementIn, index=index))
            continue
        key = context_key(given.query)
        stream = judgement_stream(key, given.product_id)
        batch.repeats += stream in batch.judgements
        batch.judgements[stream] = JudgementGiven(
            query=given.query, context_key=key, product_id=given.product_id, rating=given.rating
        )
    return batch


_NEWEST_ROW = """
SELECT max(e.id) FROM eventlog_stream s
  JOIN eventlog_event e ON e.shop_id = s.shop_id AND e.stream = s.stream AND e.version = s.version
 WHERE s.shop_id = %s AND s.stream = ANY(%s::text[])"""


def _newest_row(shop_id: int, streams: list[str]) -> int:
    """The row to wait for when a batch said nothing new: it may have been said a moment ago."""
    return int(scalar(_NEWEST_ROW, [shop_id, streams]) or 0)


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query as it was judged last, and the ratings of its products, 0 to 3."""

    key: str
    text: str
    ratings: Mapping[str, float]


# the newest judgement of each pair at a position; a query is asked as it was written last
_AT = """
SELECT context_key, query, product_id, rating, position FROM (
  SELECT DISTINCT ON (context_key, product_id) context_key, query, product_id, rating, position
    FROM ranking_judgement WHERE shop_id = %s AND position <= %s
   ORDER BY context_key, product_id, position DESC) newest
 ORDER BY position"""


def judgements_at(*, shop_id: int, position: int) -> list[JudgedQuery]:
    """The judgement list as it was at a position of the log, by key; always the same for the same position."""
    ratings: dict[str, dict[str, float]] = {}
    texts: dict[str, str] = {}
    for key, query, product_id, rating, _ in rows(_AT, [shop_id, position]):
        ratings.setdefault(key, {})[product_id] = rating
        texts[key] = query
    return [JudgedQuery(key, texts[key], dict(sorted(ratings[key].items()))) for key in sorted(ratings)]


def judgements_position(*, shop_id: int) -> int:
    """The position of a shop's newest judgement that can be read, 0 when there is none."""
    return int(scalar("SELECT coalesce(max(position), 0) FROM ranking_judgement WHERE shop_id = %s", [shop_id]))

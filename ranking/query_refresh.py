"""Stored result lists: for each of a shop's busiest queries what it found last, refreshed when that is out of date.

A list never serves a search. A search is always computed: that is freshness, and a stored answer could only be older
than one. Lists are there

- to keep the vectors of head queries warm under the version that serves, so that none of them waits for the encoder;
- to see what moved: how far a head query's answer went from its last list, and which products entered and left it.

A list is made by what answers a search, `ranking.serving.rank`, for the query as it was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import TypeAlias

from django.db import transaction

from eventlog.database import snapshot
from eventlog.errors import ConcurrentChange
from eventlog.events import NewEvent
from eventlog.services import append
from feedback.contexts import query_context
from ranking.draining import drain_through
from ranking.events import ResultListRefreshed, ResultListRetired, result_list_stream
from ranking.overlap import rank_biased_overlap
from ranking.projections.result_lists import result_lists
from ranking.result_lists import Reason, StaleList, stale_lists
from ranking.serving import SearchRequest, rank
from ranking.towers import BUSIEST, Model, query_vectors, serving

K = 20  # products a list: a first page of answers
WARM_SECONDS = 2.0  # for encoding what no list needed, at most


Progress: TypeAlias = Callable[
    [Sequence[StaleList]], Iterable[StaleList]
]  # goes through them, and may show how far it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """A list that was made again. `overlap` is None, and nothing entered or left, where there was none before."""

    query: str
    reason: Reason
    overlap: float | None
    entered: list[str]
    left: list[str]


@dataclass(slots=True, kw_only=True)
class Refresh:
    """What a run did. `waiting`: still stale when it was told to stop; `taken`: lists that somebody else did meanwhile."""

    refreshed: list[Refreshed] = field(default_factory=list)
    retired: list[tuple[str, str]] = field(default_factory=list)  # query, reason
    taken: int = 0
    waiting: int = 0
    row_id: int = 0  # of the newest event that was written


def result_lists_refresh(
    *,
    shop_id: int,
    now: datetime,
    limit: int = BUSIEST,
    everything: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Progress = iter,
) -> Refresh:
    """Make the stale ones of a shop's result lists again, retire those that nobody asks for, and say what moved.

    `limit` is how many of the busiest queries have a list; lists of queries that were busy before are kept current until
    nobody asked for 30 days. `everything` takes the lists that are not stale too. Each list is committed by itself:
    stopped anywhere, the next run goes on there, and a run that finds nothing stale writes nothing.
    """
    model = serving.model(shop_id)
    stale, queries = stale_lists(
        shop_id=shop_id, model=model.version, limit=limit, now=now.timestamp(), everything=everything
    )
    outcome = Refresh()
    for done, each in enumerate(progress(stale)):
        if should_stop():
            outcome.waiting = len(stale) - done
            break
        _refresh(shop_id, each, model, now, outcome)
    if not outcome.waiting:
        query_vectors.keep_warm(model, queries, seconds=WARM_SECONDS)
    if outcome.row_id:
        drain_through(result_lists, row_id=outcome.row_id)  # so that the next run knows these are done
    return outcome


def result_lists_refresh_some(*, shop_id: int, now: datetime, seconds: float) -> bool:
    """Refresh for about so long. Returns whether to go on: something was done, and something is left."""
    until = monotonic() + seconds
    outcome = result_lists_refresh(shop_id=shop_id, now=now, should_stop=lambda: monotonic() > until)
    return bool(outcome.waiting and (outcome.refreshed or outcome.retired))


def _refresh(shop_id: int, stale: StaleList, model: Model, now: datetime, outcome: Refresh) -> None:
    event: ResultListRefreshed | ResultListRetired | None
    if stale.reason == "unasked":
        event = ResultListRetired(context_key=stale.context_key, reason="unasked")
    else:
        event = _ask(shop_id, stale, model, now)
    if event is None:
        return
    new = NewEvent(
        event=event,
        stream=result_list_stream(stale.context_key),
        expected_version=stale.version,  # what the overlap is measured from
        occurred_at=now,
    )
    try:
        with transaction.atomic():
            (appended,) = append(shop_id=shop_id, events=[new])
    except ConcurrentChange:
        outcome.taken += 1
        return
    outcome.row_id = appended.id or 0
    if isinstance(event, ResultListRetired):
        outcome.retired.append((stale.query, event.reason))
    else:
        outcome.refreshed.append(_moved(stale, event))


def _ask(shop_id: int, stale: StaleList, model: Model, now: datetime) -> ResultListRefreshed | ResultListRetired | None:
    """Search as `GET /v1/search` does; None: nothing was found, and there is no list to retire."""
    vector = query_vectors.get(model, stale.query)
    with snapshot():
        request = SearchRequest(shop_id=shop_id, q=stale.query, k=K, now=now.timestamp())
        ranked = rank(request, query_context(stale.query), model, vector)
    best = ranked.order[:K]
    if not len(best):
        return None if stale.items is None else ResultListRetired(context_key=stale.context_key, reason="empty")
    items = [ranked.candidates.product_ids[i] for i in best]
    return ResultListRefreshed(
        context_key=stale.context_key,
        query=stale.query,
        items=items,
        scores=[float(ranked.scores.score[i]) for i in best],
        model=model.version,
        as_of_position=ranked.snapshot.as_of_position,
        reason=stale.reason,
        overlap=None if stale.items is None else rank_biased_overlap(stale.items, items),
    )


def _moved(stale: StaleList, event: ResultListRefreshed) -> Refreshed:
    before = stale.items if stale.items is not None else event.items
    return Refreshed(
        query=event.query,
        reason=stale.reason,
        overlap=event.overlap,
        entered=[item for item in event.items if item not in before],
        left=[item for item in before if item not in event.items],
    )

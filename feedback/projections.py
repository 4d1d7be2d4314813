"""Feedback as read models: facts as they came, and click-throughs as they close."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings

from eventlog.database import copy_rows, query, rows
from eventlog.events import ClockTicked, RecordedEvent
from eventlog.projection import Projection
from feedback.events import ImpressionRecorded, InteractionRecorded, ShopperErased
from feedback.joining import Acted, ClickThrough, Join, Moment, Shown
from feedback.joining_state import join_of_subject, join_read, open_delete

_IMPRESSION = ("position", "shop_id", "context_kind", "context_key", "items", "first_rank", "ranking_ref",
               "as_of_position", "ranked_at", "subject_id", "at", "erased")  # fmt: skip
_INTERACTION = ("position", "shop_id", "kind", "product_id", "context_kind", "context_key", "rank", "ranking_ref",
                "subject_id", "quantity", "price", "at", "erased")  # fmt: skip


def window() -> timedelta:
    """How long after it was shown an impression waits for what follows from it."""
    return timedelta(seconds=settings.FRESHET_CLICK_THROUGH_SECONDS)


class Facts(Projection):
    """Every impression and interaction under its position; rows are never changed, but that an erased subject is taken
    from them."""

    name = "facts"
    event_types = frozenset({ImpressionRecorded.type, InteractionRecorded.type, ShopperErased.type})
    tables = ("feedback_impression", "feedback_interaction", "feedback_facts_erased")

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        """Copy them in; what is of an erased subject, before or after, as nobody's."""
        erased = [_erased(event) for event in events if event.type == ShopperErased.type]
        gone = _gone("feedback_facts_erased", events).union(erased)
        impressions = [_impression(event, gone) for event in events if event.type == ImpressionRecorded.type]
        interactions = [_interaction(event, gone) for event in events if event.type == InteractionRecorded.type]
        if impressions:
            copy_rows("feedback_impression", _IMPRESSION, impressions)
        if interactions:
            copy_rows("feedback_interaction", _INTERACTION, interactions)
        for subject in erased:
            _note("feedback_facts_erased", subject)
            for table in ("feedback_impression", "feedback_interaction"):
                query(f"UPDATE {table} SET subject_id = NULL, erased = true WHERE subject_id = %s", [subject])


facts = Facts()


class ClickThroughs(Projection):
    """The join of `feedback.joining`, a batch at a time: only state that a batch can touch is read.

    What is open of a subject settles when that is erased, each with what is its own; what still comes of it, alone.
    """

    name = "click_throughs"
    event_types = frozenset({ImpressionRecorded.type, InteractionRecorded.type, ShopperErased.type, ClockTicked.type})
    tables = (
        "feedback_clickthrough", "feedback_open_impression", "feedback_open_interaction", "feedback_clickthrough_erased",
    )  # fmt: skip

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        """Let each shop's time pass over these events."""
        gone = _gone("feedback_clickthrough_erased", events)
        shops: dict[int, list[RecordedEvent]] = {}
        for event in events:
            shops.setdefault(event.shop_id, []).append(event)
        for shop_id, happened in shops.items():
            _pass(shop_id, happened, gone)


click_throughs = ClickThroughs()


def _gone(table: str, events: Sequence[RecordedEvent]) -> set[UUID]:
    """Those of the events' subjects that were erased before."""
    subjects = list({event.subject_id for event in events if event.subject_id is not None})
    sql = f"SELECT subject_id FROM {table} WHERE subject_id = ANY(%b::uuid[])"
    return {subject for (subject,) in rows(sql, [subjects])} if subjects else set()


def _note(table: str, subject: UUID) -> None:
    query(f"INSERT INTO {table} (subject_id) VALUES (%s) ON CONFLICT DO NOTHING", [subject])


def _erased(event: RecordedEvent) -> UUID:
    return UUID(event.data["subject_id"])


def _impression(event: RecordedEvent, gone: set[UUID]) -> tuple[Any, ...]:
    data = event.data
    context, ranking = data.get("context") or {}, data.get("ranking") or {}
    ranked_at = datetime.fromtimestamp(ranking["at"], UTC) if ranking else None
    erased = event.subject_id in gone
    return (
        event.position, event.shop_id, context.get("kind"), context.get("key"), data["items"], data["first_rank"],
        ranking.get("ref"), ranking.get("position"), ranked_at, None if erased else event.subject_id, event.effective_at,
        erased,
    )  # fmt: skip


def _interaction(event: RecordedEvent, gone: set[UUID]) -> tuple[Any, ...]:
    data = event.data
    context, ranking = data.get("context") or {}, data.get("ranking") or {}
    erased = event.subject_id in gone
    return (
        event.position, event.shop_id, data["kind"], data["product_id"], context.get("kind"), context.get("key"),
        data.get("rank"), ranking.get("ref"), None if erased else event.subject_id, data.get("quantity"),
        data.get("price"), event.effective_at, erased,
    )  # fmt: skip


def _moment(event: RecordedEvent) -> Moment:
    what: Shown | Acted | None = None
    if event.type == InteractionRecorded.type:
        what = _acted(event)
    elif event.type == ImpressionRecorded.type and event.data.get("ranking"):
        what = _shown(event)  # without a token nothing says which interactions followed from it
    return Moment(event.position, event.effective_at, what)


def _shown(event: RecordedEvent) -> Shown:
    data, context = event.data, event.data.get("context") or {}
    return Shown(
        position=event.position,
        due_at=event.effective_at + window(),
        context_kind=context.get("kind"),
        context_key=context.get("key"),
        context_text=context.get("text"),
        items=data["items"],
        first_rank=data["first_rank"],
        ranking_ref=data["ranking"]["ref"],
        shown_at=event.effective_at,
        subject_id=event.subject_id,
    )


def _acted(event: RecordedEvent) -> Acted:
    data, context = event.data, event.data.get("context") or {}
    return Acted(
        position=event.position,
        due_at=event.recorded_at + window(),  # an impression that was sent late has the same time to arrive
        kind=data["kind"],
        product_id=data["product_id"],
        context_kind=context.get("kind"),
        context_key=context.get("key"),
        context_text=context.get("text"),
        rank=data.get("rank"),
        ranking_ref=(data.get("ranking") or {}).get("ref"),
        at=event.effective_at,
        subject_id=event.subject_id,
    )


def _pass(shop_id: int, events: Sequence[RecordedEvent], gone: set[UUID]) -> None:
    """Let a shop's time pass, in stretches between erasures: what is open must be stored to be found by its subject."""
    moments: list[Moment] = []
    for event in events:
        moment = _moment(event)
        if event.subject_id in gone:
            join = Join()
            join.advance(moment)
            _settle(shop_id, join, moment.position)
            moment = Moment(moment.position, moment.at, None)
        moments.append(moment)
        if event.type == ShopperErased.type:
            _join(shop_id, moments)
            moments = []
            gone.add(_erased(event))
            _note("feedback_clickthrough_erased", _erased(event))
            _settle(shop_id, join_of_subject(shop_id, _erased(event)), event.position)
    if moments:
        _join(shop_id, moments)


def _settle(shop_id: int, join: Join, position: int) -> None:
    """End the windows of all that is open in a join."""
    if stored := set(join.open):
        open_delete(stored)
    join.settle(position)
    _copy("feedback_clickthrough", shop_id, join.settled)


def _join(shop_id: int, moments: Sequence[Moment]) -> None:
    join = join_read(shop_id, moments)
    stored = set(join.open)
    for moment in moments:
        join.advance(moment)
    if gone := stored - join.open.keys():
        open_delete(gone)
    new = [each for position, each in join.open.items() if position not in stored]
    _copy("feedback_open_impression", shop_id, (each for each in new if isinstance(each, Shown)))
    _copy("feedback_open_interaction", shop_id, (each for each in new if isinstance(each, Acted)))
    _copy("feedback_clickthrough", shop_id, join.settled)


def _copy(table: str, shop_id: int, records: Iterable[Shown | Acted | ClickThrough]) -> None:
    given = list(records)
    if given:
        names = [each.name for each in fields(given[0])]
        read = attrgetter(*names)
        copy_rows(table, ["shop_id", *names], [(shop_id, *map(_sql, read(each))) for each in given])


def _sql(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict) else value

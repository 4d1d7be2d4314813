"""Writing feedback: check, pseudonymise, append. And the clock, which ticks in a quiet shop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from eventlog.database import rows, scalar
from eventlog.errors import FreshetError
from eventlog.events import ClockTicked, NewEvent
from eventlog.receipts import receipt_make
from eventlog.rejections import Rejection
from eventlog.services import Appended, append
from feedback.inputs import event_check
from feedback.privacy import personal_seal, subjects_get_or_create
from feedback.ranking_token import BadToken, RankingToken, token_read
from feedback.recording import Checked, content_hash, event_of, event_uuid, person_of, product_to_find
from feedback.selectors import product_numbers

MAX_EVENTS = 1000


class TooManyEvents(FreshetError):
    """A call takes up to 1,000 events; send several."""

    code = "too_many_events"


@dataclass(frozen=True, slots=True)
class RecordResult:
    """What became of a batch; `rejected` in the order given, `row_id` the newest event row or 0."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]
    row_id: int
    receipt: str


def events_record(*, shop_id: int, items: Sequence[object], now: datetime) -> RecordResult:
    """Append a batch of what shoppers saw and did, in one transaction; a bad item is refused alone.

    An event counts from min(occurred_at, the time it was recorded), so any clock from 1970 on will do. Products need
    not be known. Raises TooManyEvents.
    """
    if len(items) > MAX_EVENTS:
        raise TooManyEvents(field="events")
    checked, rejected = _check(shop_id, items)
    appended = _append(shop_id, checked, now)
    outcomes = [each.outcome for each in appended]
    row_id = _newest_row(appended)
    rejected += [
        Rejection(
            index=each.index,
            code="event_id_conflict",
            field="event_id",
            detail="This event_id was used before, with other content.",
        )
        for each, outcome in zip(checked, outcomes, strict=True)
        if outcome == "event_id_conflict"
    ]
    return RecordResult(
        accepted=outcomes.count("accepted"),
        duplicates=outcomes.count("duplicate"),
        rejected=sorted(rejected, key=lambda rejection: rejection.index),
        row_id=row_id,
        receipt=receipt_make(shop_id=shop_id, row_id=row_id),
    )


_TICKS = UUID("a1f1b9a5-3f0d-5d7e-9a41-0c1c9a6f2e77")
_QUIET_SHOPS = """
SELECT s.id FROM eventlog_shop s
 WHERE EXISTS (SELECT 1 FROM feedback_open_impression o WHERE o.shop_id = s.id AND o.due_at <= %(now)s)
    OR EXISTS (SELECT 1 FROM feedback_open_interaction o WHERE o.shop_id = s.id AND o.due_at <= %(now)s)
 ORDER BY s.id"""


def clock_tick(*, now: datetime) -> int:
    """Let time pass in shops whose click-throughs should have closed but where nothing happens; return how many.

    At most one tick a shop and minute, however many call.
    """
    minute = int(now.timestamp() // 60)
    ticked = 0
    for (shop_id,) in rows(_QUIET_SHOPS, {"now": now}):
        tick = NewEvent(event=ClockTicked(), occurred_at=now, event_id=uuid5(_TICKS, f"{shop_id}/{minute}"))
        ticked += append(shop_id=shop_id, events=[tick])[0].outcome == "accepted"
    return ticked


def _check(shop_id: int, items: Sequence[object]) -> tuple[list[Checked], list[Rejection]]:
    checked: list[Checked] = []
    rejected: list[Rejection] = []
    tokens: dict[str, RankingToken | BadToken] = {}  # an impression and its clicks bring the same one
    for index, item in enumerate(items):
        given = event_check(item, index=index)
        if isinstance(given, Rejection):
            rejected.append(given)
            continue
        token = _token(given.ranking_token, shop_id, tokens)
        if isinstance(token, BadToken):
            rejected.append(Rejection(index=index, code=token.code, field=token.field, detail=token.detail))
            continue
        checked.append(Checked(index, given, token, item))
    return checked, rejected


def _token(text: str | None, shop_id: int, known: dict[str, RankingToken | BadToken]) -> RankingToken | BadToken | None:
    if text is None:
        return None
    if text not in known:
        try:
            known[text] = token_read(text, shop_id)
        except BadToken as error:
            known[text] = error
    return known[text]


def _append(shop_id: int, checked: Sequence[Checked], now: datetime) -> list[Appended]:
    numbers = product_numbers(shop_id, {product for each in checked if (product := product_to_find(each))})
    persons = [person_of(shop_id, each.given) for each in checked]
    # outside the append's transaction: a key that no event was sealed with in the end does no harm
    hashes = {person for person, _ in persons if person is not None}
    subjects = subjects_get_or_create(shop_id=shop_id, hashes=hashes, now=now) if hashes else {}
    events = []
    for each, (person, content) in zip(checked, persons, strict=True):
        event_id = event_uuid(each.given.event_id)
        subject = None if person is None else subjects[person]
        events.append(
            NewEvent(
                event=event_of(each, numbers),
                occurred_at=each.given.occurred_at,
                event_id=event_id,
                personal=None if subject is None else personal_seal(subject.key, event_id, content),
                subject_id=None if subject is None else subject.subject_id,
                content_hash=content_hash(each.item, subject_key=b"" if subject is None else subject.key),
            )
        )
    return append(shop_id=shop_id, events=events) if events else []


def _newest_row(appended: Sequence[Appended]) -> int:
    """The row to wait for. Of mere repeats nobody knows which rows they were, but none is newer than the newest."""
    if newest := max((each.id or 0 for each in appended), default=0):
        return newest
    repeats = any(each.outcome == "duplicate" for each in appended)
    return int(scalar("SELECT max(id) FROM eventlog_event")) if repeats else 0

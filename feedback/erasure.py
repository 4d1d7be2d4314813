"""Erasing a shopper: the key and the mapping go, in one transaction with the event that tells every projection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from eventlog.database import query, rows, scalar
from eventlog.errors import FreshetError
from eventlog.events import NewEvent
from eventlog.receipts import receipt_make
from eventlog.services import append
from feedback.events import ShopperErased
from feedback.privacy import SealBroken, Subject, personal_open, shopper_hash
from feedback.projections import facts

LONGEST_ID = 200  # as in events


class BadShopperId(FreshetError):
    """A shopper_id is a text of 1 to 200 characters, without NUL."""

    code = "bad_shopper_id"


@dataclass(frozen=True, slots=True)
class Erasure:
    """A receipt to wait with until no read model links the shopper any more; whether there was anybody to erase."""

    receipt: str
    known: bool


@transaction.atomic
def shopper_erase(*, shop_id: int, shopper_id: str, now: datetime) -> Erasure:
    """Destroy the keys and mappings of a shopper and of the shopper's sessions; record that they were.

    Somebody who is not known (any more) leaves everything as it is and gets a receipt all the same. What a racing batch
    appends afterwards is sealed with a key that is gone, and projections keep it as nobody's. Raises BadShopperId.
    """
    shopper = shopper_subject(shop_id=shop_id, shopper_id=shopper_id, lock=True)
    if shopper is None:
        newest = scalar("SELECT max(id) FROM eventlog_event") or 0
        return Erasure(receipt_make(shop_id=shop_id, row_id=newest), known=False)
    subjects = [shopper.subject_id, *(subject for subject, _ in _sessions(shop_id, shopper, lock=True))]
    query("DELETE FROM feedback_shopper WHERE subject_id = ANY(%s::uuid[])", [subjects])
    erased = [NewEvent(event=ShopperErased(subject_id=str(subject)), occurred_at=now) for subject in subjects]
    appended = append(shop_id=shop_id, events=erased)
    return Erasure(receipt_make(shop_id=shop_id, row_id=max(each.id or 0 for each in appended)), known=True)


def shopper_subjects(*, shop_id: int, shopper_id: str) -> list[UUID]:
    """The subjects that erasing this shopper would erase: the shopper's and those of the sessions. Raises BadShopperId."""
    shopper = shopper_subject(shop_id=shop_id, shopper_id=shopper_id)
    return [] if shopper is None else [shopper.subject_id, *(each for each, _ in _sessions(shop_id, shopper))]


def shopper_subject(*, shop_id: int, shopper_id: str, lock: bool = False) -> Subject | None:
    """The subject of a shopper; None when nobody of this id is known. Raises BadShopperId."""
    found = _subjects(shop_id, [shopper_hash(shop_id, _checked(shopper_id))], lock=lock)
    return Subject(*found[0]) if found else None


def _checked(shopper_id: str) -> str:
    """The id as it is, if events may hold it. Half of a surrogate pair comes from a terminal only."""
    if (
        not 1 <= len(shopper_id) <= LONGEST_ID
        or "\0" in shopper_id
        or any("\ud800" <= c <= "\udfff" for c in shopper_id)
    ):
        raise BadShopperId(field="shopper_id")
    return shopper_id


def _subjects(shop_id: int, hashes: list[bytes], *, lock: bool) -> list[tuple[UUID, bytes]]:
    """Subject and key by pseudonym, in one order for all, so that two erasures cannot deadlock over a session."""
    sql = """SELECT subject_id, key FROM feedback_shopper
              WHERE shop_id = %s AND shopper_hash = ANY(%s::bytea[]) ORDER BY shopper_hash"""
    found = rows(sql + " FOR UPDATE" if lock else sql, [shop_id, hashes])
    return [(subject, bytes(key)) for subject, key in found]


def _sessions(shop_id: int, shopper: Subject, *, lock: bool = False) -> list[tuple[UUID, bytes]]:
    """What was done in the shopper's sessions before the shop knew who it was has subjects of its own."""
    hashes = sorted(set(_session_hashes(shop_id, shopper)))
    return _subjects(shop_id, hashes, lock=lock) if hashes else []


# by the index of the facts, and what they do not hold yet by looking at it all
_SEALED = """
WITH mine AS MATERIALIZED (
  SELECT event_id FROM eventlog_position
   WHERE position IN (SELECT position FROM feedback_impression WHERE subject_id = %(subject)s
                      UNION ALL SELECT position FROM feedback_interaction WHERE subject_id = %(subject)s)
  UNION ALL
  SELECT event_id FROM eventlog_position
   WHERE position > coalesce((SELECT position FROM eventlog_checkpoint WHERE consumer = %(facts)s), 0)
  UNION ALL
  SELECT unnest(event_ids) FROM eventlog_pending
)
SELECT e.event_id, e.personal FROM mine JOIN eventlog_event e ON e.id = mine.event_id
 WHERE e.shop_id = %(shop)s AND e.subject_id = %(subject)s AND e.personal IS NOT NULL"""


def _session_hashes(shop_id: int, shopper: Subject) -> Iterator[bytes]:
    found = rows(_SEALED, {"shop": shop_id, "subject": shopper.subject_id, "facts": facts.name})
    for event_id, personal in found:
        with suppress(SealBroken):  # altered bytes name nobody, and must not keep the others from being erased
            if session := personal_open(shopper.key, event_id, bytes(personal)).get("session"):
                yield bytes.fromhex(session)

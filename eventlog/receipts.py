"""Receipts: what a writer gets back, to ask later whether what it wrote can be seen."""

from __future__ import annotations

import time
from typing import TypedDict

from django.core import signing

from eventlog.database import query
from eventlog.errors import FreshetError
from eventlog.projection import projections

MAX_WAIT_SECONDS = 30.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.004, 0.05
_signer = signing.Signer(salt="freshet.receipt")


class BadReceipt(FreshetError):
    """This is not a receipt that this shop was given."""

    code = "bad_receipt"


class Visibility(TypedDict):
    """Whether a write can be seen, where it stands in the log (None: not sequenced yet), how long was waited for it."""

    visible: bool
    position: int | None
    waited_seconds: float


def receipt_make(*, shop_id: int, row_id: int) -> str:
    """Sign a receipt for everything a call appended, given its largest row id; 0 when there is nothing to wait for."""
    return _signer.sign_object([shop_id, row_id])


def receipt_read(text: str, *, shop_id: int) -> int:
    """Return the row id of a receipt. Raises BadReceipt when it was altered, made up, or given to another shop."""
    try:
        shop, row_id = _signer.unsign_object(text)
    except (signing.BadSignature, ValueError, TypeError):  # Type and Value: what was signed is not what we sign
        raise BadReceipt(field="receipt") from None
    if shop != shop_id:
        raise BadReceipt(field="receipt")
    return int(row_id)


def receipt_visible(*, shop_id: int, receipt: str, wait_seconds: float = 0.0) -> Visibility:
    """Tell whether every projection has applied the events of a receipt; wait for it up to `wait_seconds` (at most 30).

    Call it outside a transaction: within one, REPEATABLE READ would never see the checkpoints move. Raises BadReceipt.
    """
    return row_visible(receipt_read(receipt, shop_id=shop_id), wait_seconds=wait_seconds)


def row_visible(row_id: int, *, wait_seconds: float = 0.0) -> Visibility:
    """Tell the same for an event row; row 0 is nothing and always visible."""
    started = time.monotonic()
    deadline = started + min(max(wait_seconds, 0.0), MAX_WAIT_SECONDS)
    pause = _FIRST_PAUSE_SECONDS
    while True:
        position, reached = standing(row_id)
        visible = position is not None and position <= reached
        left = deadline - time.monotonic()
        if visible or left <= 0:
            waited = round(time.monotonic() - started, 4)
            return {"visible": visible, "position": position, "waited_seconds": waited}
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


# A row that neither waits nor has a position here has it in a file: the end of what is archived tells that all have seen it.
_STANDING = """
SELECT coalesce((SELECT position FROM eventlog_position WHERE event_id = %(row)s),
                (SELECT max(to_row) - 1 FROM eventlog_archive WHERE relation = 'eventlog_position'
                 HAVING NOT EXISTS (SELECT 1 FROM eventlog_pending WHERE id <= %(row)s AND %(row)s = ANY (event_ids)))),
       (SELECT min(coalesce(c.position, 0))
          FROM unnest(%(consumers)s::text[]) AS n (name) LEFT JOIN eventlog_checkpoint c ON c.consumer = n.name)"""


def standing(row_id: int) -> tuple[int | None, int]:
    """The position of an event row (of an archived one, a later one), and the position that every projection has reached."""
    if row_id == 0:
        return 0, 0
    row = query(_STANDING, {"row": row_id, "consumers": list(projections())}).fetchone()
    assert row is not None  # a SELECT without FROM gives one row
    return row[0], row[1] or 0

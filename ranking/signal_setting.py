"""Setting a shop's table of signals, and how varied its lists are: what is checked, and what an operator is asked for first.

What counts for deciding is the head of the shop's stream `signals`. A table goes live with the estimate of its preview; the
preview of exactly this table, against exactly the one in force, is known by a stream of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from types import MappingProxyType
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from eventlog.database import rows
from eventlog.errors import FreshetError
from eventlog.events import NewEvent
from eventlog.receipts import receipt_make
from eventlog.rejections import rejection_of
from eventlog.selectors import Head, heads
from eventlog.services import append
from ranking.signals import HALF_LIVES, NAMES, PSEUDO_COUNTS, signals_of
from ranking.weights.events import SIGNALS_STREAM, SignalsPreviewed, SignalsSet, preview_stream
from ranking.weights.options import DEFAULTS, VALUES

MINUTE, TEN_YEARS = 60.0, 315_360_000.0
BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType({
    **dict.fromkeys(VALUES, (0.0, 1000.0)),
    "click": (0.01, 1000.0),  # the unit of everything else: at 0 nothing would be learned from
    "dismiss": (-1000.0, 0.0),
    **dict.fromkeys(HALF_LIVES, (MINUTE, TEN_YEARS)),
    **dict.fromkeys(PSEUDO_COUNTS, (0.01, 1e6)),
})  # fmt: skip


class BadSignals(FreshetError):
    """There is no such signal, or its value is not possible."""

    code = "bad_signals"


class PreviewMissing(FreshetError):
    """Preview exactly this table first (POST /v1/signals/preview), or send "force": true with a reason."""

    code = "preview_missing"
    status = 409


class SignalsIn(BaseModel):
    """The body of `PUT /v1/signals`. Signals that are left out stay what they are."""

    model_config = ConfigDict(extra="forbid", strict=True)

    signals: dict[str, Any]
    force: bool = False
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")] | None = None


def _table() -> type[BaseModel]:
    members: dict[str, Any] = {
        name: (float, Field(ge=low, le=high, allow_inf_nan=False)) for name, (low, high) in BOUNDS.items()
    }
    return create_model("Signals", __config__=ConfigDict(extra="forbid"), **members)


TABLE = _table()


def signals_checked(given: Mapping[str, Any], *, over: Mapping[str, float]) -> dict[str, float]:
    """The whole table with these values over another. Raises BadSignals with the signal and what was expected."""
    try:
        return dict(TABLE.model_validate({**over, **given}, strict=True).model_dump())
    except ValidationError as error:
        refused = rejection_of(error, model=TABLE)
        raise BadSignals(f"{refused.field}: {refused.detail}", field=f"signals.{refused.field}") from None


def signals_proposed(given: Mapping[str, Any], *, shop_id: int) -> tuple[dict[str, float], dict[str, float]]:
    """The table that is in force by the log's head, and the one with these values over it. Raises BadSignals."""
    before = _table_of(heads(shop_id=shop_id, streams=[SIGNALS_STREAM])[SIGNALS_STREAM])
    return before, signals_checked(given, over=before)


def signals_put(*, shop_id: int, body: Any, now: datetime) -> dict[str, Any]:
    """Answer `PUT /v1/signals`. Raises BadSignals, PreviewMissing, ConcurrentChange."""
    try:
        asked = SignalsIn.model_validate(body)
    except ValidationError as error:
        refused = rejection_of(error, model=SignalsIn)
        raise BadSignals(refused.detail, field=refused.field) from None
    reason = asked.reason if asked.force else None
    if asked.force and reason is None:
        raise BadSignals("Whoever sets a table without its preview says why.", field="reason")
    row_id = signals_set(shop_id=shop_id, signals=asked.signals, forced_because=reason, now=now)
    return {
        "signals": signals_proposed({}, shop_id=shop_id)[0],
        "receipt": receipt_make(shop_id=shop_id, row_id=row_id),
    }


def signals_set(*, shop_id: int, signals: Mapping[str, Any], forced_because: str | None = None, now: datetime) -> int:
    """Let a shop's feedback count by this table, all of it; the event's row, 0 where it does so already.

    `forced_because` sets it without a preview. Raises BadSignals, PreviewMissing, ConcurrentChange.
    """
    head = heads(shop_id=shop_id, streams=[SIGNALS_STREAM])[SIGNALS_STREAM]
    before = _table_of(head)
    table = signals_checked(signals, over=before)
    if table == before:
        return 0
    estimate = preview_known(shop_id=shop_id, signals=table, before=before)
    if estimate is None and forced_because is None:
        raise PreviewMissing(field="signals")
    event = NewEvent(
        event=SignalsSet(signals=table, estimate=estimate, reason=forced_because),
        stream=SIGNALS_STREAM,
        expected_version=head.version,  # the estimate is against the table that was in force
        state={"signals": table},
        occurred_at=now,
    )
    (appended,) = append(shop_id=shop_id, events=[event])
    return appended.id or 0


def preview_known(*, shop_id: int, signals: Mapping[str, float], before: Mapping[str, float]) -> dict[str, Any] | None:
    """The newest estimate of exactly this table against exactly that one."""
    stream = preview_stream(_name(signals, before))
    estimate: dict[str, Any] | None = (heads(shop_id=shop_id, streams=[stream])[stream].state or {}).get("estimate")
    return estimate


def preview_record(
    *, shop_id: int, signals: dict[str, float], before: dict[str, float], estimate: dict[str, Any], now: datetime
) -> None:
    """Record what a preview said, so that the table may be set."""
    event = SignalsPreviewed(signals=signals, before=before, estimate=estimate)
    stream = preview_stream(_name(signals, before))
    append(
        shop_id=shop_id,
        events=[NewEvent(event=event, stream=stream, state={"estimate": estimate}, occurred_at=now)],
    )


def signals_answer(*, shop_id: int) -> dict[str, Any]:
    """The table that searches count by, what it would be by default, and what was said when it was set."""
    found = rows(
        """SELECT signals::text, estimate::text, reason, position, set_at FROM ranking_signals
            WHERE shop_id = %s ORDER BY position DESC LIMIT 1""",
        [shop_id],
    )
    default = signals_of(DEFAULTS)
    if not found:
        return {
            "signals": default,
            "defaults": default,
            "estimate": None,
            "reason": None,
            "position": None,
            "set_at": None,
        }
    signals, estimate, reason, position, set_at = found[0]
    return {
        "signals": {**default, **orjson.loads(signals)},
        "defaults": default,
        "estimate": None if estimate is None else orjson.loads(estimate),
        "reason": reason,
        "position": position,
        "set_at": set_at.isoformat(),
    }


def _table_of(head: Head) -> dict[str, float]:
    said = (head.state or {}).get("signals", {})
    return {name: float({**signals_of(DEFAULTS), **said}[name]) for name in NAMES}


def _name(signals: Mapping[str, float], before: Mapping[str, float]) -> str:
    said = orjson.dumps([dict(signals), dict(before)], option=orjson.OPT_SORT_KEYS)
    return blake2b(said, digest_size=12).hexdigest()

"""Previewing a proposed table for a shop, by REST, command or admin: the estimate is recorded, so that the table may be set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from eventlog.rejections import rejection_of
from ranking.previewing.preview import CLICK_THROUGHS, Preview, preview
from ranking.previewing.reading import Asked
from ranking.signal_setting import BadSignals, preview_record, signals_proposed

RANGE = timedelta(days=7)  # up to now: what the shop was of late
BY_REST = 500  # click-throughs that a call asks by default: seconds


class PreviewIn(BaseModel):
    """The body of `POST /v1/signals/preview`. Signals that are left out are as they are in force."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    signals: dict[str, Any]
    from_: AwareDatetime | None = Field(default=None, strict=False, alias="from")
    to: AwareDatetime | None = Field(default=None, strict=False)
    click_throughs: Annotated[int, Field(ge=1, le=2 * CLICK_THROUGHS)] = BY_REST


def preview_post(*, shop_id: int, body: Any, now: datetime) -> dict[str, Any]:
    """Answer `POST /v1/signals/preview`. Raises BadSignals, NothingToPreview."""
    try:
        asked = PreviewIn.model_validate(body)
    except ValidationError as error:
        refused = rejection_of(error, model=PreviewIn)
        raise BadSignals(f"{refused.field or 'The body'}: {refused.detail}", field=refused.field) from None
    to = asked.to or now
    return signals_preview(
        shop_id=shop_id,
        signals=asked.signals,
        from_at=asked.from_ or to - RANGE,
        to_at=to,
        click_throughs=asked.click_throughs,
        now=now,
    )


def signals_preview(
    *,
    shop_id: int,
    signals: Mapping[str, Any],
    from_at: datetime,
    to_at: datetime,
    click_throughs: int = CLICK_THROUGHS,
    now: datetime,
    progress: Callable[[Sequence[Asked]], Iterable[Asked]] = iter,
) -> dict[str, Any]:
    """What these signals over those in force would have changed in [from_at, to_at); the estimate is recorded.

    Raises BadSignals, NothingToPreview.
    """
    before, after = signals_proposed(signals, shop_id=shop_id)
    if after == before:
        raise BadSignals("This table is in force already: change a signal.", field="signals")
    found = preview(
        shop_id=shop_id,
        before=before,
        after=after,
        from_at=from_at,
        to_at=to_at,
        click_throughs=click_throughs,
        progress=progress,
    )
    preview_record(shop_id=shop_id, signals=after, before=before, estimate=found.estimate(), now=now)
    return {"signals": after, "before": before, **_said(found)}


def _said(found: Preview) -> dict[str, Any]:
    moved = [{**asdict(each), "entered": each.entered, "left": each.left} for each in found.moved]
    return found.estimate() | {"moved": moved}

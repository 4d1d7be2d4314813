"""Feedback to evidence: decayed rewards and exposures of the shop, its products and its contexts. Waits for no join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from eventlog.database import query
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from feedback.events import ImpressionRecorded, InteractionRecorded
from ranking.curves import curves_in_force
from ranking.events import ExaminationEstimated, WeightSet
from ranking.projections.weight_merging import batch_merge
from ranking.projections.weight_refill import FEEDBACK, refill
from ranking.projections.weight_sums import Batch
from ranking.signals import options_of, signals_in_force
from ranking.weights.events import SignalsSet
from ranking.weights.options import WeightOptions


class Weights(Projection):
    name = "weights"
    event_types = frozenset(
        {ImpressionRecorded.type, InteractionRecorded.type, WeightSet.type, ExaminationEstimated.type, SignalsSet.type}
    )
    tables = (
        "ranking_examination",
        "ranking_signals",
        "ranking_shopweight",
        "ranking_productweight",
        "ranking_context",
        "ranking_contextweight",
        "ranking_operatorweight",
    )

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        """Add what events say; where a shop's table of signals is set, make its sums anew of all that came before."""
        shops = {event.shop_id for event in events}
        options, curves = signals_in_force(shops), curves_in_force(shops)
        _keep_curves(_of(ExaminationEstimated.type, events))
        _keep_signals(_of(SignalsSet.type, events))
        _set_operator_weights(_of(WeightSet.type, events))
        filled = {event.shop_id: event for event in events if event.type == SignalsSet.type}  # the last of each shop
        for shop_id, event in filled.items():
            options[shop_id] = options_of(event.data["signals"])
            refill(self, shop_id=shop_id, position=event.position, options=options[shop_id])
        for batch in _batches(events, options, curves, {shop_id: each.position for shop_id, each in filled.items()}):
            batch_merge(batch)


weights = Weights()


def _of(event_type: str, events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
    return [event for event in events if event.type == event_type]


def _batches(
    events: Sequence[RecordedEvent],
    options: Mapping[int, WeightOptions],
    curves: Mapping[int, Sequence[float]],
    filled: Mapping[int, int],
) -> list[Batch]:
    """The sums of events, a batch for all shops of the same options; what a shop was filled with already is left out."""
    batches = {id(each): Batch(each, curves) for each in options.values()}
    for event in events:
        batch = batches[id(options[event.shop_id])]
        if event.type == ExaminationEstimated.type:
            batch.estimate(event)
        elif event.type in FEEDBACK and event.position > filled.get(event.shop_id, 0):
            batch.add(event)
    return list(batches.values())


def _keep_signals(events: Sequence[RecordedEvent]) -> None:
    if not events:
        return
    query(
        """INSERT INTO ranking_signals (shop_id, position, signals, estimate, reason, set_at)
           SELECT g.shop_id, g.position, g.signals::jsonb, g.estimate::jsonb, g.reason, g.set_at
             FROM unnest(%s::integer[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
               AS g (shop_id, position, signals, estimate, reason, set_at)
           ON CONFLICT DO NOTHING""",
        [
            [event.shop_id for event in events],
            [event.position for event in events],
            [orjson.dumps(event.data["signals"]).decode() for event in events],
            [_text(event.data.get("estimate")) for event in events],
            [event.data.get("reason") for event in events],
            [event.effective_at for event in events],
        ],
    )


def _text(estimate: object) -> str | None:
    return None if estimate is None else orjson.dumps(estimate).decode()


def _keep_curves(events: Sequence[RecordedEvent]) -> None:
    if not events:
        return
    query(
        """INSERT INTO ranking_examination (shop_id, position, method, clicks, curve)
           SELECT g.shop_id, g.position, g.method, g.clicks, g.curve::double precision[]
             FROM unnest(%s::integer[], %s::bigint[], %s::text[], %s::integer[], %s::text[])
               AS g (shop_id, position, method, clicks, curve)
           ON CONFLICT DO NOTHING""",
        [
            [event.shop_id for event in events],
            [event.position for event in events],
            [event.data["method"] for event in events],
            [event.data["clicks"] for event in events],
            ["{" + ",".join(map(repr, event.data["curve"])) + "}" for event in events],  # they differ in length
        ],
    )


def _set_operator_weights(events: Sequence[RecordedEvent]) -> None:
    if not events:
        return
    query(
        """INSERT INTO ranking_operatorweight (shop_id, product_id, context_key, position, weight, until)
           SELECT g.shop_id, g.product_id, g.context_key, g.position, g.weight, extract(epoch FROM g.until::timestamptz)
             FROM unnest(%s::integer[], %s::text[], %s::text[], %s::bigint[], %s::double precision[], %s::text[])
               AS g (shop_id, product_id, context_key, position, weight, until)
           ON CONFLICT DO NOTHING""",
        [
            [event.shop_id for event in events],
            [event.data["product_id"] for event in events],
            [event.data.get("context_key") or "" for event in events],
            [event.position for event in events],
            [event.data["weight"] for event in events],
            [event.data.get("until") for event in events],
        ],
    )

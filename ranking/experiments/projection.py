"""Experiments, their read-outs, and what followed from each answer that counts in one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from uuid import UUID

import orjson

from eventlog.database import query, rows
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from feedback.events import ImpressionRecorded, InteractionRecorded, ShopperErased
from ranking.experiments.events import ExperimentRead, ExperimentStarted, ExperimentStopped
from ranking.experiments.interleaving import FIRST, SECOND, team_of


class Experiments(Projection):
    name = "experiments"
    event_types = frozenset({
        ExperimentStarted.type, ExperimentStopped.type, ExperimentRead.type, ImpressionRecorded.type,
        InteractionRecorded.type, ShopperErased.type,
    })  # fmt: skip
    tables = (
        "ranking_experiment", "ranking_experimentreading", "ranking_experimentrequest", "ranking_experiment_erased",
    )  # fmt: skip

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        """Runs of feedback at once; the others, a few a day, one by one."""
        for kind, run in groupby(events, key=lambda event: event.type if event.type in _ONE_BY_ONE else "feedback"):
            if kind == "feedback":
                _feedback(list(run))
            else:
                for event in run:
                    _ONE_BY_ONE[kind](event)


experiments = Experiments()


def _started(event: RecordedEvent) -> None:
    data = event.data
    query(
        """INSERT INTO ranking_experiment
             (shop_id, id, position, name, surface, kind, variants, seed, level, guards, started_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        [event.shop_id, data["experiment"], event.position, data["name"], data["surface"], data["kind"],
         orjson.dumps(data["variants"]).decode(), data["seed"], data["level"], orjson.dumps(data["guards"]).decode(),
         event.effective_at],
    )  # fmt: skip


def _stopped(event: RecordedEvent) -> None:
    key = [event.shop_id, event.data["experiment"]]
    if variant := event.data.get("variant"):
        sql = "UPDATE ranking_experiment SET stopped = stopped || %s::text WHERE shop_id = %s AND id = %s"
        query(sql, [variant, *key])
    else:
        query(
            "UPDATE ranking_experiment SET stopped_at = %s, reason = %s, detail = %s WHERE shop_id = %s AND id = %s",
            [event.effective_at, event.data["reason"], event.data["detail"], *key],
        )


def _read(event: RecordedEvent) -> None:
    data = event.data
    query(
        """INSERT INTO ranking_experimentreading
             (shop_id, experiment, position, read_position, requests, figures, at) VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        [event.shop_id, data["experiment"], event.position, data["position"], data["requests"],
         orjson.dumps(data["figures"]).decode(), event.effective_at],
    )  # fmt: skip


def _erased(event: RecordedEvent) -> None:
    subject = UUID(event.data["subject_id"])
    query("INSERT INTO ranking_experiment_erased (subject_id) VALUES (%s) ON CONFLICT DO NOTHING", [subject])
    query("UPDATE ranking_experimentrequest SET subject_id = NULL WHERE subject_id = %s", [subject])


_ONE_BY_ONE: Mapping[str, Callable[[RecordedEvent], None]] = {
    ExperimentStarted.type: _started,
    ExperimentStopped.type: _stopped,
    ExperimentRead.type: _read,
    ShopperErased.type: _erased,
}


@dataclass(slots=True)
class _Request:
    """What a run of events adds to the row of an answer."""

    shop_id: int
    ref: str
    experiment: str
    variant: str
    subject_id: UUID | None = None
    shown: bool = False
    clicks: int = 0
    clicks_a: int = 0
    clicks_b: int = 0
    added: int = 0
    purchased: int = 0
    revenue: Decimal = Decimal(0)

    def add(self, event: RecordedEvent) -> None:
        data = event.data
        kind = data.get("kind")  # an impression has none
        self.shown |= event.type == ImpressionRecorded.type
        if kind == "click":
            team = team_of(data["ranking"].get("teams", ""), data.get("rank"))
            self.clicks, self.clicks_a, self.clicks_b = (
                self.clicks + 1, self.clicks_a + (team == FIRST), self.clicks_b + (team == SECOND)
            )  # fmt: skip
        self.added += kind == "add_to_cart"
        if kind == "purchase":
            self.purchased += 1
            self.revenue += Decimal(repr(data.get("price") or 0)) * (data.get("quantity") or 1)


_COLUMNS = tuple(_Request.__slots__)
_TYPES = ("integer", "text", "text", "text", "uuid", "boolean", *["integer"] * 5, "numeric")
_UPSERT = f"""
INSERT INTO ranking_experimentrequest AS r ({", ".join(_COLUMNS)})
SELECT * FROM unnest({", ".join(f"%s::{type_}[]" for type_ in _TYPES)})
ON CONFLICT (shop_id, ref) DO UPDATE SET
  subject_id = coalesce(r.subject_id, excluded.subject_id), shown = r.shown OR excluded.shown,
  {", ".join(f"{name} = r.{name} + excluded.{name}" for name in _COLUMNS[6:])}"""


def _feedback(events: Sequence[RecordedEvent]) -> None:
    counted = [event for event in events if "experiment" in (event.data.get("ranking") or {})]
    gone = _gone(counted)
    requests: dict[tuple[int, str], _Request] = {}
    for event in counted:
        ranking = event.data["ranking"]
        experiment, _, variant = ranking["experiment"].partition(":")
        request = requests.setdefault(
            (event.shop_id, ranking["ref"]), _Request(event.shop_id, ranking["ref"], experiment, variant)
        )
        if request.subject_id is None and event.subject_id not in gone:
            request.subject_id = event.subject_id
        request.add(event)
    if requests:
        query(_UPSERT, [[getattr(each, name) for each in requests.values()] for name in _COLUMNS])


def _gone(events: Sequence[RecordedEvent]) -> set[UUID]:
    """Those of the events' subjects that were erased before."""
    subjects = list({event.subject_id for event in events if event.subject_id is not None})
    sql = "SELECT subject_id FROM ranking_experiment_erased WHERE subject_id = ANY(%b::uuid[])"
    return {subject for (subject,) in rows(sql, [subjects])} if subjects else set()

"""Model versions: what was trained, what serves. The bytes lie beside the log, under their hash."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from eventlog.database import query
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from ranking.events import ModelVersionPromoted, ModelVersionRefused, ModelVersionTrained


class Models(Projection):
    name = "models"
    event_types = frozenset({ModelVersionTrained.type, ModelVersionPromoted.type, ModelVersionRefused.type})
    tables = ("ranking_modelversion",)

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        for event in events:  # a handful a minute: one statement each reads better than sets
            {
                ModelVersionTrained.type: _trained,
                ModelVersionPromoted.type: _promoted,
                ModelVersionRefused.type: _refused,
            }[event.type](event)


models = Models()


def _trained(event: RecordedEvent) -> None:
    data = event.data
    major, minor = (int(part) for part in data["version"].split("."))
    query(
        """INSERT INTO ranking_modelversion
             (shop_id, version, major, minor, parent, encoder, artefact, from_position, to_position, seed, metrics, config,
              state, trained_position)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, 'candidate', %s)
           ON CONFLICT DO NOTHING""",
        [
            event.shop_id,
            data["version"],
            major,
            minor,
            data.get("parent"),
            data["encoder"],
            data["artefact"],
            data["from_position"],
            data["to_position"],
            data["seed"],
            orjson.dumps(data["metrics"]).decode(),
            orjson.dumps(data["config"]).decode(),
            event.position,
        ],
    )


def _promoted(event: RecordedEvent) -> None:
    query("UPDATE ranking_modelversion SET state = 'retired' WHERE shop_id = %s AND state = 'serving'", [event.shop_id])
    query(
        """UPDATE ranking_modelversion SET state = 'serving', reason = %s, promoted_position = %s
            WHERE shop_id = %s AND version = %s""",
        [event.data["reason"], event.position, event.shop_id, event.data["version"]],
    )


def _refused(event: RecordedEvent) -> None:
    query(
        "UPDATE ranking_modelversion SET state = 'refused', reason = %s WHERE shop_id = %s AND version = %s",
        [event.data["reason"], event.shop_id, event.data["version"]],
    )

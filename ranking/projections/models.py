"""Model versions: what was trained, what serves and served, how often a shop learns. Their bytes lie beside the log."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from eventlog.database import query
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from ranking.events import (
    LearningSet,
    ModelVersionPromoted,
    ModelVersionRefused,
    ModelVersionShadowed,
    ModelVersionTrained,
)


class Models(Projection):
    name = "models"
    event_types = frozenset(
        event.type
        for event in (ModelVersionTrained, ModelVersionPromoted, ModelVersionRefused, ModelVersionShadowed, LearningSet)
    )
    tables = ("ranking_modelversion", "ranking_promotion", "ranking_learning")

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        for event in events:  # a handful a minute: one statement each reads better than sets
            {
                ModelVersionTrained.type: _trained,
                ModelVersionPromoted.type: _promoted,
                ModelVersionRefused.type: _refused,
                ModelVersionShadowed.type: _shadowed,
                LearningSet.type: _learning_set,
            }[event.type](event)


models = Models()


def _trained(event: RecordedEvent) -> None:
    data = event.data
    major, minor = (int(part) for part in data["version"].split("."))
    query(
        """INSERT INTO ranking_modelversion
             (shop_id, version, major, minor, parent, encoder, artefact, from_position, to_position, seed, metrics, config,
              state, trained_position, trained_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, 'candidate', %s, %s)
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
            event.effective_at,
        ],
    )


def _promoted(event: RecordedEvent) -> None:
    query("UPDATE ranking_modelversion SET state = 'retired' WHERE shop_id = %s AND state = 'serving'", [event.shop_id])
    query(
        """UPDATE ranking_modelversion SET state = 'serving', reason = %s, promoted_position = %s, metrics = metrics || %s::jsonb
            WHERE shop_id = %s AND version = %s""",
        [event.data["reason"], event.position, _figures(event), event.shop_id, event.data["version"]],
    )
    query(
        "INSERT INTO ranking_promotion (shop_id, position, version, at) VALUES (%s, %s, %s, %s)",
        [event.shop_id, event.position, event.data["version"], event.effective_at],
    )


def _refused(event: RecordedEvent) -> None:
    query(
        """UPDATE ranking_modelversion SET state = 'refused', reason = %s, metrics = metrics || %s::jsonb
            WHERE shop_id = %s AND version = %s""",
        [event.data["reason"], _figures(event), event.shop_id, event.data["version"]],
    )


def _figures(event: RecordedEvent) -> str:
    figures = event.data.get("figures")
    return orjson.dumps({"shadow": figures} if figures else {}).decode()


def _shadowed(event: RecordedEvent) -> None:
    query(
        """UPDATE ranking_modelversion SET shadow_after = %s, shadow_click_throughs = %s
            WHERE shop_id = %s AND version = %s""",
        [event.data["after_position"], event.data["click_throughs"], event.shop_id, event.data["version"]],
    )


def _learning_set(event: RecordedEvent) -> None:
    query(
        """INSERT INTO ranking_learning (shop_id, learning, position, set_at) VALUES (%s, %s, %s, %s)
           ON CONFLICT (shop_id) DO UPDATE SET learning = EXCLUDED.learning, position = EXCLUDED.position,
                                               set_at = EXCLUDED.set_at""",
        [event.shop_id, event.data["learning"], event.position, event.effective_at],
    )

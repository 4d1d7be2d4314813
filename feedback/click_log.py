"""Click logs in CSV (`user,query,query_time,sku,click_time`): each row is a click that names its query, but no ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalog.importers.mapping import BadMap, ProductMap
from catalog.importers.rows import Source, source_open
from feedback.recording import content_hash

_COLUMNS = ("user", "query", "query_time", "sku", "click_time")


class ClickLogMap(ProductMap):
    """Reads a table's rows as events."""

    fields: dict[str, Any] = {}  # noqa: RUF012  (pydantic copies it)

    def columns(self) -> set[str]:
        return set(_COLUMNS)

    def check_header(self, header: Iterable[str]) -> None:
        """Raises BadMap when a column is missing."""
        if missing := [name for name in _COLUMNS if name not in set(header)]:
            raise BadMap(f"A click log has the columns {', '.join(_COLUMNS)}; {', '.join(missing)} is missing.")

    def product(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Turn a row into an event. Its id follows from the row, so that the same row again changes nothing."""
        given = [row[name] for name in _COLUMNS]
        event = {
            "event_id": content_hash(given).hex(),  # keyed: the id alone says nothing about the user
            "kind": "click",
            "occurred_at": _in_utc(row["click_time"]),
            "product_id": row["sku"],
        }
        return event | {"query": row["query"]} | ({"shopper_id": row["user"]} if row["user"] else {})


def events_open(path: Path) -> Source:
    """Look at a file of events: JSONL as POST /v1/events takes them, or a click log in CSV. Raises BadFile, BadMap."""
    source = source_open(path)
    return replace(source, map=ClickLogMap() if source.kind == "csv" else None, holds="events")


def _in_utc(text: str) -> str:
    """A time without a zone is UTC; what is no time stays as it is, to be refused by name."""
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment.isoformat() if moment.tzinfo else moment.replace(tzinfo=UTC).isoformat()
    return text

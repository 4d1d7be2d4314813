from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from catalog.importers.command import FileImportCommand
from catalog.importers.rows import Source
from feedback.click_log import events_open
from feedback.services import MAX_EVENTS, RecordResult, events_record


class Command(FileImportCommand):
    help = (
        "Import events: JSONL as POST /v1/events takes them, or a click log in CSV with the columns "
        "user, query, query_time, sku, click_time. Resumable; a known file changes nothing; bad rows go to a report."
    )
    rows_are = "events"
    most = MAX_EVENTS
    afterwards = "The worker brings them into the rankings."

    def open(self, options: Mapping[str, Any]) -> Source:
        return events_open(options["file"])

    def record(self, *, shop_id: int, items: list[Any], now: datetime) -> RecordResult:
        return events_record(shop_id=shop_id, items=items, now=now)

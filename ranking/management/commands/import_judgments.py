from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from catalog.importers.command import FileImportCommand
from catalog.importers.rows import Source
from ranking.judgement_files import judgements_open
from ranking.judgements import MOST_JUDGEMENTS, JudgedResult, judgements_record


class Command(FileImportCommand):
    help = (
        "Import a judgement list: CSV with the columns query, product_id (or docid) and rating, or JSONL as POST "
        "/v1/judgments takes them. Resumable; a known file changes nothing; bad rows go to a report."
    )
    rows_are = "judgements"
    most = MOST_JUDGEMENTS
    afterwards = "The gate judges the next model version by them; `manage.py train --supervised` learns from them."

    def open(self, options: Mapping[str, Any]) -> Source:
        return judgements_open(options["file"])

    def record(self, *, shop_id: int, items: list[Any], now: datetime) -> JudgedResult:
        return judgements_record(shop_id=shop_id, items=items, now=now)

"""A click log as it is walked: who asked what when, which click came of it, and when that click becomes visible (pure)."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

Sync: TypeAlias = float | Literal["never"]
COLUMNS = ("user", "query", "query_time", "sku", "click_time")
LONGEST_QUERY = 1000  # what a search takes
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A row of the log; times in seconds since 1970. `row` is the row as it stands in the file."""

    query: str
    words: str
    product_id: str
    asked_at: float
    clicked_at: float
    row: dict[str, str] = field(repr=False)

    @property
    def askable(self) -> bool:
        return len(self.query.strip()) > 0 and len(self.query) <= LONGEST_QUERY


def clicks_read(path: Path) -> tuple[list[Click], int]:
    """Read a click log; return its clicks by the time of their query, and how many rows cannot be read.

    Raises ValueError when a column is missing.
    """
    clicks: list[Click] = []
    bad = 0
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise ValueError(
                f"{path}: a click log has the columns {', '.join(COLUMNS)}; {', '.join(missing)} is missing."
            )
        for row in reader:
            try:
                clicks.append(_click(row))
            except (ValueError, TypeError):  # no time, or too few values
                bad += 1
    return sorted(clicks, key=lambda click: click.asked_at), bad


def _click(row: dict[str, Any]) -> Click:
    return Click(
        query=row["query"],
        words=words(row["query"]),
        product_id=row["sku"],
        asked_at=moment(row["query_time"]),
        clicked_at=moment(row["click_time"]),
        row={name: row[name] for name in COLUMNS},
    )


def words(query: str) -> str:
    """What makes two queries the same: their lower-cased a-z and 0-9 words; of another script its letters and digits."""
    return " ".join(re.findall(r"[a-z0-9]+", query.lower()) or re.findall(r"\w+", query.casefold()))


def moment(text: str) -> float:
    """Seconds since 1970; a time without a zone is UTC. Raises ValueError."""
    read = datetime.fromisoformat(text.strip())
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def until(text: str) -> float:
    """The end of a stretch: a bare day counts to its end. Raises ValueError."""
    day = timedelta(days=1).total_seconds() if _DAY.fullmatch(text.strip()) else 0.0
    return moment(text) + day


def visible_at(click: Click, sync: Sync) -> float:
    """When a click becomes visible: at once (0), at the next full hour, day or whatever `sync` is, or never."""
    if sync == "never":
        return math.inf
    return math.ceil(click.clicked_at / sync) * sync if sync else click.clicked_at


def arrivals(clicks: Sequence[Click], sync: Sync) -> list[tuple[float, Click]]:
    """The clicks that become visible at all, with the time they do, in the order in which they were clicked."""
    timed = [(visible_at(click, sync), click) for click in clicks]
    return sorted((each for each in timed if each[0] < math.inf), key=lambda each: (each[0], each[1].clicked_at))

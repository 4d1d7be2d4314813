"""A log of who took what when, as recommendations are measured on it: reading it, and where it is cut (pure but for files)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
DAY = 86_400
BEFORE, BEFORE_TAIL = 0.85, 0.9  # shares of the events before the cut, and of those before the tail that is tuned on


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns of the files are called."""

    user: str = "user_id"
    item: str = "item_id"
    time: str = "timestamp"
    title: str = "title"


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """n events in the order of their time, U shoppers, N items in the order of their ids.

    `shopper` and `item` (n,) are rows of `shopper_ids` (U,) and `item_ids` (N,), `at` (n,) seconds since 1970. Somebody who
    took an item twice at one moment took it once.
    """

    shopper: Ints
    item: Ints
    at: Ints
    shopper_ids: Sequence[str]
    item_ids: Sequence[str]
    titles: Sequence[str]
    left_out: int = 0  # rows without shopper, item or time, or of an item that has no title

    def __len__(self) -> int:
        return len(self.at)

    def first_from(self, moment: int) -> int:
        """Number of the first event that is not strictly earlier."""
        return int(np.searchsorted(self.at, moment, side="left"))


def log_read(interactions: Path, items: Path, columns: Columns) -> Log:
    """Read a log and its items, CSV or parquet. Raises ValueError when a column is missing."""
    known = _table(items, [columns.item, columns.title])
    known = known.assign(id=_ids(known[columns.item])).dropna(subset=["id"]).drop_duplicates("id").sort_values("id")
    rows = _table(interactions, [columns.user, columns.item, columns.time])
    ids = known["id"].to_numpy(dtype=object)
    events = pd.DataFrame(
        {
            "shopper": _ids(rows[columns.user]),
            "item": pd.Index(ids).get_indexer(pd.Index(_ids(rows[columns.item]))),
            "at": _seconds(rows[columns.time]),
        }
    )
    good = events[events["shopper"].notna() & events["at"].notna() & (events["item"] >= 0)]
    numbers, shoppers = pd.factorize(good["shopper"], sort=True)
    good = good.assign(shopper=numbers, at=good["at"].astype(np.int64)).drop_duplicates()
    good = good.sort_values(["at", "shopper", "item"], kind="stable")
    titles = known[columns.title].fillna("").astype(str).str.strip().str.slice(0, 1000)
    return Log(
        shopper=good["shopper"].to_numpy(dtype=np.int64),
        item=good["item"].to_numpy(dtype=np.int64),
        at=good["at"].to_numpy(dtype=np.int64),
        shopper_ids=[str(each) for each in shoppers],
        item_ids=[str(each) for each in ids],
        titles=[title or str(id_) for title, id_ in zip(titles, ids, strict=True)],
        left_out=len(events) - int((events["shopper"].notna() & events["at"].notna() & (events["item"] >= 0)).sum()),
    )


def _table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    parquet = path.suffix.lower() in {".parquet", ".pq"}
    # of a CSV ids stay text: 00123 is not 123
    read = pd.read_parquet(path) if parquet else pd.read_csv(path, dtype=str, encoding="utf-8-sig")
    if missing := [name for name in columns if name not in read.columns]:
        raise ValueError(f"{path} has no column {', '.join(missing)}; it has {', '.join(map(str, read.columns))}")
    return read[list(columns)]


def _ids(column: Any) -> Any:
    """Ids as text, missing ones as None; 13085.0 is 13085, as a column of numbers with gaps holds it."""
    if pd.api.types.is_float_dtype(column.dtype) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype(object).map(lambda each: None if pd.isna(each) else str(each))


def _seconds(column: Any) -> Any:
    """Whole seconds since 1970: numbers are seconds, the rest are dates (UTC without a zone); NaN where there is no time."""
    numbers = pd.to_numeric(column, errors="coerce") if not _is_date(column) else pd.Series(np.nan, index=column.index)
    if numbers.notna().any():
        return numbers.astype(np.float64).floordiv(1)
    dates = pd.to_datetime(column, errors="coerce", utc=True, format="mixed")
    return (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds().floordiv(1)


def _is_date(column: Any) -> bool:
    return bool(pd.api.types.is_datetime64_any_dtype(column.dtype))


def cut_of(at: Ints, share: float) -> int:
    """The midnight (UTC) before which about this share of the events lies."""
    return int(at[min(len(at) - 1, int(share * len(at)))]) // DAY * DAY


def cuts_of(log: Log) -> tuple[int, int]:
    """Where the tail that is tuned on begins, and where what is asked begins: the tail ends there."""
    cut = cut_of(log.at, BEFORE)
    before = log.at[log.at < cut]
    if not len(before):
        raise ValueError("all events are of one day: there is nothing before the cut")
    return cut_of(before, BEFORE_TAIL), cut

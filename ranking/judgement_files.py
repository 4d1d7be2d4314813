"""Judgement lists in files: CSV (`query,product_id,rating`, also as others call these columns) or JSONL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from catalog.importers.mapping import BadMap, ProductMap
from catalog.importers.rows import Source, source_open

_IDS = ("product_id", "docid", "doc_id", "sku")  # Quepid's and Chorus' lists say docid


class JudgementMap(ProductMap):
    """Reads a table's rows as judgements."""

    fields: dict[str, Any] = {}  # noqa: RUF012  (pydantic copies it)

    def columns(self) -> set[str]:
        return {"query", "rating", *_IDS}

    def check_header(self, header: Iterable[str]) -> None:
        """Raises BadMap when a column is missing."""
        given = set(header)
        if not {"query", "rating"} <= given or not given & set(_IDS):
            raise BadMap(
                f"A judgement list has the columns query, product_id (or {', '.join(_IDS[1:])}) and rating; "
                f"this one has {', '.join(sorted(given))}."
            )

    def product(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Turn a row into a judgement; a rating that is no number stays as it is, to be refused by name."""
        id_ = next(row[name] for name in _IDS if name in row)
        rating: Any = row["rating"]
        with suppress(ValueError):
            rating = float(rating)
        return {"query": row["query"], "product_id": id_.strip(), "rating": rating}


def judgements_open(path: Path) -> Source:
    """Look at a file of judgements. Raises BadFile, BadMap."""
    source = source_open(path)
    return replace(source, map=JudgementMap() if source.kind == "csv" else None, holds="judgements")

"""Vectors of products, kept by each process: under one major version that of a description version never changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eventlog.database import rows
from ranking.vector_formats import ids_text, vectors_matrix

Floats32 = NDArray[np.float32]
KEPT = 20_000  # vectors of 1.5 kB: what pages show again and again
_kept: dict[
    tuple[str, int, int], Floats32
] = {}  # all forgotten when it is full: to look up a hundred must cost nothing


def product_vectors(table: str, ids: Sequence[int], versions: Sequence[int]) -> Floats32 | None:
    """Vectors of products (N, D) with the description versions that they are of (0: none), rows of NaN where there is none.

    None where there are none at all.
    """
    known = [_kept.get((table, id_, version)) if version else None for id_, version in zip(ids, versions, strict=True)]
    missing = [n for n, vector in enumerate(known) if vector is None and versions[n]]
    if missing:
        if len(_kept) > KEPT:
            _kept.clear()
        read = _read(table, [ids[n] for n in missing])
        for n in missing:
            version, known[n] = read.get(ids[n], (0, None))
            if (vector := known[n]) is not None:
                _kept[table, ids[n], version] = vector
    return _stacked(known)


def _read(table: str, ids: Sequence[int]) -> dict[int, tuple[int, Floats32 | None]]:
    sql = f"SELECT document_id, description_version, vector FROM {table} WHERE document_id = ANY(%s::bigint[])"
    found = rows(sql, [ids_text(ids)], binary=True)
    matrix = vectors_matrix([vector for _, _, vector in found])
    return {id_: (version, matrix[row]) for row, (id_, version, _) in enumerate(found)}


def _stacked(known: Sequence[Floats32 | None]) -> Floats32 | None:
    some = next((vector for vector in known if vector is not None), None)
    if some is None:
        return None
    nothing = np.full(len(some), np.nan, dtype=np.float32)
    return np.stack([nothing if vector is None else vector for vector in known])

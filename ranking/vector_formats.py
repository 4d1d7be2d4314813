"""Vectors as pgvector writes and reads them, and long lists of ids as parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def vector_text(vector: NDArray[np.floating[Any]]) -> str:
    """A vector (D,) as a parameter of a statement."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def ids_text(ids: Sequence[int]) -> str:
    """Ids as a parameter that is cast to bigint[]: of some hundred, a tenth of what a list costs."""
    return "{" + ",".join(map(str, ids)) + "}"


def vectors_matrix(vectors: Sequence[bytes]) -> NDArray[np.float32]:
    """(N, D) from the binary form: two 16-bit numbers (dimensions, unused), then big-endian floats; (0, 0) of none."""
    if not vectors:
        return np.zeros((0, 0), dtype=np.float32)
    return np.stack([np.frombuffer(vector, dtype=">f4", offset=4) for vector in vectors]).astype(np.float32)

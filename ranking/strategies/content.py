"""What the items of a context are about: the mean of their vectors, newer ones before older ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ranking.strategies.next_for_you import lately
from ranking.vector_formats import vectors_matrix
from ranking.visits.asked import Asked, Floats


def content_vector(asked: Asked, vectors: Sequence[bytes | None]) -> Floats | None:
    """Unit vector (D,) of the newest items that have one, in their binary form; None where none has."""
    known = [(n, vector) for n, vector in enumerate(vectors) if vector is not None]
    if not known:
        return None
    counts = lately(asked)[[n for n, _ in known]]
    mean = counts @ vectors_matrix([vector for _, vector in known]).astype(np.float64)  # (D,)
    length = float(np.linalg.norm(mean))
    return mean / length if length > 0 else None


def items_matrix(vectors: Sequence[bytes | None]) -> NDArray[np.float32]:
    """Vectors of the newest items (T, D), zeros for one that has none; (0, 0) where none has one."""
    known = [n for n, vector in enumerate(vectors) if vector is not None]
    read = vectors_matrix([vector for vector in vectors if vector is not None])
    found = np.zeros((len(vectors) if known else 0, read.shape[1]), dtype=np.float32)
    found[known] = read
    return found

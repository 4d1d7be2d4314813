"""Kept vectors of products are those of the description version that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from eventlog.database import query, rows
from ranking.policies import shop_embed
from ranking.product_vectors import product_vectors
from ranking.projections.vectors import embedding_table
from ranking.vector_formats import vectors_matrix
from tests.cast import SHOP_ID, SmallShop


@pytest.fixture
def table(shop: SmallShop) -> str:
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
    return embedding_table(SHOP_ID, 1)


def stored(table: str) -> dict[int, tuple[int, bytes]]:
    found = rows(f"SELECT document_id, description_version, vector FROM {table} ORDER BY document_id", binary=True)
    return {id_: (version, vector) for id_, version, vector in found}


def test_vectors_are_those_of_the_table_kept_or_not(table: str) -> None:
    of = stored(table)
    ids, versions = list(of), [version for version, _ in of.values()]

    first = product_vectors(table, ids, versions)
    query(f"DELETE FROM {table}")
    again = product_vectors(table, ids, versions)

    assert first is not None
    assert again is not None
    assert np.array_equal(first, vectors_matrix([vector for _, vector in of.values()]))
    assert np.array_equal(again, first)


def test_a_vector_of_another_version_is_read_anew(table: str) -> None:
    of = stored(table)
    id_, (version, vector) = next(iter(of.items()))
    product_vectors(table, [id_], [version])
    query(f"UPDATE {table} SET description_version = {version + 1}, vector = vector + vector WHERE document_id = {id_}")

    (read,) = product_vectors(table, [id_], [version + 1])  # type: ignore[misc]

    assert not np.array_equal(read, vectors_matrix([vector])[0])


def test_a_product_without_a_vector_has_a_row_of_nan(table: str) -> None:
    id_, (version, _) = next(iter(stored(table).items()))

    both = product_vectors(table, [id_, id_ + 1_000_000], [version, 0])

    assert both is not None
    assert np.isnan(both).all(axis=1).tolist() == [False, True]
    assert product_vectors(table, [id_], [0]) is None

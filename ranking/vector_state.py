"""What is embedded, indexed and related under a major version, and what not yet: told without loading a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from eventlog.database import scalar
from ranking.neighbours import contexts_waiting
from ranking.projections.vectors import embedding_table
from ranking.registry import ModelVersion, model_awaited
from ranking.retrieval import EXACT

State: TypeAlias = Literal["embedding", "relating", "indexing", "ready"]


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far a major version is: the share of live products and of contexts that are done."""

    version: str
    state: State
    embedded: float
    related: float


def rollout_read(*, shop_id: int) -> Rollout | None:
    """How far the major version is that is being rolled out; None when none is."""
    awaited = model_awaited(shop_id=shop_id)
    if awaited is None:
        return None
    products = scalar("SELECT count(*) FROM ranking_document WHERE shop_id = %s AND NOT retired", [shop_id])
    asked = scalar("SELECT count(*) FROM ranking_context WHERE shop_id = %s AND kind = 'query'", [shop_id])
    lack, unrelated = waiting_count(shop_id=shop_id, major=awaited.major), unrelated_count(awaited)
    state: State = "embedding" if lack else "relating" if unrelated else "ready"
    if state == "ready" and not is_indexed(shop_id=shop_id, major=awaited.major):
        state = "indexing"
    return Rollout(awaited.version, state, _share(lack, products), _share(unrelated, asked))


def waiting_count(*, shop_id: int, major: int) -> int:
    """How many live products lack a vector of their current description."""
    sql = """SELECT count(*) FROM ranking_document d LEFT JOIN ranking_descriptionvector v
               ON v.shop_id = d.shop_id AND v.product_id = d.product_id
              AND v.description_version = d.description_version AND v.major = %s
             WHERE d.shop_id = %s AND NOT d.retired AND v.hash IS NULL"""
    return int(scalar(sql, [major, shop_id]))


def unrelated_count(version: ModelVersion) -> int:
    """How many contexts a version's encoder has not been asked about."""
    return contexts_waiting(shop_id=version.shop_id, encoder=version.encoder)


def is_indexed(*, shop_id: int, major: int) -> bool:
    """Whether a major version's current vectors have their index, or are so few that they are scanned."""
    table = embedding_table(shop_id, major)
    if not scalar("SELECT to_regclass(%s) IS NOT NULL", [table]):
        return True
    valid = scalar("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [f"{table}_hnsw"])
    return bool(valid) or scalar(f"SELECT count(*) FROM {table}") <= EXACT


def _share(lack: int, total: int) -> float:
    return 1.0 - lack / total if total else 1.0

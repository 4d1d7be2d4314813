"""Model versions and their artefacts: register, promote, roll back, look up.

`major.minor`: products are embedded by the major version's frozen product tower; a minor version moves the query tower (by
an adapter) and the head, and is live the moment it is promoted. Version "1.0" is the pre-trained encoder as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction

from eventlog.database import query, rows, scalar
from eventlog.errors import FreshetError
from eventlog.events import NewEvent
from eventlog.selectors import heads
from eventlog.services import append
from ranking.events import (
    MajorVersionRetired,
    ModelVersionPromoted,
    ModelVersionRefused,
    ModelVersionShadowed,
    ModelVersionTrained,
    major_stream,
)

ModelEvent = ModelVersionTrained | ModelVersionPromoted | ModelVersionRefused | ModelVersionShadowed


class ModelVersionNotFound(FreshetError):
    """There is no such model version."""

    code = "model_version_not_found"
    status = 404


class ModelVersionRefusedToServe(FreshetError):
    """This version was refused by the gate, or is of another major version than the vectors that are there."""

    code = "model_version_refused"
    status = 409


class NothingToRollBackTo(FreshetError):
    """No version served before this one."""

    code = "nothing_to_roll_back_to"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A row of the registry."""

    shop_id: int
    version: str
    major: int
    minor: int
    parent: str | None
    encoder: str
    artefact: str
    from_position: int
    to_position: int
    seed: int
    metrics: dict[str, Any]
    config: dict[str, Any]
    state: str
    reason: str | None
    promoted_position: int | None
    trained_at: datetime | None = None
    shadow_after: int | None = None
    shadow_click_throughs: int | None = None


_COLUMNS = """shop_id, version, major, minor, parent, encoder, artefact, from_position, to_position, seed, metrics, config,
              state, reason, promoted_position, trained_at, shadow_after, shadow_click_throughs"""


def model_versions(*, shop_id: int) -> list[ModelVersion]:
    """All versions of a shop, newest first."""
    sql = f"SELECT {_COLUMNS} FROM ranking_modelversion WHERE shop_id = %s ORDER BY major DESC, minor DESC"
    return [_version(row) for row in rows(sql, [shop_id])]


def model_get(*, shop_id: int, version: str) -> ModelVersion:
    """One version. Raises ModelVersionNotFound."""
    sql = f"SELECT {_COLUMNS} FROM ranking_modelversion WHERE shop_id = %s AND version = %s"
    found = rows(sql, [shop_id, version])
    if not found:
        raise ModelVersionNotFound(f"There is no model version {version!r}.", field="version")
    return _version(found[0])


def model_serving(*, shop_id: int) -> ModelVersion | None:
    """The version that serves; None before the first one is registered."""
    sql = f"SELECT {_COLUMNS} FROM ranking_modelversion WHERE shop_id = %s AND state = 'serving'"
    found = rows(sql, [shop_id])
    return _version(found[0]) if found else None


def model_served(*, shop_id: int, at: datetime) -> ModelVersion | None:
    """The version that served at a moment; the first that ever did where none served yet, None without any."""
    sql = """SELECT version FROM ranking_promotion WHERE shop_id = %(shop)s
              ORDER BY (at <= %(at)s) DESC, CASE WHEN at <= %(at)s THEN -position ELSE position END LIMIT 1"""
    found = rows(sql, {"shop": shop_id, "at": at})
    return model_get(shop_id=shop_id, version=found[0][0]) if found else None


def model_in_shadow(*, shop_id: int) -> ModelVersion | None:
    """The version that is scored beside the one that serves; None without one.

    It waits on what it was trained from: while an operator lets another version serve, no shadow is judged.
    """
    sql = f"""SELECT {_COLUMNS} FROM ranking_modelversion
               WHERE shop_id = %(shop)s AND state = 'candidate' AND shadow_after IS NOT NULL
                 AND parent = (SELECT version FROM ranking_modelversion WHERE shop_id = %(shop)s AND state = 'serving')
               ORDER BY trained_position DESC LIMIT 1"""
    found = rows(sql, {"shop": shop_id})
    return _version(found[0]) if found else None


def model_next_minor(*, shop_id: int, major: int) -> int:
    """The number of the next minor version: numbers are never used again, refused versions keep theirs."""
    known = scalar("SELECT max(minor) FROM ranking_modelversion WHERE shop_id = %s AND major = %s", [shop_id, major])
    minor = 0 if known is None else int(known) + 1
    while heads(shop_id=shop_id, streams=[stream := f"model/{major}.{minor}"])[stream].version:
        minor += 1  # registered, and on its way into the table
    return minor


def model_next_major(*, shop_id: int) -> int:
    """The number of the next major version: as with minor ones, none is used again."""
    major = int(scalar("SELECT max(major) FROM ranking_modelversion WHERE shop_id = %s", [shop_id]) or 0) + 1
    while heads(shop_id=shop_id, streams=[stream := f"model/{major}.0"])[stream].version:
        major += 1  # registered, and on its way into the table
    return major


def model_awaited(*, shop_id: int) -> ModelVersion | None:
    """The major version that is being rolled out: a candidate that nothing was promoted after. None mostly.

    Whoever promotes another version meanwhile, even the one that serves, gives it up.
    """
    sql = f"""SELECT {_COLUMNS} FROM ranking_modelversion v
               WHERE shop_id = %s AND state = 'candidate' AND minor = 0 AND trained_position >
                     (SELECT max(promoted_position) FROM ranking_modelversion s WHERE s.shop_id = v.shop_id)
               ORDER BY major DESC LIMIT 1"""
    found = rows(sql, [shop_id])
    return _version(found[0]) if found else None


def models_before(*, shop_id: int) -> list[ModelVersion]:
    """The newest version that served of each other major version that can be rolled back to: its vectors are kept current."""
    sql = f"""SELECT * FROM (SELECT DISTINCT ON (major) {_COLUMNS} FROM ranking_modelversion v
                              WHERE shop_id = %s AND promoted_position IS NOT NULL
                              ORDER BY major, promoted_position DESC) newest
               WHERE major <> (SELECT major FROM ranking_modelversion WHERE shop_id = %s AND state = 'serving')"""
    found = [_version(row) for row in rows(sql, [shop_id, shop_id])]
    return [each for each in found if not major_is_retired(shop_id=shop_id, major=each.major)]


def major_is_retired(*, shop_id: int, major: int) -> bool:
    """Whether a major version's vectors are not kept any more, by the head of its stream."""
    stream = major_stream(major)
    return heads(shop_id=shop_id, streams=[stream])[stream].version > 0


@transaction.atomic
def major_retire(*, shop_id: int, major: int, encoder: str, now: datetime) -> None:
    """Let go of a major version's vectors. Raises ConcurrentChange when it was done already."""
    event = MajorVersionRetired(major=major, encoder=encoder)
    append(
        shop_id=shop_id, events=[NewEvent(event=event, stream=major_stream(major), expected_version=0, occurred_at=now)]
    )


@transaction.atomic
def model_register(*, shop_id: int, trained: ModelVersionTrained, artefact: bytes, now: datetime) -> None:
    """Store an artefact and record the version it makes. Call it in the transaction that moves the trainer's checkpoint."""
    artefact_store(artefact, expected_hash=trained.artefact)
    _append(shop_id, trained, expected=0, now=now)


def model_promote(*, shop_id: int, version: str, reason: str, now: datetime) -> None:
    """Let a version serve. Raises ModelVersionNotFound, ModelVersionRefusedToServe."""
    target, serving = model_get(shop_id=shop_id, version=version), model_serving(shop_id=shop_id)
    if target.state == "refused":
        raise ModelVersionRefusedToServe(f"{version} was refused: {target.reason}.", field="version")
    if serving and serving.major != target.major:
        if major_is_retired(shop_id=shop_id, major=target.major):
            raise ModelVersionRefusedToServe(
                f"The vectors of major version {target.major} are not kept any more: nothing had served from them for "
                f"{settings.FRESHET_MAJOR_KEPT_SECONDS / 3600:g} hours. `train --major` makes a new one.",
                field="version",
            )
        if not _is_embedded(shop_id, target.major):
            raise ModelVersionRefusedToServe(
                f"Not every product has a vector of major version {target.major} yet.", field="version"
            )
    _append(shop_id, ModelVersionPromoted(version=version, reason=reason), expected=None, now=now)


def model_promote_new(*, shop_id: int, version: str, reason: str, now: datetime) -> None:
    """Let a version serve that was registered in this very transaction, which no projection has seen yet."""
    _append(shop_id, ModelVersionPromoted(version=version, reason=reason), expected=1, now=now)


def model_refuse_new(*, shop_id: int, version: str, reason: str, now: datetime) -> None:
    """Record that the gate refused a version that was registered in this very transaction."""
    _append(shop_id, ModelVersionRefused(version=version, reason=reason), expected=1, now=now)


def model_shadow_new(*, shop_id: int, version: str, after_position: int, click_throughs: int, now: datetime) -> None:
    """Put a version into shadow that was registered in this very transaction."""
    shadowed = ModelVersionShadowed(version=version, after_position=after_position, click_throughs=click_throughs)
    _append(shop_id, shadowed, expected=1, now=now)


def model_shadow_end(
    *, shop_id: int, version: str, refused: bool, reason: str, figures: dict[str, Any], now: datetime
) -> None:
    """Let a version leave its shadow, to serve or refused. Raises ConcurrentChange when somebody else ended it."""
    ended = ModelVersionRefused if refused else ModelVersionPromoted
    _append(shop_id, ended(version=version, reason=reason, figures=figures), expected=2, now=now)


def model_refuse(*, shop_id: int, version: str, reason: str, now: datetime) -> None:
    """Take a version out for good: it cannot be promoted or rolled back to any more."""
    _append(shop_id, ModelVersionRefused(version=version, reason=reason), expected=None, now=now)


def model_rollback(*, shop_id: int, now: datetime) -> str:
    """Let the newest version serve that is older than the current one and has served; return its number.

    Again and again it walks back, down to the first one. Raises NothingToRollBackTo.
    """
    serving = model_serving(shop_id=shop_id)
    sql = """SELECT version FROM ranking_modelversion
              WHERE shop_id = %s AND state = 'retired' AND promoted_position IS NOT NULL AND (major, minor) < (%s, %s)
              ORDER BY major DESC, minor DESC LIMIT 1"""
    found = rows(sql, [shop_id, serving.major, serving.minor]) if serving else []
    if serving is None or not found:
        raise NothingToRollBackTo
    version = str(found[0][0])
    model_promote(shop_id=shop_id, version=version, reason=f"rolled back from {serving.version}", now=now)
    return version


def artefact_hash(content: bytes) -> str:
    return sha256(content).hexdigest()


def artefact_store(content: bytes, *, expected_hash: str) -> None:
    """Keep bytes under their hash; the same bytes twice are kept once."""
    if artefact_hash(content) != expected_hash:
        raise ValueError("the artefact's bytes are not those that the version names")
    query(
        "INSERT INTO ranking_artefact (hash, content) VALUES (%s, %s) ON CONFLICT DO NOTHING", [expected_hash, content]
    )


def artefact_load(hash_: str) -> bytes:
    """Bytes by hash. Raises ModelVersionNotFound when they are gone."""
    found = rows("SELECT content FROM ranking_artefact WHERE hash = %s", [hash_])
    if not found:
        raise ModelVersionNotFound(f"The artefact {hash_[:12]} is not there.")
    return bytes(found[0][0])


@transaction.atomic
def _append(shop_id: int, event: ModelEvent, *, expected: int | None, now: datetime) -> None:
    stream = f"model/{event.version}"
    new = NewEvent(event=event, stream=stream, expected_version=expected, occurred_at=now)
    append(shop_id=shop_id, events=[new])


def _is_embedded(shop_id: int, major: int) -> bool:
    sql = """SELECT count(*) FILTER (WHERE v.hash IS NULL) FROM ranking_document d
               LEFT JOIN ranking_descriptionvector v ON v.shop_id = d.shop_id AND v.product_id = d.product_id
                    AND v.description_version = d.description_version AND v.major = %s
              WHERE d.shop_id = %s AND NOT d.retired"""
    return int(scalar(sql, [major, shop_id])) == 0


def _version(row: Sequence[Any]) -> ModelVersion:
    (shop_id, version, major, minor, parent, encoder, artefact, from_position, to_position, seed, metrics, config, state,
     reason, promoted, trained_at, shadow_after, shadow_click_throughs) = row  # fmt: skip
    return ModelVersion(
        shop_id=shop_id,
        version=version,
        major=major,
        minor=minor,
        parent=parent,
        encoder=encoder,
        artefact=artefact,
        from_position=from_position,
        to_position=to_position,
        seed=seed,
        metrics=orjson.loads(metrics),
        config=orjson.loads(config),
        state=state,
        reason=reason,
        promoted_position=promoted,
        trained_at=trained_at,
        shadow_after=shadow_after,
        shadow_click_throughs=shadow_click_throughs,
    )

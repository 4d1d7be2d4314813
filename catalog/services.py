"""Writing to the catalogue: check, decide on the heads of the streams, append. Nobody else appends catalogue events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from django.db import transaction
from pydantic import ValidationError

from catalog.decisions import (
    DESCRIPTION_FIELDS,
    ProductHead,
    ProductIsRetired,
    decide_description,
    decide_offer,
    decide_retire,
    decide_upsert,
    described,
    offered,
)
from catalog.events import OfferChanged, Origin, ProductDescribed, description_stream, offer_stream
from catalog.inputs import ProductIn
from catalog.selectors import DescriptionRecord, description_at, head_of, newest_row
from eventlog.database import query
from eventlog.errors import ConcurrentChange, FreshetError
from eventlog.events import NewEvent
from eventlog.receipts import receipt_make
from eventlog.rejections import Rejection, rejection_of
from eventlog.selectors import heads
from eventlog.services import Appended, append

ATTEMPTS = 3  # the second is alone among upserts; only an edit that names its version may still come between
T = TypeVar("T")


class BadDescription(FreshetError):
    """A description cannot be like this."""

    code = "bad_description"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpsertResult:
    """What became of a batch; accepted + duplicates + rejected is its length. `row_id` is the newest event row or 0."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]
    row_id: int
    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revised:
    """The description version that is current now, whether it is a new one, and a receipt to wait for it."""

    version: int
    changed: bool
    row_id: int
    receipt: str


@dataclass(slots=True)
class _Batch:
    """The readable items of a batch: for each product the last one; `repeats` counts those before it."""

    products: dict[str, tuple[int, ProductDescribed, OfferChanged]] = field(default_factory=dict)
    rejected: list[Rejection] = field(default_factory=list)
    repeats: int = 0


def products_upsert(*, shop_id: int, items: Sequence[Any], origin: Origin, now: datetime) -> UpsertResult:
    """Record whole products; answer each item on its own.

    What says nothing new appends nothing and counts as duplicate. Of several items for one product the last readable
    one counts, those before it are duplicates. A retired product is refused (`product_retired`). A writer who meets
    another one on a product tries again alone; ConcurrentChange is raised when edits came between three times over.
    """
    batch = _parse(items, origin)
    appended, retired = _retried(shop_id, lambda: _upsert(shop_id, batch, now))
    changed = {new.stream.partition("/")[2] for new, _ in appended if new.stream}
    row_id = max((answer.id or 0 for _, answer in appended), default=0)
    if not row_id and batch.products:
        row_id = newest_row(shop_id=shop_id, product_ids=list(batch.products))
    return UpsertResult(
        accepted=len(changed),
        duplicates=len(batch.products) - len(changed) - len(retired) + batch.repeats,
        rejected=sorted(batch.rejected + retired, key=lambda rejection: rejection.index),
        row_id=row_id,
        receipt=receipt_make(shop_id=shop_id, row_id=row_id),
    )


def _parse(items: Sequence[Any], origin: Origin) -> _Batch:
    batch = _Batch()
    for index, item in enumerate(items):
        try:
            product = ProductIn.model_validate(item)
        except ValidationError as error:
            batch.rejected.append(rejection_of(error, model=ProductIn, index=index))
            continue
        batch.repeats += product.product_id in batch.products
        batch.products[product.product_id] = index, described(product, origin=origin), offered(product)
    return batch


def _upsert(shop_id: int, batch: _Batch, now: datetime) -> tuple[list[tuple[NewEvent, Appended]], list[Rejection]]:
    """One attempt: return each appended event with its answer, and the products refused because they are retired."""
    streams = [stream for each in batch.products for stream in (description_stream(each), offer_stream(each))]
    found = heads(shop_id=shop_id, streams=streams)
    events: list[NewEvent] = []
    retired: list[Rejection] = []
    for product_id, (index, description, offer) in batch.products.items():
        try:
            head = ProductHead.of(product_id, found)
            events += decide_upsert(head, description=description, offer=offer, now=now)
        except ProductIsRetired as error:
            retired.append(Rejection(index=index, code=error.code, field=error.field, detail=error.detail))
    answers = append(shop_id=shop_id, events=events)
    return list(zip(events, answers, strict=True)), retired


def description_revise(
    *,
    shop_id: int,
    product_id: str,
    fields: Mapping[str, Any],
    expected_version: int | None,
    now: datetime,
    origin: Origin = "api",
) -> Revised:
    """Record a new description version: `expected_version` with these fields replaced, null empties one.

    None stands for whichever version is current.
    Raises ProductNotFound, ProductIsRetired, ConcurrentChange when another version is current, BadDescription.
    """
    head = head_of(shop_id=shop_id, product_id=product_id)
    head.check()
    if expected_version is not None:
        _check_version(head, expected_version)
    base = description_at(shop_id=shop_id, product_id=product_id, version=head.description_version)
    description = described(_merged(product_id, base, fields), origin=origin)
    return _revised(shop_id, head, decide_description(head, description=description, now=now))


def _merged(product_id: str, base: DescriptionRecord, fields: Mapping[str, Any]) -> ProductIn:
    for name in fields:
        if name not in DESCRIPTION_FIELDS:
            raise BadDescription(f"There is no field {name!r} in a description.", field=name)
    try:
        return ProductIn.model_validate({"product_id": product_id} | base.content | dict(fields))
    except ValidationError as error:
        wrong = rejection_of(error, model=ProductIn)
        raise BadDescription(wrong.detail, field=wrong.field) from error


def description_restore(
    *, shop_id: int, product_id: str, version: int, now: datetime, expected_version: int | None = None
) -> Revised:
    """Make an old description current again, as a new version; nothing when the current one says the same.

    Raises ProductNotFound, ProductIsRetired, DescriptionVersionNotFound, and ConcurrentChange: with `expected_version`
    when another version is current, without when others kept changing it.
    """

    def attempt() -> Revised:
        head = head_of(shop_id=shop_id, product_id=product_id)
        head.check()
        if expected_version is not None:
            _check_version(head, expected_version)
        old = description_at(shop_id=shop_id, product_id=product_id, version=version)
        content = {name: value for name, value in old.content.items() if value is not None}
        restored = ProductDescribed(product_id=product_id, origin="restore", restored_from=version, **content)
        return _revised(shop_id, head, decide_description(head, description=restored, now=now))

    return attempt() if expected_version is not None else _retried(shop_id, attempt)


def product_retire(*, shop_id: int, product_id: str, now: datetime) -> str:
    """Take a product out of the shop for good; return a receipt. Again is the same as once. Raises ProductNotFound."""

    def attempt() -> int:
        head = head_of(shop_id=shop_id, product_id=product_id)
        answers = append(shop_id=shop_id, events=decide_retire(head, now=now))
        return answers[0].id or 0 if answers else newest_row(shop_id=shop_id, product_ids=[product_id])

    return receipt_make(shop_id=shop_id, row_id=_retried(shop_id, attempt))


def product_edit(
    *,
    shop_id: int,
    product: ProductIn,
    expected_description_version: int,
    expected_offer_version: int,
    now: datetime,
) -> Revised:
    """Record an editor's whole product, made while looking at these two versions; both change or none.

    Raises ProductNotFound, ProductIsRetired, ConcurrentChange.
    """
    head = head_of(shop_id=shop_id, product_id=product.product_id)
    head.check()
    _check_version(head, expected_description_version)
    if head.offer_version != expected_offer_version:
        raise ConcurrentChange(f"The price or the stock of {product.product_id} has changed since.", field="price")
    events = decide_description(head, description=described(product, origin="admin"), now=now)
    return _revised(shop_id, head, events + decide_offer(head, offer=offered(product), now=now))


def _check_version(head: ProductHead, expected: int) -> None:
    if head.description_version != expected:
        raise ConcurrentChange(
            f"The current description version is {head.description_version}, not {expected}.", field="If-Match"
        )


def _revised(shop_id: int, head: ProductHead, events: list[NewEvent]) -> Revised:
    answers = append(shop_id=shop_id, events=events)
    version = next(
        (a.version for e, a in zip(events, answers, strict=True) if isinstance(e.event, ProductDescribed)), None
    )
    rows = [answer.id or 0 for answer in answers]
    row_id = max(rows) if rows else newest_row(shop_id=shop_id, product_ids=[head.product_id])
    return Revised(
        version=version or head.description_version,
        changed=bool(events),
        row_id=row_id,
        receipt=receipt_make(shop_id=shop_id, row_id=row_id),
    )


def _retried(shop_id: int, attempt: Callable[[], T]) -> T:
    """Try again when another writer was faster: alone, since first attempts share the lock that a second one owns.

    PostgreSQL grants it in the order asked for, so a writer waits once for those under way and is not overtaken again.
    """
    for n in range(ATTEMPTS):
        lock = "pg_advisory_xact_lock" if n else "pg_advisory_xact_lock_shared"
        try:
            with transaction.atomic():
                query(f"SELECT {lock}(hashtextextended(%s, 0))", [f"catalog/{shop_id}"])
                return attempt()
        except (
            ConcurrentChange
        ):  # the savepoint's end gave the shared lock back, so that two do not wait for each other
            if n == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")

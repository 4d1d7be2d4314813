"""From what a shop says to an event of the log: identity, context, ranking, rank. Pure but for the keys it is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid5

import orjson

from eventlog.events import Event
from feedback.contexts import query_context
from feedback.events import ImpressionRecorded, InteractionRecorded
from feedback.inputs import EventIn, ImpressionIn
from feedback.privacy import derived_key, session_hash, shopper_hash
from feedback.ranking_token import RankingToken

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TEXT_IDS = UUID("2d9a3f0c-6f0b-5f4e-8c39-5a1f4f1f7b02")


@dataclass(frozen=True, slots=True)
class Checked:
    """An item of a batch that can be taken, with the token it came with, read."""

    index: int
    given: EventIn
    token: RankingToken | None
    item: object


def event_uuid(text: str) -> UUID:
    """A UUID as such; any other text as the UUID that always stands for it."""
    return UUID(text) if _UUID.fullmatch(text) else uuid5(_TEXT_IDS, text)


def content_hash(item: object, *, subject_key: bytes = b"") -> bytes:
    """Identify what was submitted, whatever the order of its fields.

    Keyed, so that nobody who reads the log's tables can try out which shopper id an item held; with the shopper's own
    key as well, so that nobody at all can once the shopper is erased.
    """
    content = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
    return blake2b(content, key=derived_key("content") + subject_key, digest_size=16).digest()


def person_of(shop_id: int, given: EventIn) -> tuple[bytes | None, dict[str, str]]:
    """Return the pseudonym whose key seals this event, and what is sealed.

    A session without a shopper is a person of its own; of an event with neither nothing is personal.
    """
    sealed: dict[str, str] = {}
    person = None
    if given.session_id is not None:
        person = session_hash(shop_id, given.session_id)
        sealed["session"] = person.hex()
    if given.shopper_id is not None:
        person = shopper_hash(shop_id, given.shopper_id)
        sealed["shopper"] = person.hex()
    return person, sealed


def product_to_find(checked: Checked) -> str | None:
    """The product whose rank must be looked up among the token's items; None when that is not needed."""
    if checked.token is None or checked.given.rank is not None:
        return None
    given = checked.given
    return given.items[0] if isinstance(given, ImpressionIn) else given.product_id


def event_of(checked: Checked, product_numbers: Mapping[str, int]) -> Event:
    """Compose the event; `product_numbers` are the internal ids of the products to find."""
    given, token = checked.given, checked.token
    rank = given.rank
    if (product_id := product_to_find(checked)) is not None and token is not None:
        rank = _rank_in(token, product_numbers.get(product_id))
    context, ranking = _context(given.query, token), _ranking(token)
    if isinstance(given, ImpressionIn):
        if rank is None:
            rank = 1 if token is None else token.offset + 1
        return ImpressionRecorded(items=given.items, first_rank=rank, context=context, ranking=ranking)
    return InteractionRecorded(
        kind=given.kind,
        product_id=given.product_id,
        context=context,
        rank=rank,
        ranking=ranking,
        quantity=given.quantity,
        price=given.price,
    )


def _rank_in(token: RankingToken, number: int | None) -> int | None:
    ids = [id_ for id_, _ in token.items]
    return None if number not in ids else token.offset + ids.index(number) + 1


def _context(query: str | None, token: RankingToken | None) -> dict[str, str] | None:
    """What the answer was made for, as the token says; else the query that the sender names."""
    if token is not None:
        if token.context_kind is None or token.context_key is None:
            return None
        return {"kind": token.context_kind, "key": token.context_key, "text": token.query or token.context_key}
    context = query_context(query) if query else None
    return None if context is None else {"kind": context.kind, "key": context.key, "text": context.text}


def _ranking(token: RankingToken | None) -> dict[str, Any] | None:
    if token is None:
        return None
    return {
        "ref": token.ref,
        "position": token.as_of_position,
        "at": token.now,
        "model": token.model,
        "arm": token.arm,
        "propensity": token.propensity,
        **({} if token.experiment is None else {"experiment": token.experiment}),
        **({} if token.teams is None else {"teams": token.teams}),
    }

"""The ranking token: all that is needed to make an answer again, signed, so that nothing is written when searching."""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson
from django.core.signing import BadSignature, Signer

from eventlog.errors import FreshetError

LAYOUT = 1  # first number of what is signed; another layout of the fields gets another number
WITH_SUBJECT = 2  # the same, and at the end the shopper's reference
WITH_EXPERIMENT = 3  # the same, and at the end the shopper's reference (or null), the experiment and the teams
LONGEST = 32_000  # characters; the longest query in Chinese with its terms, and 100 items, take 12,208


class BadToken(FreshetError):
    """This is not a ranking token that was given to this shop: it is altered, cut short or somebody else's."""

    code = "bad_token"


@dataclass(frozen=True, kw_only=True)
class RankingToken:
    """What an answer was made from. Plain data; doubles come back bit by bit as they went in.

    `terms` are the query's analysed terms, each with its variants; `now` is in seconds since 1970, `model` is
    "major.minor", `positions` maps each projection to where it stood, `items` are (internal product id, description
    version) in the order served, `neighbours` (context id, similarity), `scalars` the normalisers that cannot be read
    back from the log. `subject` refers to the shopper whom the answer was made for, while that one is known.
    `experiment` is "<id>:<variant>" of an answer that counts in one, `teams` whose each rank was in an interleaved one.
    """

    shop_id: int
    context_kind: str | None
    context_key: str | None
    query: str | None
    terms: tuple[tuple[str, ...], ...] = ()
    filters: tuple[str, ...] = ()
    sort: str = "relevance"
    offset: int = 0
    k: int = 20
    now: float
    model: str
    positions: dict[str, int] = field(default_factory=dict)
    arm: str | None = None
    propensity: float | None = None
    seed: int | None = None
    rules_version: int = 0
    items: tuple[tuple[int, int], ...] = ()
    neighbours: tuple[tuple[int, float], ...] = ()
    scalars: dict[str, float] = field(default_factory=dict)
    subject: UUID | None = None
    experiment: str | None = None
    teams: str | None = None

    @property
    def as_of_position(self) -> int:
        """The smallest position of the projections that the answer was made from."""
        return min(self.positions.values(), default=0)

    @cached_property
    def ref(self) -> str:
        """A short name of this answer, by which impressions and interactions find each other."""
        return _digest(_pack(self))


# What nearly every token says. Part of the layout: tokens signed with it are read with it.
_COMMON = (
    b',"fresh","price","-price","newest","in_stock:true","brand:","category:","price:..0.0,1.0,1.0,null,null,0,'
    b'"normaliser":"shop_reward":"shop_exposure":"products":"own_reward":"own_exposure":"near_reward":"near_exposure":'
    b'[1,1,"query",true,[],"relevance",0,20,17,"1.0",'
    b'{"products":"postings":"weights":"models":"vectors":"contexts":},"search",[1,1,1,1,1,1,1,1],[],[0.'
)


class _Layout:
    """Serializer for Django's signer: a JSON list in fixed order, pairs as columns, deflated against what is common."""

    def dumps(self, obj: RankingToken) -> bytes:
        deflate = zlib.compressobj(level=9, wbits=-15, zdict=_COMMON)
        return deflate.compress(_pack(obj)) + deflate.flush()

    def loads(self, data: bytes) -> RankingToken:
        packed = zlib.decompressobj(wbits=-15, zdict=_COMMON).decompress(data)
        token = _unpack(packed)
        vars(token)["ref"] = _digest(packed)  # the same, without packing it once more
        return token


def token_sign(token: RankingToken) -> str:
    """Sign a token; the text is safe in a URL. About 500 characters at k = 20."""
    return _signer().sign_object(token, serializer=_Layout)


def token_read(text: str, shop_id: int) -> RankingToken:
    """Verify and read a token. Raises BadToken when it is forged, altered, too long or another shop's."""
    if len(text) > LONGEST:
        raise BadToken("A ranking token is never this long.", field="ranking_token")
    try:
        token: RankingToken = _signer().unsign_object(text, serializer=_Layout)
    except (BadSignature, zlib.error, ValueError, TypeError) as error:
        raise BadToken(field="ranking_token") from error
    if token.shop_id != shop_id:
        raise BadToken(field="ranking_token")
    return token


def _signer() -> Signer:
    return Signer(salt="feedback.ranking_token")


def _digest(packed: bytes) -> str:
    return urlsafe_b64encode(blake2b(packed, digest_size=12).digest()).decode()


def _pack(token: RankingToken) -> bytes:
    ids, versions = _columns(token.items)
    near, similarities = _columns(token.neighbours)
    values = [
        token.shop_id, token.context_kind, token.context_key,
        True if token.query == token.context_key else token.query,  # most are typed as their key is written
        token.filters, token.sort, token.offset, token.k, token.now, token.model, token.positions, token.arm,
        token.propensity, token.seed, token.rules_version, token.scalars, token.terms, ids, versions, near,
        similarities,
    ]  # fmt: skip
    subject = None if token.subject is None else token.subject.hex
    if token.experiment is not None or token.teams is not None:
        return orjson.dumps([WITH_EXPERIMENT, *values, subject, token.experiment, token.teams])
    return orjson.dumps([LAYOUT, *values] if subject is None else [WITH_SUBJECT, *values, subject])


def _unpack(data: bytes) -> RankingToken:
    layout, *values = orjson.loads(data)
    if layout not in (LAYOUT, WITH_SUBJECT, WITH_EXPERIMENT):
        raise ValueError(f"layout {layout} of ranking tokens is not known")
    *values, experiment, teams = values if layout == WITH_EXPERIMENT else (*values, None, None)
    subject = values.pop() if layout != LAYOUT else None
    (shop_id, kind, key, query, filters, sort, offset, k, now, model, positions, arm,
     propensity, seed, rules_version, scalars, terms, ids, versions, near, similarities) = values  # fmt: skip
    return RankingToken(
        shop_id=shop_id,
        context_kind=kind,
        context_key=key,
        query=key if query is True else query,
        terms=tuple(tuple(group) for group in terms),
        filters=tuple(filters),
        sort=sort,
        offset=offset,
        k=k,
        now=now,
        model=model,
        positions=positions,
        arm=arm,
        propensity=propensity,
        seed=seed,
        rules_version=rules_version,
        items=tuple(zip(ids, versions, strict=True)),
        neighbours=tuple(zip(near, similarities, strict=True)),
        scalars=scalars,
        subject=None if subject is None else UUID(subject),
        experiment=experiment,
        teams=teams,
    )


def _columns(pairs: tuple[tuple[int, Any], ...]) -> tuple[list[int], list[Any]]:
    return [first for first, _ in pairs], [second for _, second in pairs]

"""Reads of rules: those in force now, kept by each process until they change; those of a past position; for operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from eventlog.database import rows
from ranking.rules.relations import named_read, shown_read
from ranking.rules.rule import Rule, Shown, boost_of, rules_matched
from ranking.rules.settings import DEFAULTS, Arrangement, ListSettings

Version = tuple[int, int]  # position of the newest event of a shop's rules, and how many there were


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules of a shop that are not ended, by the query that they are for, and its settings, as of a version of them."""

    version: Version
    rules: Mapping[str | None, Sequence[Rule]] = field(default_factory=dict)
    arrangement: Arrangement = DEFAULTS

    def of(self, key: str | None) -> list[Rule]:
        """The rules for every query, and those for this one: a shop may have thousands for others."""
        return [*self.rules.get(None, ()), *(self.rules.get(key, ()) if key is not None else ())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What counts for one answer: its rules and its settings. `version` goes into the token as `rules_version`."""

    shop_id: int
    surface: str
    key: str | None
    version: int = 0
    rules: tuple[Rule, ...] = ()
    settings: ListSettings = DEFAULTS.search

    @property
    def is_idle(self) -> bool:
        """Whether it changes no list, so that nothing need be read for it."""
        return not self.rules and self.settings.is_idle

    @property
    def pinned(self) -> list[str]:
        """Products that must be candidates whatever retrieval finds."""
        return sorted({rule.product_id for rule in self.rules if rule.kind == "pin" and rule.product_id is not None})

    def shown(self, ids: Sequence[int]) -> dict[int, Shown]:
        """What rules and relations look at of these products; empty where nothing looks."""
        if self.is_idle:
            return {}
        read = named_read if self.settings.is_idle else shown_read
        return read(shop_id=self.shop_id, ids=ids)

    def awaited(self, shown: Mapping[int, Shown]) -> list[str]:
        """Successors of listed products that are not among them: they must be candidates too."""
        if self.settings.replaced != "successor":
            return []
        listed = {each.product_id for each in shown.values()}
        return sorted({product_id for each in shown.values() for product_id in each.successors} - listed)


_books: dict[int, RuleBook] = {}  # by shop


def rules_standing(*, shop_id: int, version: Version | None, surface: str, key: str | None, now: float) -> Standing:
    """The rules for an answer on this surface and for this context. `version` is what its snapshot says of them.

    Call it in that snapshot: where this process keeps another version, it reads the rules anew.
    """
    book = _book(shop_id, version)
    asked = tuple(rule for rule in book.of(key) if rule.is_asked(surface, key) and rule.is_due(now))
    return Standing(
        shop_id=shop_id,
        surface=surface,
        key=key,
        version=book.version[0],
        rules=asked,
        settings=book.arrangement.of(surface),
    )


def _book(shop_id: int, version: Version | None) -> RuleBook:
    if version is None:
        return RuleBook((0, 0))
    book = _books.get(shop_id)
    if book is None or book.version != version:
        by_key: dict[str | None, list[Rule]] = {}
        for rule in rules_at(shop_id=shop_id):
            by_key.setdefault(rule.key, []).append(rule)
        book = RuleBook(version, by_key, arrangement_read(shop_id=shop_id))
        _books[shop_id] = book
    return book


def boost_everywhere(*, shop_id: int, product_id: str, now: float) -> float:
    """What the boosts that count for every search make of a product's factor r."""
    standing = rules_standing(
        shop_id=shop_id, version=rules_version(shop_id=shop_id), surface="search", key=None, now=now
    )
    found = rows("SELECT id FROM catalog_product WHERE shop_id = %s AND product_id = %s", [shop_id, product_id])
    shown = standing.shown([id_ for (id_,) in found])
    return boost_of([rule for matched in rules_matched(shown, standing.rules).values() for rule in matched])


_VERSION = "SELECT position, changes, settings FROM ranking_arrangement WHERE shop_id = %s"


def rules_version(*, shop_id: int) -> Version | None:
    """What a search's snapshot says of a shop's rules, for those who have none; None: there never was one."""
    found = rows(_VERSION, [shop_id])
    return (found[0][0], found[0][1]) if found else None


def arrangement_read(*, shop_id: int) -> Arrangement:
    """How a shop's lists are arranged."""
    found = rows(_VERSION, [shop_id])
    settings = orjson.loads(found[0][2]) if found else {}
    return Arrangement(**{name: ListSettings(**members) for name, members in settings.items()})


def arrangement_answer(*, shop_id: int) -> dict[str, Any]:
    """The same as operators see it."""
    return asdict(arrangement_read(shop_id=shop_id))


_RULES = """
SELECT rule_id, kind, position, rank, factor, product_id, brand, category, context_key, surfaces,
       extract(epoch FROM starts_at)::double precision, extract(epoch FROM ends_at)::double precision
  FROM ranking_rule WHERE shop_id = %(shop)s"""
_NOW = f"{_RULES} AND closed_position IS NULL"
_THEN = f"{_RULES} AND position <= %(position)s AND (closed_position IS NULL OR closed_position > %(position)s)"


def rules_at(*, shop_id: int, position: int | None = None) -> list[Rule]:
    """The rules that were not ended at a position of the log; without one, those that are not ended now."""
    found = rows(_NOW if position is None else _THEN, {"shop": shop_id, "position": position})
    return [
        Rule(
            id=id_, kind=kind, position=at, rank=rank, factor=factor, product_id=product_id, brand=brand,
            category=tuple(category), key=key, surfaces=tuple(surfaces), starts_at=starts_at, ends_at=ends_at,
        )
        for id_, kind, at, rank, factor, product_id, brand, category, key, surfaces, starts_at, ends_at in found
    ]  # fmt: skip


def rules_then(
    *, shop_id: int, version: int, surface: str, key: str | None, now: float, shown: Sequence[Shown]
) -> list[list[Rule]]:
    """The rules that meant each of these products in an old answer, by the version of them that its token has.

    Its settings are not asked for: they made the order, which the token has as well.
    """
    found = rules_at(shop_id=shop_id, position=version) if version else []
    asked = [rule for rule in found if rule.is_asked(surface, key) and rule.is_due(now)]
    matched = rules_matched(dict(enumerate(shown)), asked)
    return [matched.get(i, []) for i in range(len(shown))]


_LISTED = """
SELECT rule_id, kind, rank, factor, product_id, brand, category, query, surfaces, starts_at, ends_at, note, set_at, position
  FROM ranking_rule WHERE shop_id = %s AND closed_position IS NULL ORDER BY position DESC"""
_NAMES = ("id", "kind", "rank", "factor", "product_id", "brand", "category", "query", "surfaces", "starts_at", "ends_at",
          "note", "set_at", "position")  # fmt: skip


def rules_answer(*, shop_id: int, surface: str | None, key: str | None, now: float) -> list[dict[str, Any]]:
    """The rules that are not ended, newest first, as operators see them; of a surface or a query only, where one is given."""
    known = {rule.id: rule for rule in rules_at(shop_id=shop_id)}
    asked = {
        id_
        for id_, rule in known.items()
        if (surface is None or rule.is_asked(surface, rule.key)) and (key is None or rule.key in (None, key))
    }
    found = [dict(zip(_NAMES, row, strict=True)) for row in rows(_LISTED, [shop_id])]
    return [rule | {"state": rule_state(known[rule["id"]], now)} for rule in found if rule["id"] in asked]


def rule_state(rule: Rule, now: float) -> str:
    """Whether a rule counts now: in_force, scheduled (it starts later) or over."""
    if rule.is_due(now):
        return "in_force"
    return "scheduled" if rule.starts_at is not None and now < rule.starts_at else "over"

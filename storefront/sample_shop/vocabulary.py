"""The grammar of the sample shop as typed data, read from `grammar/*.toml`.

A row of the grammar is `[English, Chinese, condition...]`; a value of a trait is `[English title word, Chinese title
word, English sentence, Chinese sentence, condition...]`. A condition is `trait=value` or `trait!=value` and keeps
nonsense out (a ceramic knife that may go into the dishwasher).
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Language = Literal["en", "zh"]
Facts = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Wording:
    """The same thing said in English and in Chinese, and when it may be said."""

    en: str
    zh: str
    when: tuple[str, ...] = ()

    def say(self, language: Language) -> str:
        """Return the wording in one language."""
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, kw_only=True)
class Value:
    """One value of a trait: what it is called in a title, and a sentence about it."""

    name: str
    title: Wording
    sentence: Wording


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A query for a kind of product, and the facts it asks for."""

    text: str
    wants: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Named:
    """A product with a name and an opening of its own (a book, a game)."""

    title: str
    opening: str
    facts: Facts


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of product and every word the shop has for it."""

    key: str
    noun: Wording
    category: tuple[str, ...]
    brands: Mapping[Language, Sequence[str]]
    lines: Mapping[Language, Sequence[str]]
    names: Mapping[Language, Sequence[Named]]
    price: tuple[float, float]
    intros: tuple[Wording, ...]
    label: Wording
    option: tuple[str, tuple[Wording, ...]] | None
    traits: Mapping[str, tuple[Value, ...]]
    uses: Mapping[str, Wording]
    numbers: Mapping[str, Sequence[int]]
    numbers_when: Mapping[str, Mapping[str, Sequence[int]]]
    asks: tuple[Ask, ...]
    near: tuple[str, ...]
    instead: tuple[str, ...]
    accessory_of: tuple[str, ...]


def holds(*, condition: str, facts: Facts) -> bool:
    """Whether `trait=value` or `trait!=value` is true of these facts."""
    if "!=" in condition:
        trait, value = condition.split("!=")
        return facts.get(trait) != value
    trait, value = condition.split("=")
    return facts.get(trait) == value


def all_hold(*, conditions: Sequence[str], facts: Facts) -> bool:
    """Whether every condition is true of these facts."""
    return all(holds(condition=condition, facts=facts) for condition in conditions)


@cache
def kinds() -> Mapping[str, Kind]:
    """Every kind of product of the sample shop by its key, in a fixed order."""
    return {kind.key: kind for table in _tables() for kind in _kinds_of(table)}


@cache
def use_asks() -> Mapping[str, Sequence[str]]:
    """What shoppers type for each use (`gift for a baker`), by the use."""
    asks: Mapping[str, Sequence[str]] = tomllib.loads(_folder().joinpath("queries.toml").read_text("utf-8"))["uses"]
    return asks


def _folder() -> Any:
    return files("storefront.sample_shop")


def _tables() -> list[dict[str, Any]]:
    paths = sorted(_folder().joinpath("grammar").iterdir(), key=lambda path: path.name)
    return [tomllib.loads(path.read_text("utf-8")) for path in paths if path.name.endswith(".toml")]


def _kinds_of(table: dict[str, Any]) -> list[Kind]:
    shelf: dict[str, Any] = {
        "category": tuple(table["category"]),
        "brands": {"en": table["brands"], "zh": table["brands_zh"]},
        "lines": {"en": table.get("lines", []), "zh": table.get("lines_zh", [])},
    }
    return [_kind(key=key, row=row, shelf=shelf) for key, row in table.items() if isinstance(row, dict)]


def _kind(*, key: str, row: dict[str, Any], shelf: dict[str, Any]) -> Kind:
    return Kind(
        key=key,
        noun=Wording(en=row["en"], zh=row["zh"]),
        names={"en": _names(row.get("names", [])), "zh": _names(row.get("names_zh", []))},
        price=(row["price"][0], row["price"][1]),
        intros=tuple(_wording(intro) for intro in row.get("intro", [])),
        label=_wording(row.get("label", ["", ""])),
        option=_option(row.get("option")),
        traits={trait: _values(values) for trait, values in row["traits"].items()},
        uses={use: _wording(words) for use, words in row["uses"].items()},
        numbers=row.get("numbers", {}),
        numbers_when=row.get("numbers_when", {}),
        asks=tuple(Ask(text=text, wants=tuple(wants)) for text, *wants in row["ask"]),
        near=tuple(row.get("near", [])),
        instead=tuple(row.get("instead", [])),
        accessory_of=tuple(row.get("accessory_of", [])),
        **shelf,
    )


def _wording(row: Sequence[str]) -> Wording:
    english, chinese, *when = row
    return Wording(en=english, zh=chinese, when=tuple(when))


def _values(values: dict[str, Sequence[str]]) -> tuple[Value, ...]:
    return tuple(Value(name=name, title=_wording(row[:2]), sentence=_wording(row[2:])) for name, row in values.items())


def _names(rows: Sequence[Sequence[str]]) -> tuple[Named, ...]:
    return tuple(
        Named(title=title, opening=opening, facts=dict(fact.split("=") for fact in facts))
        for title, opening, *facts in rows
    )


def _option(row: Sequence[str] | None) -> tuple[str, tuple[Wording, ...]] | None:
    if row is None:
        return None
    attribute, *choices = row
    return attribute, tuple(_wording(choice.split("|")) for choice in choices)

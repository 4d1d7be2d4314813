"""Titles and descriptions of the sample shop: which words are said of a product, in which order."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from storefront.sample_shop.vocabulary import Facts, Kind, Language, Named, Value, Wording

ENGLISH_TITLES = (
    "{brand} {line} {words} {noun}",
    "{line} {words} {noun} by {brand}",
    "{brand} {words} {noun} “{line}”",
)
TITLE_WORD_SHARE = 0.85
CHINESE_TITLES = ("{brand} {line}系列 {words}{noun}", "{brand} {words}{noun} {line}款")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Everything that is decided about a product before a word of it is written."""

    kind: Kind
    language: Language
    brand: str
    line: str
    named: Named | None
    intro: Wording | None
    facts: Facts
    numbers: dict[str, int]
    option: Wording | None
    use: str | None


def title_and_description(*, draft: Draft, rng: random.Random) -> tuple[str, str]:
    """Write the title and 1 to 4 sentences of description.

    A trait that has a word for titles is said in the title or in the description, never in neither: what a
    judgement rests on can always be read.
    """
    values = _values(draft)
    in_title = [value for value in values if value.title.say(draft.language) and rng.random() < TITLE_WORD_SHARE]
    must_say = [value for value in values if (value.title.en or value.title.zh) and value not in in_title]
    may_say = [value for value in values if value not in must_say]
    more = rng.sample(may_say, k=min(len(may_say), max(0, rng.choice((1, 2, 2)) - len(must_say))))
    said = [value for value in values if value in must_say or value in more]
    return _title(draft=draft, values=in_title, rng=rng), _description(draft=draft, values=said)


def _values(draft: Draft) -> list[Value]:
    return [
        value for trait, values in draft.kind.traits.items() for value in values if draft.facts[trait] == value.name
    ]


def _title(*, draft: Draft, values: Sequence[Value], rng: random.Random) -> str:
    words = [value.title.say(draft.language) for value in values]
    noun = draft.kind.noun.say(draft.language)
    title = _named_title(draft=draft, words=words) if draft.named else _made_title(draft=draft, words=words, rng=rng)
    suffixes = [draft.kind.label.say(draft.language).format(**draft.numbers) if draft.kind.label.en else ""]
    suffixes.append(draft.option.say(draft.language) if draft.option else "")
    joint = " " if draft.language == "zh" else ", "
    assert noun in title
    return joint.join([title, *(suffix for suffix in suffixes if suffix)])


def _made_title(*, draft: Draft, words: Sequence[str], rng: random.Random) -> str:
    patterns = CHINESE_TITLES if draft.language == "zh" else ENGLISH_TITLES
    text = rng.choice(patterns).format(
        brand=draft.brand,
        line=draft.line,
        words=("" if draft.language == "zh" else " ").join(words),
        noun=draft.kind.noun.say(draft.language),
    )
    return " ".join(text.split())


def _named_title(*, draft: Draft, words: Sequence[str]) -> str:
    assert draft.named is not None
    if draft.language == "zh":
        return f"《{draft.named.title}》{''.join(words)}{draft.kind.noun.zh}"
    return " ".join([f"{draft.named.title}:", *words, draft.kind.noun.en])


def _description(*, draft: Draft, values: Sequence[Value]) -> str:
    opening = draft.named.opening if draft.named else draft.intro.say(draft.language) if draft.intro else ""
    sentences = [opening, *(value.sentence.say(draft.language) for value in values)]
    if draft.use is not None:
        sentences.append(draft.kind.uses[draft.use].say(draft.language))
    text = ("" if draft.language == "zh" else " ").join(sentences)
    return text.format(**draft.numbers)

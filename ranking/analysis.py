"""Text to search terms, the same way for products and for queries (pure).

NFKC, case and accents folded; scripts without spaces segmented by ICU, Han and Hangul in pairs besides; words stemmed
by Snowball. A product's words are stemmed by its language. A query has no language: `query_terms` stems it by each
language of the shop. Only Latin words need that choice, elsewhere the script decides, for both sides alike.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

import Stemmer
from icu4py.breakers import WordBreaker

DEFAULT_LANGUAGE = "en"
# Snowball by ISO 639-1. A Latin-script language without a stemmer keeps its words whole.
LATIN_STEMMERS = {
    "en": "english", "de": "german", "fr": "french", "es": "spanish", "it": "italian", "pt": "portuguese",
    "nl": "dutch", "sv": "swedish", "da": "danish", "no": "norwegian", "nb": "norwegian", "nn": "norwegian",
    "fi": "finnish", "hu": "hungarian", "ro": "romanian", "tr": "turkish", "pl": "polish", "cs": "czech",
    "ca": "catalan", "eu": "basque", "ga": "irish", "lt": "lithuanian", "et": "estonian", "id": "indonesian",
    "eo": "esperanto",
}  # fmt: skip
LATIN_WITHOUT_STEMMER = {"vi", "sk", "sl", "hr", "bs", "lv", "is", "ms", "sq", "mt", "gl", "cy", "af", "sw", "tl", "az"}
SCRIPT_STEMMERS = (
    (re.compile("[\u0400-\u052f]"), "russian"),
    (re.compile("[\u0370-\u03ff]"), "greek"),
    (re.compile("[\u0600-\u06ff]"), "arabic"),
    (re.compile("[\u0530-\u058f]"), "armenian"),
    (re.compile("[\u0900-\u097f]"), "hindi"),
    (re.compile("[\u0b80-\u0bff]"), "tamil"),
)
LATIN = re.compile("[a-z]+")

HAN = "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
HANGUL = "\uac00-\ud7a3"
KANA = "\u3041-\u30ff\u31f0-\u31ff"
SOUTH_EAST_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
UNSPACED = re.compile(f"[{HAN}{KANA}{SOUTH_EAST_ASIAN}]+")
HAN_CHARACTER = re.compile(f"[{HAN}]")
PAIRED = re.compile(f"[{HAN}]+|[{HANGUL}]+")
ANY_ASIAN = re.compile(f"[{HAN}{KANA}{SOUTH_EAST_ASIAN}{HANGUL}]")

LETTERS_WITHOUT_ACCENT = str.maketrans(
    {"ı": "i", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ё": "е"}
)
# Cyrillic й and Japanese が are letters of their own: only Latin and Greek lose their marks.
ACCENTS = re.compile("(?<=[a-z\u0370-\u03ff])[\u0300-\u036f]+")
# Soft hyphen, joiners, direction marks; Hebrew and Arabic vowel points and the stretching tatweel.
INVISIBLE = re.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]"
)
POSSESSIVE = re.compile("['’]s\\b")
HYPHENS = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))

# A word written with signs inside: "mbs-100", "43.2", "h&m". Longer chains ("plug-and-play-hub-set") are phrases.
LONGEST_COMPOUND = 4
LONGEST_TERM = 64  # characters: an index entry holds 2,704 bytes, and what is longer (a key, base64) is no word to type
# Words are met again and again. Longer runs are sentences of a script without spaces, which are not: kept, 16 characters
# and their terms take 3 KB.
LONGEST_KEPT = 16
DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
QUANTITY = re.compile(r"(\d+)([a-z]{1,4})")
MODEL = re.compile(r"([a-z]{2,})(\d+)")


def _marks() -> str:
    """Combining marks as a character class: Python's \\w leaves out the vowels of Hindi or Thai."""
    codes = [code for code in range(0x300, 0x10000) if unicodedata.category(chr(code)) in ("Mn", "Mc")]
    starts = [code for code, before in zip(codes, [-1, *codes], strict=False) if code != before + 1]
    ends = [code for code, after in zip(codes, [*codes[1:], -1], strict=True) if after != code + 1]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


_CHARACTER = f"(?:[^\\W_]|[{_marks()}])"
_SPAN = re.compile(f"{_CHARACTER}+(?:[-.&]{_CHARACTER}+)*")
_ASCII_SPAN = re.compile(r"[a-z0-9]+(?:[-.&][a-z0-9]+)*")
_PART = re.compile(f"{_CHARACTER}+")


def fold(text: str) -> str:
    """NFKC, case folded, accents and invisible characters gone."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text).casefold().translate(HYPHENS)
    text = unicodedata.normalize("NFD", INVISIBLE.sub("", text))
    return unicodedata.normalize("NFC", ACCENTS.sub("", text)).translate(LETTERS_WITHOUT_ACCENT)


def terms(text: str, *, language: str | None = None) -> list[str]:
    """The terms of a text in reading order, repeats kept; `language` is an ISO 639 code ("de", "pt-BR")."""
    return [term for span in _spans(text) for term in _span_terms(span, _latin_language(language))]


def query_terms(text: str, *, languages: Iterable[str | None] = (DEFAULT_LANGUAGE,)) -> list[tuple[str, ...]]:
    """The terms of a query, each with its variants over the shop's `languages` (one variant where all agree)."""
    codes = sorted({_latin_language(language) for language in languages} or {DEFAULT_LANGUAGE})
    readings = [[term for span in _spans(text) for term in _span_terms(span, code)] for code in codes]
    return list(dict.fromkeys(tuple(dict.fromkeys(variants)) for variants in zip(*readings, strict=True)))


def _latin_language(language: str | None) -> str:
    code = (language or DEFAULT_LANGUAGE).lower().replace("_", "-").split("-")[0]
    return code if code in LATIN_STEMMERS or code in LATIN_WITHOUT_STEMMER else DEFAULT_LANGUAGE


def _spans(text: str) -> list[str]:
    """Runs without white space or separating punctuation."""
    folded = DECIMAL_COMMA.sub(".", POSSESSIVE.sub("", fold(text)))
    return (_ASCII_SPAN if folded.isascii() else _SPAN).findall(folded)


def _span_terms(span: str, code: str) -> tuple[str, ...]:
    """The terms of one run. Their number does not depend on the language, so that readings can be zipped."""
    return _kept_terms(span, code) if len(span) <= LONGEST_KEPT else _terms_of(span, code)


def _terms_of(span: str, code: str) -> tuple[str, ...]:
    return tuple(term[:LONGEST_TERM] for term in _uncut_terms(span, code))


_kept_terms = lru_cache(maxsize=100_000)(_terms_of)


def _uncut_terms(span: str, code: str) -> list[str]:
    if not span.isascii() and ANY_ASIAN.search(span):
        return list(_asian_terms(span, code))
    parts = _PART.findall(span)
    if len(parts) == 1:
        return list(_word_terms(span, code))
    found = [term for part in parts for term in _word_terms(part, code)]
    if len(parts) <= LONGEST_COMPOUND:
        found.insert(0, _joined(span, code))
    return found


def _joined(span: str, code: str) -> str:
    """One spelling for "MBS-100", "mbs.100" and "mbs100"; a point between digits stays, 43.2 is not 432."""
    plain = re.sub(r"(?<!\d)\.|\.(?!\d)|[-&]", "", span)
    return _stem(plain, code)


def _word_terms(word: str, code: str) -> Iterator[str]:
    yield _stem(word, code)
    split = QUANTITY.fullmatch(word) or MODEL.fullmatch(word)
    if split:
        yield from (_stem(part, code) for part in split.groups())


def _asian_terms(span: str, code: str) -> Iterator[str]:
    """ICU words; Han and Hangul runs also in pairs, since two segmentations of one word seldom agree.

    Han characters stand alone too: 鞋 is in 运动鞋 and in 皮鞋 (nDCG of lexical evidence alone on the Chinese queries
    of the sample shop: words 0.357, with pairs 0.358, with characters 0.387).
    """
    found = [word for run in UNSPACED.findall(span) for word in WordBreaker(run, "root") if _PART.search(word)]
    for part in _PART.findall(UNSPACED.sub(" ", span)):
        found.extend(_word_terms(part, code))
    yield from found
    pieces = [*_pairs(span), *HAN_CHARACTER.findall(span)]
    yield from (piece for piece in pieces if piece not in found)


def _pairs(text: str) -> Iterator[str]:
    for run in PAIRED.findall(text):
        yield from (first + second for first, second in pairwise(run))


def _stem(word: str, code: str) -> str:
    if LATIN.fullmatch(word):
        return str(_stemmer(LATIN_STEMMERS[code]).stemWord(word)) if code in LATIN_STEMMERS else word
    if word.isascii():
        return word
    for script, name in SCRIPT_STEMMERS:
        if script.search(word):
            return str(_stemmer(name).stemWord(word))
    return word


@lru_cache
def _stemmer(name: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(name)

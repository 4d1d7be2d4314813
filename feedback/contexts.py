"""Contexts: what an answer was made for, under the one key by which feedback about it is gathered. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, TypeAlias
from unicodedata import category, normalize

import orjson

ContextKind: TypeAlias = Literal["query", "product", "basket", "history"]
HOME = "home"  # the key of what is shown to a shopper on no product's page: what is learned there holds for all

_LONGEST_KEY = 240  # characters: a B-tree entry holds at most 2,704 bytes, and one character may take 4
_KEPT = 200  # a longer key keeps so many characters and ends in a digest of the whole


@dataclass(frozen=True, slots=True)
class Context:
    """A kind, the key that equal contexts share, and the text as it was typed."""

    kind: ContextKind
    key: str
    text: str


@lru_cache(maxsize=16_384)  # shoppers repeat themselves, and one search and its events name the same query
def query_context(text: str) -> Context | None:
    """Return the context of a typed query; None when nothing is left of it but punctuation and white space."""
    key = context_key(text)
    return Context("query", key, text) if key else None


def product_context(product_id: str) -> Context:
    """The context of a product's page."""
    return Context("product", _bounded(product_id), product_id)


def basket_context(product_ids: Sequence[str]) -> Context:
    """The context of a basket: the same products in any order are the same one."""
    key = orjson.dumps(sorted(set(product_ids))).decode()
    return Context("basket", _bounded(key), key)


def home_context() -> Context:
    """The context of a shopper's history alone."""
    return Context("history", HOME, HOME)


def context_key(text: str) -> str:
    """Normalise a query: NFKC, case folded, punctuation and white space collapsed to single spaces.

    Letters of every script, digits, symbols and emoji stay. Normalising a key again changes nothing.
    """
    return _bounded(bare_text(text))


def _bounded(key: str) -> str:
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[:_KEPT].strip()} {blake2b(key.encode(), digest_size=16).hexdigest()}"


def bare_text(text: str) -> str:
    """The words of a query, as `context_key` has them but in full; empty where nothing is left."""
    bare = text.translate(_BARE)
    # case folding opens what NFKC composed and NFKC composes what folding left, so each runs twice (as NFKC_Casefold)
    folded = normalize("NFKC", normalize("NFKC", normalize("NFD", bare).casefold()).casefold())
    return " ".join(folded.translate(_BARE).split())


class _Bare(dict[int, int | None]):
    """Translation table, filled as characters are met; punctuation and controls part words.

    Format characters (joiners, direction marks, soft hyphens) vanish: queries that look equal may differ by them.
    """

    def __missing__(self, code: int) -> int | None:
        kind = category(chr(code))
        bare: int | None = 0x20 if kind[0] in "PZ" or kind in {"Cc", "Cs"} else code
        if kind == "Cf":
            bare = None
        self[code] = bare
        return bare


_BARE = _Bare()

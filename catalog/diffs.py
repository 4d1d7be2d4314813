"""What changed between two description versions, field by field, as safe HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import orjson
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog.decisions import DESCRIPTION_FIELDS

_MOST_PIECES = 4000  # comparing takes time squared; longer texts are shown whole, old and new
# words; characters one by one where a script writes no spaces between words
_PIECE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]|\w+|\s+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """One field that changed: <del> what went, <ins> what came; everything else escaped."""

    field: str
    html: SafeString


def content_diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[FieldDiff]:
    """Compare the contents of two description versions; `old` is empty for the first."""
    changed = [name for name in DESCRIPTION_FIELDS if _shown(old.get(name)) != _shown(new.get(name))]
    return [FieldDiff(name, text_diff(_shown(old.get(name)), _shown(new.get(name)))) for name in changed]


def text_diff(old: str, new: str) -> SafeString:
    """Mark what went and what came; the texts themselves are escaped."""
    before, after = _PIECE.findall(old), _PIECE.findall(new)
    if len(before) + len(after) > _MOST_PIECES:
        before, after = [old], [new]
    return format_html_join("", "{}", ((piece,) for piece in _pieces(before, after)))


def _pieces(before: list[str], after: list[str]) -> Iterator[str]:
    for kind, i, j, k, n in SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes():
        if kind == "equal":
            yield "".join(before[i:j])
            continue
        if i < j:
            yield format_html("<del>{}</del>", "".join(before[i:j]))
        if k < n:
            yield format_html("<ins>{}</ins>", "".join(after[k:n]))


def _shown(value: Any) -> str:
    """A field as an editor reads it; nothing, an empty list and an empty text look alike."""
    if not value:
        return ""
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_shown(each) or each}" for name, each in sorted(value.items()))
    if isinstance(value, list):
        return " > ".join(each if isinstance(each, str) else orjson.dumps(each).decode() for each in value)
    return str(value)

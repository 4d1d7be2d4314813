"""A bad item of a batch is refused alone: what is wrong with it, in stable codes, from pydantic's errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_CODES = {
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
    "string_too_long": "too_long",
    "too_long": "too_long",
    "string_too_short": "empty",
    "too_short": "empty",
    "finite_number": "not_finite",
    "greater_than": "too_small",
    "greater_than_equal": "too_small",
    "less_than": "too_large",
    "less_than_equal": "too_large",
    "string_pattern_mismatch": "bad_format",
    "string_unicode": "bad_text",
    "literal_error": "bad_choice",
    "model_type": "not_an_object",
    "dict_type": "not_an_object",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why one item of a batch was refused; `index` counts from 0 in the order given."""

    index: int
    code: str
    field: str | None
    detail: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class BatchCounts(Protocol):
    """What became of many items."""

    @property
    def accepted(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def rejected(self) -> Sequence[Rejection]: ...


class BatchOutcome(BatchCounts, Protocol):
    """What became of the items of a call."""

    @property
    def receipt(self) -> str: ...


def batch_answer(outcome: BatchOutcome) -> dict[str, Any]:
    """What a call with many items answers, of whatever kind they are."""
    return {
        "accepted": outcome.accepted,
        "duplicates": outcome.duplicates,
        "rejected": [rejection.as_dict() for rejection in outcome.rejected],
        "receipt": outcome.receipt,
    }


def rejection_of(error: ValidationError, *, model: type[BaseModel], index: int = 0) -> Rejection:
    """Say what is wrong with an item: the first error in full, and where the others are.

    A validator's own PydanticCustomError gives its type as the code.
    """
    # a misspelt name first: it explains the missing field that comes with it
    errors = sorted(error.errors(include_url=False, include_input=False), key=lambda e: e["type"] != "extra_forbidden")
    first, others = errors[0], errors[1:]
    detail = _detail(first, model)
    if others:
        detail += f" (also wrong: {', '.join(dict.fromkeys(_field(other) or 'item' for other in others))})"[:500]
    return Rejection(index=index, code=_code(first["type"]), field=_field(first), detail=detail)


def _code(kind: str) -> str:
    if kind in _CODES:
        return _CODES[kind]
    if kind.endswith(("_type", "_parsing")):
        return "wrong_type"
    return kind if kind == "empty" or kind.startswith(("bad_", "too_", "not_")) else "bad_value"


def _field(error: ErrorDetails) -> str | None:
    """The path to the value, such as `relations.0.kind`; None when the item itself is wrong."""
    return _clip(".".join(str(part) for part in error["loc"])) or None


def _detail(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["type"] in {"model_type", "dict_type"}:
        return "This should be a JSON object."
    if error["type"] != "extra_forbidden":
        return f"{error['msg']}."
    name = _clip(str(error["loc"][-1]))
    # inside a nested object the model's own names would mislead
    near = get_close_matches(name, model.model_fields, n=1, cutoff=0.5) if len(error["loc"]) == 1 else []
    return f"There is no field {name!r}" + (f"; did you mean {near[0]!r}?" if near else ".")


def _clip(text: str) -> str:
    """A name that came from outside: short, and fit for JSON even when it holds half of a surrogate pair."""
    return text[:100].encode(errors="replace").decode()

"""Writes of rules: set many, end one, and say how lists are arranged besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from eventlog.errors import FreshetError
from eventlog.events import NewEvent
from eventlog.receipts import receipt_make
from eventlog.rejections import Rejection, rejection_of
from eventlog.selectors import Head, heads
from eventlog.services import append
from ranking.rules.events import ARRANGEMENT_STREAM, ArrangementSet, RuleEnded, RuleSet, rule_stream
from ranking.rules.inputs import ArrangementIn, RuleIn, rule_set

MOST_RULES = 1000


class BadRules(FreshetError):
    """The body is {"rules": [{"id": "...", "kind": "boost", ...}]}."""

    code = "bad_rules"


class TooManyRules(FreshetError):
    """A call takes up to 1,000 rules; send several."""

    code = "too_many_rules"


class BadArrangement(FreshetError):
    """The body is {"search": {...}, "recommendations": {...}} of out_of_stock, variants and replaced."""

    code = "bad_arrangement"


class RuleNotFound(FreshetError):
    """There never was a rule of this id."""

    code = "rule_not_found"
    status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesResult:
    """What became of a batch; accepted + duplicates + rejected is its length. `row_id` is the newest event row or 0."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]
    row_id: int
    receipt: str


@dataclass(slots=True)
class _Batch:
    """The readable items of a batch: of each id the last one; `repeats` counts those before it."""

    rules: dict[str, RuleSet] = field(default_factory=dict)  # by stream
    rejected: list[Rejection] = field(default_factory=list)
    repeats: int = 0


def rules_of(body: Any) -> list[Any]:
    """Take the items out of a body, unchecked. Raises BadRules."""
    items = body.get("rules") if isinstance(body, dict) and set(body) == {"rules"} else None
    if not isinstance(items, list):
        raise BadRules(field="rules")
    return items


def rules_put(*, shop_id: int, items: Sequence[object], now: datetime) -> RulesResult:
    """Set rules, each item answered on its own; one that is in force as it is given appends nothing and is a duplicate.

    Of several of one id in a batch the last counts, and the others are its duplicates. Raises TooManyRules.
    """
    if len(items) > MOST_RULES:
        raise TooManyRules(field="rules")
    batch = _parse(items)
    known = heads(shop_id=shop_id, streams=list(batch.rules))
    # no expected version: of two operators who meet on a rule the one that comes second in the log counts
    events = [
        NewEvent(event=rule, stream=stream, state=_state(rule), occurred_at=now)
        for stream, rule in batch.rules.items()
        if known[stream].state != _state(rule)
    ]
    row_id = max((appended.id or 0 for appended in append(shop_id=shop_id, events=events)), default=0)
    return RulesResult(
        accepted=len(events),
        duplicates=len(batch.rules) - len(events) + batch.repeats,
        rejected=batch.rejected,
        row_id=row_id,
        receipt=receipt_make(shop_id=shop_id, row_id=row_id),
    )


def rule_end(*, shop_id: int, rule_id: str, now: datetime) -> int:
    """End a rule and return the row of the event, 0 when it was ended already. Raises RuleNotFound."""
    stream = rule_stream(rule_id)
    head = heads(shop_id=shop_id, streams=[stream])[stream]
    if head.version == 0:
        raise RuleNotFound(f"There never was a rule {rule_id[:100]!r}.", field="rule_id")
    if _is_ended(head):
        return 0
    ended = NewEvent(event=RuleEnded(rule_id=rule_id), stream=stream, state={"ended": True}, occurred_at=now)
    return append(shop_id=shop_id, events=[ended])[0].id or 0


def arrangement_put(*, shop_id: int, body: Any, now: datetime) -> tuple[dict[str, Any], int]:
    """Set how lists are arranged; return the settings and the row of the event, 0 when they are so already.

    Raises BadArrangement, which names the field.
    """
    try:
        settings = ArrangementIn.model_validate(body).model_dump()
    except ValidationError as error:
        wrong = rejection_of(error, model=ArrangementIn)
        raise BadArrangement(wrong.detail, field=wrong.field) from error
    if heads(shop_id=shop_id, streams=[ARRANGEMENT_STREAM])[ARRANGEMENT_STREAM].state == settings:
        return settings, 0
    new = NewEvent(event=ArrangementSet(**settings), stream=ARRANGEMENT_STREAM, state=settings, occurred_at=now)
    return settings, append(shop_id=shop_id, events=[new])[0].id or 0


def _parse(items: Sequence[object]) -> _Batch:
    batch = _Batch()
    for index, item in enumerate(items):
        try:
            rule = rule_set(RuleIn.model_validate(item))
        except ValidationError as error:
            batch.rejected.append(rejection_of(error, model=RuleIn, index=index))
            continue
        stream = rule_stream(rule.rule_id)
        batch.repeats += stream in batch.rules
        batch.rules[stream] = rule
    return batch


def _state(rule: RuleSet) -> dict[str, Any]:
    return {"rule": rule.data()}


def _is_ended(head: Head) -> bool:
    return bool((head.state or {}).get("ended"))

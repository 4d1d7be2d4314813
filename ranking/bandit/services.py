"""Setting how a surface chooses. Nothing goes live that nobody has estimated: not an arm, not its absence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventlog.errors import FreshetError
from eventlog.events import NewEvent
from eventlog.receipts import receipt_make
from eventlog.rejections import rejection_of
from eventlog.selectors import Head, heads, last_position
from eventlog.services import append
from ranking.bandit.choosing import Setting, State
from ranking.bandit.events import BanditSet, bandit_stream
from ranking.bandit.policies import setting_policy
from ranking.bandit.selectors import arms_known, setting_dict
from ranking.bandit.state import state_read
from ranking.policy_evaluation import Evaluation, evaluate, units_read

POSITIONS = 300_000  # newest of the log that an estimate is made from: seconds of reading
ArmText = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00/]+$")]


class BadStrategies(FreshetError):
    """The body is {"surface": "home"} with explore, fixed, off, force."""

    code = "bad_strategies"


class UnknownArm(FreshetError):
    """No such arm was shown on this surface yet."""

    code = "unknown_arm"


class NoEstimate(FreshetError):
    """What this would earn cannot be estimated from the log."""

    code = "no_estimate"
    status = 409


class EstimatedWorse(FreshetError):
    """By the log, this would earn less than what is shown now."""

    code = "estimated_worse"
    status = 409


class StrategyIn(BaseModel):
    """Body of `PUT /v1/strategies`; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    surface: Literal["home", "product", "basket"]
    explore: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    fixed: ArmText | None = Field(None, description="The arm that is always shown; null: the bandit chooses")
    off: Annotated[list[ArmText], Field(max_length=50)] | None = Field(None, description="Arms that are not shown")
    force: Annotated[str, Field(min_length=3, max_length=500, pattern=r"^[^\x00]+$")] | None = Field(
        None, description="Why it goes live without an estimate, or against it"
    )


@dataclass(frozen=True, slots=True)
class _Before:
    head: Head
    setting: Setting
    state: State


def strategies_put(*, shop_id: int, body: Any, now: datetime) -> dict[str, Any]:
    """Set how a surface chooses, with the estimate of what that earns, which the event keeps.

    Fixing an arm, letting the bandit choose again, and switching arms on or off are refused without an estimate, or against
    one, unless `force` says why. Raises BadStrategies, UnknownArm, NoEstimate, EstimatedWorse, ConcurrentChange.
    """
    given = _checked(body)
    before = _before(shop_id, given.surface)
    after = _merged(before.setting, given)
    if after == before.setting:
        return _answer(given.surface, after, None, receipt_make(shop_id=shop_id, row_id=0))
    arms = _arms(shop_id, before, after, given)
    units = units_read(
        shop_id=shop_id, surface=given.surface, after=max(0, last_position() - POSITIONS), to=last_position()
    )  # fmt: skip
    found = evaluate(units, setting_policy(after, surface=given.surface, arms=arms))
    objection = _objection(before.setting, after, found)
    if objection is not None and given.force is None:
        raise objection
    event = BanditSet(
        surface=given.surface,
        **setting_dict(after),
        estimate=found.as_dict(),
        forced=given.force if objection is not None else None,
    )
    row_id = _append(shop_id, event, before.head, now)
    return _answer(given.surface, after, found.as_dict(), receipt_make(shop_id=shop_id, row_id=row_id))


def _checked(body: Any) -> StrategyIn:
    try:
        given = StrategyIn.model_validate(body)
    except ValidationError as error:
        wrong = rejection_of(error, model=StrategyIn)
        raise BadStrategies(wrong.detail, field=wrong.field) from error
    for name in ("explore", "off", "force"):
        if name in given.model_fields_set and getattr(given, name) is None:
            raise BadStrategies(f"{name} cannot be null: leave it out to keep it as it is.", field=name)
    return given


def _before(shop_id: int, surface: str) -> _Before:
    """How the surface is set by the head of its stream, which does not lag, and what it has taught."""
    stream = bandit_stream(surface)
    head = heads(shop_id=shop_id, streams=[stream])[stream]
    said = head.state or {}
    setting = Setting(**{**said, "off": tuple(said["off"])}) if said else Setting()
    return _Before(head, setting, state_read(shop_id))


def _merged(before: Setting, given: StrategyIn) -> Setting:
    changed = given.model_dump(include={"explore", "fixed", "off"} & given.model_fields_set)
    if "off" in changed:
        changed["off"] = tuple(sorted(set(changed["off"])))
    return replace(before, **changed)


def _arms(shop_id: int, before: _Before, after: Setting, given: StrategyIn) -> list[str]:
    """The arms of the surface. Raises UnknownArm: a mistyped one would change nothing, or everything."""
    known = arms_known(before.state, shop_id=shop_id, surface=given.surface)
    for field, arm in [("fixed", after.fixed), *(("off", each) for each in after.off)]:
        if arm is not None and arm not in known and arm not in (before.setting.fixed, *before.setting.off):
            raise UnknownArm(f"{given.surface} has no arm {arm!r}; it has {', '.join(known)}.", field=field)
    if after.fixed is None and set(known) <= set(after.off):
        raise BadStrategies(f"All arms of {given.surface} would be off: leave one on.", field="off")
    return known


def _objection(before: Setting, after: Setting, found: Evaluation) -> FreshetError | None:
    """Why a change may not go live, if it needs an estimate: a share of exploration does not, since it shows no other arm."""
    if (before.fixed, before.off) == (after.fixed, after.off):
        return None
    remedy = 'let the surface explore for longer, or say in "force" why it goes live all the same'
    if found.refusal is not None:
        return NoEstimate(f"There is no estimate: {found.refusal}. Remedy: {remedy}.", field="force")
    if found.is_worse:
        by = found.differences["dr"]
        said = f"{by.candidate:.5f} a trial instead of {by.serving:.5f} (95 % of the difference: {by.low:.5f} to {by.high:.5f})"
        return EstimatedWorse(f"It would earn {said}. Remedy: {remedy}.", field="force")
    return None


def _append(shop_id: int, event: BanditSet, head: Head, now: datetime) -> int:
    state = {"explore": event.explore, "fixed": event.fixed, "off": event.off}
    new = NewEvent(
        event=event, stream=bandit_stream(event.surface), expected_version=head.version, state=state, occurred_at=now
    )
    (appended,) = append(shop_id=shop_id, events=[new])
    return appended.id or 0


def _answer(surface: str, setting: Setting, estimate: dict[str, Any] | None, receipt: str) -> dict[str, Any]:
    return {"surface": surface, **setting_dict(setting), "estimate": estimate, "receipt": receipt}

"""What a variant may set on each surface, checked: an unknown name is refused with the nearest that there is (pure)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from re import fullmatch
from typing import Any, Literal, TypeAlias, get_args

from eventlog.errors import FreshetError
from ranking.mix_state import LEARNED
from ranking.strategies.mixes import MIXES
from ranking.strategies.registry import NAMES

Surface: TypeAlias = Literal["search", "home", "product", "basket"]
SURFACES: tuple[Surface, ...] = get_args(Surface)
# what recommendations can be made by: each strategy alone, and the mixes that the bandit plays
ARMS = tuple(dict.fromkeys([*NAMES, *(mix.name for mixes in MIXES.values() for mix in mixes), LEARNED]))


class BadExperiment(FreshetError):
    """This cannot be an experiment."""

    code = "bad_experiment"


def settings_check(surface: Surface, settings: Mapping[str, Any], *, field: str) -> None:
    """Refuse settings that a surface does not have, or values that they cannot have. Raises BadExperiment."""
    known = _SEARCH if surface == "search" else _RECOMMENDATIONS
    for name, value in settings.items():
        if name not in known:
            raise BadExperiment(
                f"{surface} has no setting {_said(name)}{nearest(name, known)}", field=f"{field}.settings"
            )
        if problem := known[name](value):
            raise BadExperiment(problem, field=f"{field}.settings.{name}")


def nearest(name: str, known: Collection[str]) -> str:
    """The end of a sentence that names the nearest, or all that there are."""
    near = get_close_matches(name[:100], known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}."


def _said(name: object) -> str:
    return repr(str(name)[:100].encode(errors="replace").decode())


def _model(value: Any) -> str | None:
    if isinstance(value, str) and fullmatch(r"[0-9]{1,6}\.[0-9]{1,9}", value):
        return None
    return f'A model is the number of a version, such as "1.3", not {_said(value)}.'


def _arm(value: Any) -> str | None:
    return None if value in ARMS else f"There is no arm {_said(value)}{nearest(str(value), ARMS)}"


def _diversity(value: Any) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return None
    return f"diversity is a number from 0 to 1, not {_said(value)}."


_SEARCH: dict[str, Callable[[Any], str | None]] = {"model": _model}
_RECOMMENDATIONS: dict[str, Callable[[Any], str | None]] = {"arm": _arm, "diversity": _diversity}

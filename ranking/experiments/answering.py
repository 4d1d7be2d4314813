"""What an experiment changes about an answer: by which model it is made, or that two models' lists are merged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from feedback.ranking_token import RankingToken
from ranking.experiments.assignment import Assignment, running
from ranking.experiments.interleaving import LEFT_OF_SECOND, SECOND, team_draft, team_of
from ranking.towers import Model, model_of, serving

Ranking = TypeVar("Ranking")
OWN_OF_SECOND = f"{SECOND}."  # before the name of a token's scalar that is the second ranking's
OF_SECOND = (SECOND, LEFT_OF_SECOND)  # ranks that are shown as the second ranking scores them


@dataclass(frozen=True, slots=True)
class Merged(Generic[Ranking]):
    """What was found, best first, each as (the ranking it is from, its index there): of one ranking, or of two interleaved.

    `ids` are of all that was found; `teams` has a letter for each rank of an interleaved list.
    """

    rankings: Sequence[Ranking]
    order: Sequence[tuple[Ranking, int]]
    ids: Sequence[int]
    teams: str | None = None


def models_for(shop_id: int, *, shopper: bytes | None, merge: bool) -> tuple[Assignment | None, list[Model]]:
    """The model that answers a shopper's search, and of which experiment it is; two whose lists are to be interleaved.

    It counts in none where a version that it names cannot answer, or where lists cannot be merged (`merge`).
    """
    served = serving.model(shop_id)
    assignment = running(shop_id, "search", shopper)
    if assignment is None or (assignment.against is not None and not merge):
        return None, [served]
    asked = [assignment.settings] if assignment.against is None else [assignment.settings, assignment.against]
    found = [model for each in asked if (model := model_of(served, shop_id, each.get("model")))]
    return (assignment, found) if len(found) == len(asked) else (None, [served])


def merged(found: Sequence[tuple[Ranking, Sequence[int], Sequence[int]]], *, k: int, seed: int) -> Merged[Ranking]:
    """One ranking as it is, or the first k of two interleaved; each with its products' ids and their order by index."""
    rankings = [ranking for ranking, _, _ in found]
    if len(found) == 1:
        ((ranking, ids, order),) = found
        return Merged(rankings, [(ranking, i) for i in order], [ids[i] for i in order])
    first, second = ({ids[i]: (ranking, i) for i in order} for ranking, ids, order in found)
    drafted = team_draft(list(first), list(second), k=k, seed=seed)
    drawn = zip(drafted.items, drafted.teams, strict=True)
    listed = [(second if team in OF_SECOND else first)[id_] for id_, team in drawn]
    return Merged(rankings, listed, list(first | second), drafted.teams)


def with_second(scalars: dict[str, float], *, model: str, own: dict[str, float]) -> dict[str, float]:
    """The scalars of an interleaved answer's token: the first ranking's, and the second's model and what is its own."""
    minor = float(model.partition(".")[2])  # both are of one major version
    return scalars | {OWN_OF_SECOND + name: value for name, value in {"minor": minor, **own}.items()}


def second_of(read: RankingToken) -> RankingToken | None:
    """The token of an interleaved answer as if the second ranking had made all of it; None of any other answer."""
    own = {
        name.removeprefix(OWN_OF_SECOND): each for name, each in read.scalars.items() if name.startswith(OWN_OF_SECOND)
    }
    if not own:
        return None
    model = f"{read.model.partition('.')[0]}.{int(own.pop('minor'))}"
    shared = {name: each for name, each in read.scalars.items() if not _OWN.fullmatch(name)}
    return replace(read, model=model, scalars=shared | own)


_OWN = re.compile(r"normaliser|taste_centre|h[0-9]+|B\..*")  # what a token says of one ranking


def of_second(read: RankingToken, place: int) -> bool:
    """Whether an item of an interleaved answer, counted from 0, is the second ranking's."""
    return team_of(read.teams or "", read.offset + place + 1) in OF_SECOND


def block_of(read: RankingToken) -> dict[str, dict[str, str]]:
    """What an answer that is made again says of its experiment."""
    if read.experiment is None:
        return {}
    id_, _, variant = read.experiment.partition(":")
    return {"experiment": {"id": id_, "variant": variant}}

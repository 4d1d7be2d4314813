"""The mean of a line of versions: of which it is, and of which it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from ranking.learning import ensemble
from ranking.learning.artefact import Artefact, artefact_read, artefact_write
from ranking.learning.ensemble import as_trained, averaged
from ranking.registry import ModelVersion
from ranking.relevance import head_default

HEAD = head_default("minilm")


def artefact(value: float, *, rank: int = 2) -> Artefact:
    tensors = {"q.lora_A": torch.full((rank, 4), value), "q.lora_B": torch.full((4, rank), -value)}
    return Artefact(HEAD, tensors, {"kind": "lora", "rank": rank, "scale": 2.0})


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Versions by artefact, oldest first; the last one is returned, each the parent of the next."""

    def make(*artefacts: Artefact, majors: tuple[int, ...] = ()) -> ModelVersion:
        majors = majors or (1,) * len(artefacts)
        versions = [
            ModelVersion(
                shop_id=1, version=f"{major}.{n}", major=major, minor=n, parent=f"{majors[n - 1]}.{n - 1}" if n else None,
                encoder="e", artefact=f"{n}", from_position=0, to_position=0, seed=0, metrics={}, config={}, state="retired",
                reason=None, promoted_position=None,
            )
            for n, major in enumerate(majors)
        ]  # fmt: skip
        by_version = {each.version: each for each in versions}
        contents = {str(n): artefact_write(each) for n, each in enumerate(artefacts)}
        monkeypatch.setattr(ensemble, "artefact_load", contents.__getitem__)
        monkeypatch.setattr(ensemble, "model_get", lambda *, shop_id, version: by_version[version])
        return versions[-1]

    return make


def value(of: Artefact) -> float:
    return float(of.tensors["q.lora_A"][0, 0])


def test_one_version_is_itself_to_the_byte(line: Any) -> None:
    newest = artefact(5.0)

    assert averaged(newest, parent=line(artefact(1.0)), versions=1) is newest


def test_the_mean_is_of_the_nearest_ancestors_and_keeps_the_newest_head(line: Any) -> None:
    newest = replace(artefact(5.0), head=replace(HEAD, dense=7.0))

    mean = averaged(newest, parent=line(artefact(100.0), artefact(3.0), artefact(1.0)), versions=3)

    assert value(mean) == pytest.approx(3.0)
    assert float(mean.tensors["q.lora_B"][0, 0]) == pytest.approx(-3.0)
    assert mean.head.dense == 7.0


def test_the_next_version_goes_on_from_where_training_ended_and_averages_that(line: Any) -> None:
    first = averaged(artefact(5.0), parent=line(artefact(1.0)), versions=2)
    kept = artefact_read(artefact_write(first))

    second = averaged(artefact(7.0), parent=line(artefact(1.0), kept), versions=2)

    assert value(kept) == pytest.approx(3.0)
    assert value(as_trained(kept)) == 5.0
    assert as_trained(kept).trained == {}
    assert value(second) == pytest.approx(6.0)


def test_a_version_that_is_no_average_goes_on_from_itself() -> None:
    assert as_trained(artefact(5.0)).tensors.keys() == artefact(5.0).tensors.keys()
    assert b"trained." not in artefact_write(artefact(5.0))


def test_a_shop_with_fewer_versions_averages_those_it_has(line: Any) -> None:
    assert value(averaged(artefact(5.0), parent=line(Artefact(HEAD), artefact(3.0)), versions=9)) == pytest.approx(4.0)


def test_the_line_ends_where_an_adapter_has_another_shape(line: Any) -> None:
    parent = line(artefact(100.0), artefact(50.0, rank=3), artefact(3.0))

    assert value(averaged(artefact(5.0), parent=parent, versions=9)) == pytest.approx(4.0)


def test_the_line_ends_at_another_major_version(line: Any) -> None:
    parent = line(artefact(100.0), artefact(3.0), majors=(1, 2))

    assert value(averaged(artefact(5.0), parent=parent, versions=9)) == pytest.approx(4.0)


def test_the_same_line_gives_the_same_bytes(line: Any) -> None:
    parent = line(artefact(0.1), artefact(0.2))

    first, second = (averaged(artefact(0.3), parent=parent, versions=3) for _ in range(2))

    assert artefact_write(first) == artefact_write(second)

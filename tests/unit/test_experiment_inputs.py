"""What may be an experiment: unknown names are refused with the nearest, impossible values with what was expected."""

from __future__ import annotations

from typing import Any

import pytest

from ranking.experiments.inputs import experiment_read, stop_read
from ranking.experiments.settings import ARMS, BadExperiment

CONTROL: dict[str, Any] = {"name": "control"}


def of(surface: str = "search", *settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    variants = [CONTROL, *({"name": f"v{n}", "settings": each} for n, each in enumerate(settings))]
    return {"name": "Try it", "surface": surface, "variants": variants, **more}


def test_a_version_on_search_and_arms_and_diversity_elsewhere() -> None:
    given = experiment_read(of("search", {"model": "1.3"}))
    assert (given.kind, given.level, given.guards, given.variants[1].settings) == ("ab", 0.05, None, {"model": "1.3"})

    for arm in ARMS:
        assert experiment_read(of("home", {"arm": arm}, {"diversity": 0.3})).surface == "home"


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        (of("search", {"modle": "1.3"}), "variants.1.settings", "did you mean 'model'?"),
        (of("home", {"arm": "populer"}), "variants.1.settings.arm", "did you mean 'popular'?"),
        (of("home", {"arm": "xyzzy"}), "variants.1.settings.arm", "there are: popular, bestsellers"),
        (of("home", {"model": "1.3"}), "variants.1.settings", "home has no setting 'model'"),
        (of("search", {"model": 1.3}), "variants.1.settings.model", 'such as "1.3"'),
        (of("basket", {"diversity": 1.5}), "variants.1.settings.diversity", "from 0 to 1"),
        (of("basket", {"diversity": True}), "variants.1.settings.diversity", "from 0 to 1"),
        (of("hoem", {}), "surface", "'home'"),
        (of("home", {"arm": "popular"}, levle=0.1), "levle", "did you mean 'level'?"),
        (of("home"), "variants", "at least 2"),
        (of("home", {}, level=0.0), "level", "greater than"),
        (of("home", {}, seed=-1), "seed", "greater than"),
        (of("home", {}, guards={"ctrr": 0.1}), "guards.ctrr.[key]", "'ctr'"),
        (of("home", {}, kind="interleaving"), "kind", "rankings of a search"),
        (of("search", {}, kind="interleaving"), "variants", "the same ranking"),
        (of("search", {"model": "1.3"}, kind="interleaving", guards={"ctr": 0.1}), "guards", "no guards"),
        (of("home") | {"variants": [CONTROL, CONTROL]}, "variants", "a name of its own"),
        (of("home") | {"variants": [CONTROL, {"name": "b", "share": 0.2}]}, "variants", "its share, or none"),
        (of("home") | {"variants": [CONTROL | {"share": 0.6}, {"name": "b", "share": 0.6}]}, "variants", "1 at most"),
        (of("home") | {"variants": [CONTROL, {"name": "a:b"}]}, "variants.1.name", "pattern"),
        ([], None, "a JSON object"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_experiment_is_refused_by_field_and_remedy(body: Any, field: str | None, said: str) -> None:
    with pytest.raises(BadExperiment) as refused:
        experiment_read(body)

    assert (refused.value.field, refused.value.code) == (field, "bad_experiment")
    assert said in refused.value.detail


def test_a_stop_needs_no_body_but_no_unknown_field_either() -> None:
    assert stop_read(None).variant is None
    with pytest.raises(BadExperiment, match="did you mean 'variant'"):
        stop_read({"varient": "b"})

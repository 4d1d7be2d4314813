"""How good a shop's model versions were, one after the other, as charts: what the gate found and what training took (pure).

Whatever pair of figures a version brings, `serving...` and `candidate...`, becomes a chart; none has to be named here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ranking.registry import ModelVersion

NEWEST = 200  # versions: more points than that no chart can show
_GREY, _BLUE, _GREEN, _RED, _AMBER = "#94a3b8", "#2563eb", "#16a34a", "#dc2626", "#d97706"

# what people call a figure, and what it says
_TITLES: Mapping[str, tuple[str, str]] = {
    "mrr": ("MRR of the clicked product", "One over its rank among all that either version finds, on the newest click-throughs."),
    "accuracy": ("Pairs in the right order", "Among the products that shoppers saw, those they wanted should stand higher."),
    "ndcg": ("nDCG@10 of what was shown", "How well the shown products are ordered by what shoppers did."),
    "log_loss": ("Log loss of ŷ", "Lower is better: how far ŷ is from a probability."),
    "past/mrr": ("MRR on older click-throughs", "From before the range: where it falls, something was forgotten."),
    "past/accuracy": ("Pairs in order, older click-throughs", "From before the range: where it falls, something was forgotten."),
    "past/ndcg": ("nDCG@10, older click-throughs", "From before the range."),
    "past/log_loss": ("Log loss, older click-throughs", "Lower is better."),
    "list": ("nDCG@10 on the judgement list", "Of the whole catalogue, by the shop's own ratings."),
}  # fmt: skip
_FIRST = list(_TITLES)


@dataclass(frozen=True, slots=True)
class Chart:
    """What Chart.js draws: a title, a sentence about it, and its data and options."""

    title: str
    about: str
    data: dict[str, Any]
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tile:
    """A number to see at a glance."""

    label: str
    value: str
    about: str = ""


def tiles_of(versions: Sequence[ModelVersion]) -> list[Tile]:
    """What serves, and what became of those that were trained; versions newest first."""
    trained = [version for version in versions if version.parent is not None]
    serving = next((version for version in versions if version.state == "serving"), None)
    refused = sum(version.state == "refused" for version in trained)
    promoted = sum(version.promoted_position is not None for version in trained)
    seconds = [float(version.metrics["seconds"]) for version in trained if "seconds" in version.metrics]
    learned = sum(int(version.metrics.get("click_throughs", 0)) for version in trained)
    middle = sorted(seconds)[len(seconds) // 2] if seconds else None
    return [
        Tile("Serves", serving.version if serving else "–", serving.reason or "" if serving else ""),
        Tile("Trained", str(len(trained)), f"{promoted} served, {refused} refused"),
        Tile("Learned from", f"{learned:,}", "click-throughs"),
        Tile("A version takes", "–" if middle is None else f"{middle:.0f} s", "the middle one"),
    ]


def charts_of(versions: Sequence[ModelVersion]) -> list[Chart]:
    """The charts that there are figures for; versions newest first, drawn oldest first."""
    shown = [version for version in versions if version.metrics.get("gate")][:NEWEST][::-1]
    if not shown:
        return []
    charts = [_compared(shown, name) for name in _pairs(shown)]
    charts.append(_drift(shown))
    charts.append(_lines(shown, "Loss", "Mean of the first and of the last tenth of the steps.", {
        "first": ([_at(v.metrics, "loss_first") for v in shown], _GREY),
        "last": ([_at(v.metrics, "loss_last") for v in shown], _BLUE),
    }))  # fmt: skip
    charts.append(_lines(shown, "Privacy spent (ε)", "By each version, of what its click-throughs may reveal.", {
        "ε": ([_at(v.metrics, "epsilon") for v in shown], _AMBER)
    }, counts=True))  # fmt: skip
    charts.append(_lines(shown, "Click-throughs", "Trained on, and judged by.", {
        "trained on": ([_at(v.metrics, "click_throughs") for v in shown], _GREY),
        "judged by": ([_at(v.metrics, "gate/click_throughs") for v in shown], _BLUE),
    }, counts=True))  # fmt: skip
    charts.append(_lines(shown, "Seconds", "From reading the range to the gate's word.", {
        "seconds": ([_at(v.metrics, "seconds") for v in shown], _BLUE)
    }, counts=True))  # fmt: skip
    return [chart for chart in charts if _says_something(chart)]


def _pairs(versions: Sequence[ModelVersion]) -> list[str]:
    """Names of the figures that the gate has of both sides, such as `mrr`, `past/mrr`, `list`; the known ones first."""
    found = {name for version in versions for name in _names(version.metrics["gate"])}
    return sorted(found, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))


def _names(gate: Mapping[str, Any]) -> Iterator[str]:
    for key, value in gate.items():
        kind = key.removeprefix("candidate").lstrip("_")
        if not key.startswith("candidate") or key.replace("candidate", "serving", 1) not in gate:
            continue
        for name in value if isinstance(value, Mapping) else [""]:
            yield "/".join(part for part in (kind, name) if part)


def _side(version: ModelVersion, side: str, name: str) -> float | None:
    """A figure of one side: `mrr` of candidate, `past/mrr` of candidate_past, `list` in candidate_list."""
    gate = version.metrics["gate"]
    kind, _, rest = name.rpartition("/")
    for key, path in ((f"{side}_{kind}" if kind else side, rest), (f"{side}_{name}", "")):
        value = gate.get(key)
        found = value.get(path) if isinstance(value, Mapping) else value if not path else None
        if isinstance(found, int | float):
            return float(found)
    return None


def _compared(versions: Sequence[ModelVersion], name: str) -> Chart:
    """What served against the candidate; refused ones as red crosses."""
    title, about = _TITLES.get(name, (name.replace("/", ": ").replace("_", " "), ""))
    return _lines(versions, title, about, {
        "what served": ([_side(version, "serving", name) for version in versions], _GREY),
        "candidate": ([_side(version, "candidate", name) for version in versions], _BLUE),
    }, marked="candidate")  # fmt: skip


def _drift(versions: Sequence[ModelVersion]) -> Chart:
    least = [_at(version.config, "options/least_overlap") for version in versions]
    return _lines(versions, "How alike first pages stay", "Rank-biased overlap with what served: 1 the same.", {
        "overlap": ([_at(version.metrics, "gate/overlap") for version in versions], _BLUE), "least": (least, _GREY),
    }, marked="overlap")  # fmt: skip


def _lines(
    versions: Sequence[ModelVersion],
    title: str,
    about: str,
    lines: Mapping[str, tuple[list[float | None], str]],
    *,
    marked: str | None = None,
    counts: bool = False,
) -> Chart:
    refused = [version.state == "refused" for version in versions]
    sets: list[dict[str, Any]] = []
    for name, (values, colour) in lines.items():
        points: dict[str, Any] = {"pointRadius": 2, "pointBackgroundColor": colour, "pointBorderColor": colour}
        if name == marked:
            points = {
                "pointStyle": ["crossRot" if each else "circle" for each in refused],
                "pointRadius": [6 if each else 3 for each in refused],
                "pointBorderWidth": [2 if each else 0 for each in refused],
                "pointBorderColor": [_RED if each else _GREEN for each in refused],
                "pointBackgroundColor": [_RED if each else _GREEN for each in refused],
            }
        sets.append({"label": name, "data": values, "borderColor": colour, "backgroundColor": colour, "borderWidth": 2,
                     "spanGaps": True, **points})  # fmt: skip
    return Chart(
        title, about, {"labels": [version.version for version in versions], "datasets": sets}, _options(counts)
    )


def _options(counts: bool) -> dict[str, Any]:
    """Counts begin at 0; of other figures what matters is how they move."""
    ticks = {"color": "#9ca3af", "maxTicksLimit": 8, "maxRotation": 0}
    height = {"beginAtZero": True} if counts else {"grace": "10%"}
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "plugins": {"legend": {"align": "end", "labels": {"boxWidth": 14, "boxHeight": 2, "color": "#9ca3af"}}},
        "scales": {
            "x": {"ticks": ticks, "grid": {"display": False}},
            "y": {"ticks": ticks, "border": {"display": False}, "grid": {"tickLength": 0}, **height},
        },
    }


def _at(metrics: Mapping[str, Any], path: str) -> float | None:
    value: Any = metrics
    for part in path.split("/"):
        value = value.get(part) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def _says_something(chart: Chart) -> bool:
    return any(value is not None for value in chart.data["datasets"][0]["data"])

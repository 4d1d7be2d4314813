"""How an experiment's intervals closed in over time, as charts (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ranking.experiments.experiment import Experiment
from ranking.experiments.readout import METRICS
from ranking.experiments.selectors import Reading
from ranking.quality import Chart

_BLUE, _BAND, _GREY = "#2563eb", "rgba(37, 99, 235, 0.15)", "#94a3b8"
_TITLES = {
    "ctr": "Requests with a click",
    "add_to_cart": "Requests with a product put into the basket",
    "conversion": "Requests with a purchase",
    "revenue": "Revenue a request",
}


def charts_of(experiment: Experiment, readings: Sequence[Reading]) -> list[Chart]:
    """A chart for each rival and metric, or one of the preference; none before there is a reading."""
    if not readings:
        return []
    labels = [f"{each.at:%d %b %H:%M}" for each in readings]
    if experiment.kind == "interleaving":
        first, second = experiment.variants
        found: list[Mapping[str, Any]] = [each.figures.get("preference") or {} for each in readings]
        about = f"Net wins a decided list: above 0 for {second.name}, below 0 for {first.name}."
        return [_band("Preference", about, labels, found, "preference", _guard(None, found))]
    return [
        _comparison(experiment, rival.name, metric, labels, readings) for rival in experiment.rivals for metric in METRICS
    ]  # fmt: skip


def _comparison(
    experiment: Experiment, rival: str, metric: str, labels: list[str], readings: Sequence[Reading]
) -> Chart:
    found = [_of(each, rival, metric) for each in readings]
    guard = _guard(experiment.guards.get(metric), found)
    about = f"By how much {rival} is above {experiment.control.name}, and between what that surely lies."
    if guard is not None:
        about += " Grey: stopped when the whole interval is below."
    return _band(f"{rival}: {_TITLES[metric]}", about, labels, found, "difference", guard)


def _of(reading: Reading, rival: str, metric: str) -> Mapping[str, Any]:
    rows = reading.figures.get("comparisons", [])
    return next((each for each in rows if (each["variant"], each["metric"]) == (rival, metric)), {})


def _guard(margin: float | None, found: Sequence[Mapping[str, Any]]) -> list[float] | None:
    return None if margin is None else [-margin * each.get("control", 0.0) for each in found]


def _band(
    title: str,
    about: str,
    labels: list[str],
    found: Sequence[Mapping[str, Any]],
    middle: str,
    guard: list[float] | None,
) -> Chart:
    sets = [
        _line("from", [each.get("low") for each in found], _BAND, fill="+1"),
        _line("to", [each.get("high") for each in found], _BAND),
        _line("estimate", [each.get(middle) for each in found], _BLUE),
    ]
    if guard is not None:
        sets.append(_line("guard", guard, _GREY))
    return Chart(title, about, {"labels": labels, "datasets": sets}, _OPTIONS)


def _line(label: str, data: list[Any], colour: str, **more: Any) -> dict[str, Any]:
    return {"label": label, "data": data, "borderColor": colour, "backgroundColor": _BAND, "borderWidth": 2,
            "pointRadius": 2, "pointBackgroundColor": colour, "pointBorderColor": colour, "spanGaps": True, **more}  # fmt: skip


_TICKS = {"color": "#9ca3af", "maxTicksLimit": 6, "maxRotation": 0}
_OPTIONS: dict[str, Any] = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "interaction": {"mode": "index", "intersect": False},
    "plugins": {"legend": {"align": "end", "labels": {"boxWidth": 14, "boxHeight": 2, "color": "#9ca3af"}}},
    "scales": {
        "x": {"ticks": _TICKS, "grid": {"display": False}},
        "y": {"ticks": _TICKS, "border": {"display": False}, "grid": {"tickLength": 0}, "grace": "10%"},
    },
}

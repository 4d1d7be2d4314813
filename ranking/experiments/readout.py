"""What an experiment says, from what its answers led to: figures of each variant, and intervals of how they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eventlog.consume import checkpoint_read
from eventlog.database import rows, snapshot
from ranking.experiments.experiment import Experiment
from ranking.experiments.intervals import Interval, Sums, difference, preference, sign_test
from ranking.experiments.projection import experiments

# each of a request: was a product clicked, put into the basket, bought; and what was paid. A shopper's are added up
METRICS = {
    "ctr": "(clicks > 0)::integer",
    "add_to_cart": "(added > 0)::integer",
    "conversion": "(purchased > 0)::integer",
    "revenue": "revenue::double precision",
}


@dataclass(frozen=True, slots=True)
class Side:
    """What a variant's shoppers did; `figures` are per request."""

    variant: str
    shoppers: int
    requests: int
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """By how much a variant's figure is above control's, and between what it surely is; no interval: too little is known."""

    variant: str
    metric: str
    control: float
    value: float
    difference: float
    low: float | None
    high: float | None
    verdict: str  # better, worse, open


@dataclass(frozen=True, slots=True)
class Preference:
    """Net wins of the second ranking a decided list; `p` is the sign test's over shoppers, good for one look only."""

    decided: int
    shoppers: int
    preference: float
    low: float
    high: float
    p: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Readout:
    """How an experiment stands at a position of the log. `breached` names variants below a guard, and by which metric."""

    position: int
    requests: int
    variants: Sequence[Side]
    comparisons: Sequence[Comparison]
    preference: Preference | None
    breached: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def readout(experiment: Experiment) -> Readout:
    """Count all that the log holds of an experiment, and compare its variants."""
    with snapshot():
        position = checkpoint_read(experiments.name)
        counted = sums_read(experiment)
        decided = decided_read(experiment) if experiment.kind == "interleaving" else None
    if experiment.kind == "interleaving":
        return Readout(position, _requests(counted), _sides(counted), [], _preference(decided, experiment.level), {})
    named = {
        variant.name: counted.get(variant.name) or dict.fromkeys(METRICS, NOTHING) for variant in experiment.variants
    }
    return Readout(
        position, _requests(named), _sides(named), compared(experiment, named), None, breached(experiment, named)
    )  # fmt: skip


NOTHING = Sums(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)


def compared(experiment: Experiment, of: Mapping[str, Mapping[str, Sums]]) -> list[Comparison]:
    """Every rival with control by every metric (pure). All intervals together are wrong with the chance `level` at most."""
    control = of[experiment.control.name]
    alpha = alpha_of(experiment)
    return [
        _comparison(rival.name, metric, control[metric], of[rival.name][metric], alpha)
        for rival in experiment.rivals
        for metric in METRICS
    ]


def breached(experiment: Experiment, of: Mapping[str, Mapping[str, Sums]]) -> dict[str, str]:
    """Running rivals that are surely below control less a guard's margin, each with the metric that says so (pure)."""
    control, alpha = of[experiment.control.name], alpha_of(experiment)
    found: dict[str, str] = {}
    for rival in experiment.rivals:
        for metric, margin in experiment.guards.items():
            interval = difference(control[metric], of[rival.name][metric], alpha=alpha, margin=margin)
            if interval is not None and interval.high < 0 and rival.name not in experiment.stopped:
                found.setdefault(rival.name, metric)
    return found


def alpha_of(experiment: Experiment) -> float:
    """The chance of each interval to be wrong: an equal part of that of all."""
    return experiment.level / (len(METRICS) * len(experiment.rivals))


def _comparison(variant: str, metric: str, control: Sums, other: Sums, alpha: float) -> Comparison:
    interval = difference(control, other, alpha=alpha)
    return Comparison(
        variant, metric, control.value, other.value, other.value - control.value,
        None if interval is None else interval.low, None if interval is None else interval.high, _verdict(interval),
    )  # fmt: skip


def _verdict(interval: Interval | None) -> str:
    if interval is None or interval.low <= 0 <= interval.high:
        return "open"
    return "better" if interval.low > 0 else "worse"


def _preference(decided: tuple[Sums, int, int] | None, level: float) -> Preference | None:
    sums, wins, losses = decided or (NOTHING, 0, 0)
    interval = preference(sums, alpha=level)
    if interval is None:
        return None
    p = sign_test(wins, losses)
    return Preference(
        int(sums.n), sums.units, interval.estimate, interval.low, interval.high, p, _verdict(interval)
    )  # fmt: skip


def _sides(of: Mapping[str, Mapping[str, Sums]]) -> list[Side]:
    return [
        Side(name, sums["ctr"].units, int(sums["ctr"].n), {metric: each.value for metric, each in sums.items()})
        for name, sums in of.items()
    ]


def _requests(of: Mapping[str, Mapping[str, Sums]]) -> int:
    return sum(int(sums["ctr"].n) for sums in of.values())


# What is of nobody (any more) stands for itself: nothing says whose else it is.
_UNIT = """
  SELECT variant, coalesce(subject_id::text, ref) AS who, {columns}
    FROM ranking_experimentrequest WHERE shop_id = %s AND experiment = %s AND shown {where} GROUP BY 1, 2"""
_SUMS = """count(*) FILTER (WHERE {y} <> 0), sum({y})::double precision, sum(n * {y})::double precision,
           sum({y}::double precision * {y})"""
_READ = f"""
WITH unit AS ({_UNIT.format(columns=", ".join(f"sum({y}) AS {name}" for name, y in METRICS.items()) + ", count(*) AS n", where="")})
SELECT variant, count(*), sum(n)::double precision, sum(n * n)::double precision, {", ".join(_SUMS.format(y=y) for y in METRICS)}
  FROM unit GROUP BY variant ORDER BY variant"""
_DECIDED = f"""
WITH unit AS ({_UNIT.format(columns="count(*) AS n, sum(sign(clicks_b - clicks_a)) AS y", where="AND clicks_a <> clicks_b")})
SELECT count(*), coalesce(sum(n), 0)::double precision, coalesce(sum(n * n), 0)::double precision,
       count(*) FILTER (WHERE y <> 0), coalesce(sum(y), 0), coalesce(sum(n * y), 0), coalesce(sum(y * y), 0),
       count(*) FILTER (WHERE y > 0), count(*) FILTER (WHERE y < 0) FROM unit"""


def sums_read(experiment: Experiment) -> dict[str, dict[str, Sums]]:
    """The sums of each variant by metric, of requests that were shown."""
    found = {}
    for variant, units, n, nn, *rest in rows(_READ, [experiment.shop_id, experiment.id]):
        found[variant] = {
            metric: Sums(units, active, n, y, nn, ny, yy)
            for metric, (active, y, ny, yy) in zip(METRICS, zip(*[iter(rest)] * 4, strict=True), strict=True)
        }
    return found


def decided_read(experiment: Experiment) -> tuple[Sums, int, int]:
    """Of interleaved lists with a winner: the sums of net wins, and how many shoppers each ranking won over."""
    units, n, nn, active, y, ny, yy, wins, losses = rows(_DECIDED, [experiment.shop_id, experiment.id])[0]
    return Sums(units, active, n, float(y), nn, float(ny), float(yy)), wins, losses

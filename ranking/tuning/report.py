"""What a search found, for people: a page in Markdown beside a picture of its course."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from django.conf import settings
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import MaxNLocator
from optuna.trial import FrozenTrial, TrialState

from ranking.tuning.space import options_of
from ranking.tuning.study import Tuned

SHOWN = 10  # of the best trials
LEAST_TRIALS = 10  # finished ones: of fewer nobody can tell what mattered
_BLUE, _GREY, _RED = "#2563eb", "#94a3b8", "#dc2626"


def report_write(tuned: Tuned) -> Path:
    """Write `report.md` and `history.png` into a folder of the study and return it."""
    folder = Path(settings.FRESHET_HOME, "tune", tuned.study.study_name)
    folder.mkdir(parents=True, exist_ok=True)
    _history(tuned, folder / "history.png")
    (folder / "report.md").write_text("\n".join(_page(tuned)) + "\n", "utf-8")
    return folder


def summary(tuned: Tuned) -> str:
    """The outcome in a sentence or two."""
    if tuned.gain is None:
        return "Nothing that was tried beats the options in force."
    gain = tuned.gain
    said = "That is more than noise." if gain.is_sure else "That may be noise."
    return (
        f"Trial {tuned.best.number} gains {gain.mean:+.4f} on the newest click-throughs, which chose no trial "
        f"(95 % interval {gain.low:+.4f} to {gain.high:+.4f}). {said}"
    )


def _page(tuned: Tuned) -> list[str]:
    asked, trials = tuned.asked, tuned.study.get_trials(deepcopy=False)
    complete = _complete(tuned.study)
    pruned = sum(trial.state == TrialState.PRUNED for trial in trials)
    judges = [len(fold.judged) for fold in tuned.walk.folds]
    return [
        f"# Options for shop {asked.shop_id}",
        "",
        summary(tuned),
        "",
        f"Positions {asked.from_position} to {asked.to_position} of the log, from model version {tuned.walk.start.version} on: "
        f"{asked.folds} versions, one after the other, each judged by the {min(judges)} to {max(judges)} click-throughs after it; "
        "the newest are kept from the search and judge its best trial alone. A trial's score is the mean of the figures that there "
        "are: MRR of the clicked product, accuracy of pairs among shown products, nDCG@10 on the judgement list.",
        "",
        f"{len(complete)} trials went to the end, {pruned} were given up half-way. Trial {tuned.baseline.number} is what is "
        "in force.",
        "",
        "![Score of each trial](history.png)",
        "",
        *_changes(tuned),
        *_importance(tuned),
        *_best_trials(tuned, complete),
    ]


def _changes(tuned: Tuned) -> list[str]:
    if tuned.gain is None:
        return []
    rows = [[name, tuned.asked.baseline[name], value] for name, value in sorted(tuned.better.items())]
    figures = [[name, f"{before:.4f}", f"{tuned.held_out['best'].get(name, float('nan')):.4f}"]
               for name, before in tuned.held_out["baseline"].items()]  # fmt: skip
    return [
        "## What the best trial changes", "", *_table(["option", "in force", "best"], rows), "",
        "On the newest click-throughs:", "", *_table(["figure", "in force", "best"], figures), "",
    ]  # fmt: skip


def _importance(tuned: Tuned) -> list[str]:
    if len(_complete(tuned.study)) < LEAST_TRIALS:
        return ["## What mattered", "", f"Fewer than {LEAST_TRIALS} trials went to the end: too few to tell.", ""]
    shares = optuna.importance.get_param_importances(tuned.study)
    rows = [[name, f"{share:.2f}"] for name, share in shares.items()]
    head = "Share of what sets the better trials apart from the rest (PED-ANOVA: Watanabe, Bansal and Hutter, 2023)."
    return ["## What mattered", "", head, "", *_table(["option", "share"], rows), ""]


def _best_trials(tuned: Tuned, complete: Sequence[FrozenTrial]) -> list[str]:
    names = list(tuned.asked.space)
    rows = []
    for trial in sorted(complete, key=lambda each: -(each.value or 0.0))[:SHOWN]:
        options = options_of(trial.params)
        mark = " (in force)" if trial.number == tuned.baseline.number else ""
        rows.append([f"{trial.number}{mark}", f"{trial.value:.4f}", *(options[name] for name in names)])
    return ["## The best trials", "", *_table(["trial", "score", *names], rows)]


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _history(tuned: Tuned, path: Path) -> None:
    complete = _complete(tuned.study)
    pruned = tuned.study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    picture = Picture(figsize=(9, 4), dpi=120, layout="constrained")
    axes = picture.subplots()
    numbers = [trial.number for trial in complete]
    scores = [trial.value or 0.0 for trial in complete]
    best = [max(scores[: n + 1]) for n in range(len(scores))]
    axes.axhline(tuned.baseline.value or 0.0, color=_RED, linewidth=1, linestyle="--", label="in force")
    axes.step(numbers, best, where="post", color=_BLUE, linewidth=1.5, label="best so far")
    axes.scatter(numbers, scores, color=_BLUE, s=22, zorder=3, label="trial")
    if pruned:
        last = [trial.value if trial.value is not None else max(trial.intermediate_values.values()) for trial in pruned]
        axes.scatter([t.number for t in pruned], last, marker="x", color=_GREY, s=22, zorder=2, label="given up")
    axes.set(xlabel="trial", ylabel="score", title=f"Shop {tuned.asked.shop_id}: options tried")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, ncols=4, loc="lower right")
    picture.savefig(path)

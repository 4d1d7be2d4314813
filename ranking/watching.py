"""What TensorBoard and W&B are told of a trained version: its course, step by step, and what the gate found.

The loop only fills a list; it is written once the version is committed, so that looking on can neither slow training nor
break it: whatever goes wrong here is logged, and no more. No artefact depends on it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import structlog
from django.conf import settings

log = structlog.get_logger(__name__)
_uploading: list[subprocess.Popen[bytes]] = []


class Course:
    """How the training of one version went."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, dict[str, float]]] = []
        self._started = monotonic()

    def watch(self, step: int, figures: Mapping[str, float]) -> None:
        """Note a step; this is what the training loop calls."""
        self.steps.append((step, dict(figures)))

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return round(monotonic() - self._started, 2)

    def write(self, *, shop_id: int, version: str, promoted: bool, metrics: Mapping[str, Any]) -> None:
        """Tell TensorBoard, and W&B where its key is set, of a version that is committed."""
        plain = {name: value for name, value in metrics.items() if name != "options"}
        figures = dict(numbers({**plain, "promoted": float(promoted)}))
        try:
            if settings.FRESHET_TENSORBOARD:
                self._to_tensorboard(settings.FRESHET_TENSORBOARD / f"shop-{shop_id}", version, figures)
            if settings.WANDB_API_KEY:
                self._to_wandb(f"shop-{shop_id}", version, figures, metrics.get("options", {}))
        except Exception:  # a full disk must not keep the next version from being trained
            log.exception("watching_failed", shop_id=shop_id, version=version)

    def _to_tensorboard(self, folder: Path, version: str, figures: Mapping[str, float]) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter  # seconds, and only the trainer has torch anyway

        writer = SummaryWriter(str(folder / version))
        for step, course in self.steps:
            for name, value in course.items():
                writer.add_scalar(f"train/{name}", value, step)
        minor = int(version.rpartition(".")[2])  # so that the versions of a shop make a curve
        for name, value in figures.items():
            writer.add_scalar(name if "/" in name else f"version/{name}", value, minor)
        writer.close()
        runs_prune(folder, keep=settings.FRESHET_RUNS_KEPT)

    def _to_wandb(self, shop: str, version: str, figures: Mapping[str, float], options: Mapping[str, Any]) -> None:
        """By a process of its own, which ends itself: the network may be away, and this one has versions to train."""
        home = settings.FRESHET_HOME / "wandb"
        home.mkdir(parents=True, exist_ok=True)
        content = orjson.dumps(
            {"shop": shop, "version": version, "steps": self.steps, "figures": figures, "options": options}
        )
        environment = {**os.environ, "WANDB_API_KEY": settings.WANDB_API_KEY, "WANDB_DIR": str(settings.FRESHET_HOME)}
        process = subprocess.Popen(
            [sys.executable, "-m", "ranking.wandb_run"], cwd=settings.BASE_DIR, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(content)
        process.stdin.close()
        _uploading[:] = [each for each in (*_uploading, process) if each.poll() is None]  # those that ended are reaped
        runs_prune(home, keep=settings.FRESHET_RUNS_KEPT)


def numbers(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number among nested metrics by its path, such as `gate/candidate/mrr`; what is no finite number is left out."""
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and isfinite(value):
            yield f"{prefix}{name}", float(value)


def runs_prune(folder: Path, *, keep: int) -> None:
    """Remove the oldest runs of a folder; a page of curves shows a hundred at most, and a shop makes hundreds a day."""
    runs = sorted((path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()), key=_age)
    for run in runs[: max(0, len(runs) - keep)]:
        shutil.rmtree(run, ignore_errors=True)


def _age(run: Path) -> tuple[float, str]:
    return run.stat().st_mtime, run.name

"""What is told of a version, and how many runs are kept."""

from __future__ import annotations

import os
from pathlib import Path

from ranking.watching import numbers, runs_prune


def test_only_the_newest_runs_are_kept(tmp_path: Path) -> None:
    for n in range(5):
        run = tmp_path / f"1.{n}"
        run.mkdir()
        os.utime(run, (n, n))
    (tmp_path / "latest").symlink_to(tmp_path / "1.4")

    runs_prune(tmp_path, keep=2)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.3", "1.4", "latest"]


def test_numbers_are_named_by_their_path_and_what_is_none_is_left_out() -> None:
    figures = {"serving": {"mrr": 0.5, "ndcg": None}, "overlap": float("nan")}

    assert dict(numbers({"steps": 3, "gate": figures, "taught_by": "clicks"})) == {
        "steps": 3.0,
        "gate/serving/mrr": 0.5,
    }

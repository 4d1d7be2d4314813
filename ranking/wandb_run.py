"""One run for W&B, in a process of its own: `python -m ranking.wandb_run`, with the run as JSON on standard input.

It knows no Django and no torch. When the network is away it keeps the run in its folder, for `wandb sync`.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import orjson

MOST_SECONDS = 120  # whatever it waits for: then it ends
INIT_SECONDS = "20"
PROJECT = "freshet"


def main() -> None:
    """Read a run, log its steps, and leave its figures as the summary."""
    given = orjson.loads(sys.stdin.buffer.read())
    signal.alarm(MOST_SECONDS)
    run = _started(given)
    for step, figures in given["steps"]:
        run.log(figures, step=step)
    run.summary.update(given["figures"])
    run.finish()


def _started(given: dict[str, Any]) -> Any:
    import wandb

    os.environ.setdefault("WANDB_INIT_TIMEOUT", INIT_SECONDS)
    quiet = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False, x_disable_stats=True)
    asked: dict[str, Any] = {
        "project": PROJECT, "group": given["shop"], "name": f"{given['shop']} {given['version']}",
        "config": given["options"], "settings": quiet,
    }  # fmt: skip
    try:
        return wandb.init(**asked)
    except wandb.Error:
        wandb.teardown()
        return wandb.init(**asked, mode="offline")


if __name__ == "__main__":
    main()

"""The Procfile: the one list of processes."""

from __future__ import annotations

from pathlib import Path

from honcho.environ import parse_procfile

PROJECT = Path(__file__).resolve().parent.parent.parent


def read_procfile() -> dict[str, str]:
    """Return the command of each process by name, in the order of the file."""
    return dict(parse_procfile((PROJECT / "Procfile").read_text()).processes)

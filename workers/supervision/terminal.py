"""The terminal of `manage.py up`: who gets Ctrl-C, and the processes' log lines with their names in front."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cachetools import TTLCache
from honcho.colour import get_colours
from honcho.printer import Message, Printer

_TASK_ID = re.compile(r"\[[0-9a-f-]{36}\]")


@contextmanager
def own_foreground() -> Iterator[None]:
    """Take Ctrl-C for this process alone: `make` above it would die of it and report an error for a clean stop."""
    before = os.getpgrp()
    if before == os.getpid() or not sys.stdin.isatty() or os.tcgetpgrp(sys.stdin.fileno()) != before:
        yield
        return
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # handing the terminal over is allowed
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # Ctrl-Z would stop us but not `make`, and the terminal would hang
    os.setpgrp()
    os.tcsetpgrp(sys.stdin.fileno(), os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(sys.stdin.fileno(), before)


class LogEcho:
    """Prints what is appended to log files from now on and worth a look; follows a file through rotation."""

    def __init__(self, logs: Path, names: list[str]) -> None:
        self._files = {name: logs / f"{name}.log" for name in names}
        self._read = {name: _size(path) for name, path in self._files.items()}
        self._colours = dict(zip(names, get_colours(), strict=False))
        self._said: TTLCache[tuple[str, str], None] = TTLCache(maxsize=1000, ttl=60)
        self._printer = Printer(output=sys.stdout, width=max(map(len, names)))

    def print_new(self) -> None:
        """Print what the whole lines that were added since the last call have to say."""
        for name, path in self._files.items():
            for line in self._new_lines(name, path):
                text = worth_a_look(line, log=path.name)
                if text and not self._said_lately(name, text):
                    self._printer.write(
                        Message(type="line", data=text, time=datetime.now(UTC), name=name, colour=self._colours[name])
                    )

    def _said_lately(self, name: str, text: str) -> bool:
        """A task that fails each second says so once a minute."""
        same = (name, _TASK_ID.sub("", text))
        lately = same in self._said
        if not lately:
            self._said[same] = None
        return lately

    def _new_lines(self, name: str, path: Path) -> list[str]:
        if _size(path) < self._read[name]:  # rotated: begin the new file
            self._read[name] = 0
        if _size(path) == self._read[name]:
            return []
        try:
            with path.open("rb") as file:
                file.seek(self._read[name])
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:  # rotated this moment; an error here would end all of Freshet
            self._read[name] = 0
            return []
        self._read[name] += len(whole) + len(newline)
        return [line for line in whole.decode(errors="replace").splitlines() if line.strip()]


def worth_a_look(line: str, *, log: str) -> str | None:
    """Shorten a log line for the terminal, or say that it stays in the file.

    Structured lines: warnings and worse, by event, logger and the last line of the traceback. Lines of supervisord:
    what died. Other lines come from a process that cannot start, so they are shown as they are.
    """
    if "supervisord" in log:
        return line.partition(",")[2][4:] if " WARN exited" in line or "gave up" in line else None
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return line
    if not isinstance(entry, dict) or entry.get("level") not in {"warning", "error", "critical"}:
        return None
    event = str(entry.get("event", "")).partition("\n")[0]
    reason = str(entry.get("exception", "")).strip().rpartition("\n")[2]
    reason = "" if reason.partition(": ")[2] in event else reason
    return (
        f"{entry['level']}: {event}{f' ({reason})' if reason else ''} [{entry.get('logger')}; all of it in logs/{log}]"
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

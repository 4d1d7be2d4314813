"""The terminal of `manage.py up`: who gets Ctrl-C, and the processes' log lines with their names in front."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from honcho.colour import get_colours
from honcho.printer import Message, Printer


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
    """Prints what is appended to log files from now on; follows a file through rotation."""

    def __init__(self, logs: Path, names: list[str], *, only: dict[str, tuple[str, ...]]) -> None:
        self._files = {name: logs / f"{name}.log" for name in names}
        self._read = {name: _size(path) for name, path in self._files.items()}
        self._only = only
        self._colours = dict(zip(names, get_colours(), strict=False))
        self._printer = Printer(output=sys.stdout, width=max(map(len, names)))

    def print_new(self) -> None:
        """Print the whole lines that were added since the last call."""
        for name, path in self._files.items():
            for line in self._new_lines(name, path):
                if any(word in line for word in self._only.get(name, ("",))):
                    self._printer.write(
                        Message(type="line", data=line, time=datetime.now(UTC), name=name, colour=self._colours[name])
                    )
        sys.stdout.flush()

    def _new_lines(self, name: str, path: Path) -> list[str]:
        if _size(path) < self._read[name]:  # rotated: begin the new file
            self._read[name] = 0
        if _size(path) == self._read[name]:
            return []
        with path.open("rb") as file:
            file.seek(self._read[name])
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read[name] += len(whole) + len(newline)
        return [line for line in whole.decode(errors="replace").splitlines() if line.strip()]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

"""How to become a server: the command, the folder, the user, and what it reads on standard input."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from workers.servers.accounts import Account


@dataclass(frozen=True, kw_only=True)
class ServerProgram:
    """A server that runs in the foreground; `stdin` is a text for its standard input (secrets stay out of `ps`)."""

    argv: tuple[str, ...]
    folder: Path
    account: Account | None
    stdin: str = ""

    def become(self) -> NoReturn:
        """Replace this process, keeping its pid, so that whoever started it supervises the server itself."""
        os.chdir(self.folder)  # before dropping: afterwards the way here may be closed
        _feed_stdin(self.stdin)
        if self.account:
            self.account.drop()
        sys.stdout.flush()
        os.execv(self.argv[0], self.argv)


def _feed_stdin(text: str) -> None:
    """Put a short text (under a pipe's 64 KiB) on standard input."""
    read_end, write_end = os.pipe()
    os.write(write_end, text.encode())
    os.close(write_end)
    os.dup2(read_end, 0)

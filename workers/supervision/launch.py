"""`python -m workers.supervision.launch NAME`: become the process of that name, an embedded server or a Procfile line.

It notes pid and start time in FRESHET_HOME/run/ first and keeps the pid, so that whatever happens to the supervisor,
the next `make run` or `make stop` finds this process and no other.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from workers.servers.embedded import server_program
from workers.supervision.procfile import read_procfile
from workers.supervision.records import record


def main(name: str) -> None:
    """Become the named process. Raises KeyError for a name that is neither a server nor in the Procfile."""
    home = Path(os.environ["FRESHET_HOME"])
    if os.getpgrp() != os.getpid():
        os.setpgrp()  # its children are found by this group when it is gone
    record(home, name=name, pid=os.getpid())
    if name in {"postgres", "valkey"}:
        server_program(name, home).become()
    command = read_procfile()[name]
    os.execv("/bin/sh", ["sh", "-c", f"exec {command}"])


if __name__ == "__main__":
    main(sys.argv[1])

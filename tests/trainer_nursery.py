"""A process that has all loaded that a trainer loads, and forks one for each line it reads: for tests that kill many.

Prints each trainer's pid when it starts, and its exit status when it is gone (negative: the signal that ended it).
"""

from __future__ import annotations

import os
import sys

import django


def main(shop_id: str) -> None:
    """Load, say so, and fork. Nothing here touches the database or computes: a fork shares no connection and no thread."""
    django.setup()
    from django.conf import settings
    from django.core.management import call_command, load_command_class

    from ranking.learning import candidate
    from ranking.towers import encoder_frozen

    assert candidate  # it loads what trains and what judges
    load_command_class("ranking", "train")
    encoder_frozen(settings.FRESHET_ENCODER)
    print("ready", flush=True)
    for _ in sys.stdin:
        pid = os.fork()
        if not pid:
            status = 1
            try:
                call_command("train", "--all", "--shop", shop_id, stdout=sys.stderr)
                status = 0
            finally:
                os._exit(status)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    os._exit(0)  # nothing to tidy up, and torch takes its time to


if __name__ == "__main__":
    main(sys.argv[1])

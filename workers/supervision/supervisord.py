"""supervisord: runs the embedded servers and the Procfile, and restarts whatever dies.

It is controlled over a loopback port with a password of the day; `supervisorctl -c FRESHET_HOME/run/supervisord.conf`
is the operator's way in.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from xmlrpc.client import ServerProxy

from workers.servers.ports import choose_port
from workers.supervision.procfile import PROJECT, read_procfile
from workers.supervision.records import record

# asked to stop, a process gets this long before SIGKILL; everything it does is transactional, so a kill loses nothing
_STOP_SECONDS = {"postgres": 60, "valkey": 20}
_STOP_SIGNALS = {"postgres": "INT"}  # PostgreSQL's fast shutdown; TERM would wait for its clients

_ABOUT_ROOT = "ignore:You're running the worker with superuser privileges"


@dataclass(frozen=True, kw_only=True)
class Supervisor:
    """A running supervisord and the address of its control port."""

    process: subprocess.Popen[bytes]
    control: ServerProxy

    def alive(self) -> bool:
        return self.process.poll() is None

    def start_processes(self, names: Iterable[str]) -> None:
        """Start processes of the Procfile, without waiting for them."""
        for name in names:
            self.control.supervisor.startProcess(f"app:{name}", False)


def start_supervisor(home: Path, *, servers: tuple[str, ...]) -> Supervisor:
    """Start supervisord with the servers; the Procfile's processes wait for `start_processes`."""
    port, password = choose_port(), secrets.token_urlsafe(24)
    configuration = home / "run" / "supervisord.conf"
    configuration.touch(mode=0o600)
    with configuration.open("w") as file:
        _configuration(servers=servers, port=port, password=password).write(file)
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(configuration)],
        cwd=PROJECT,
        env=_environment(home),
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for `manage.py up`, which then stops all of it in order
    )
    record(home, name="supervisord", pid=process.pid)
    control = ServerProxy(f"http://freshet:{password}@127.0.0.1:{port}/RPC2")
    supervisor = Supervisor(process=process, control=control)
    _wait_for_control(supervisor)
    return supervisor


def _wait_for_control(supervisor: Supervisor) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            supervisor.control.supervisor.getState()
        except OSError:
            if not supervisor.alive() or time.monotonic() > deadline:
                raise RuntimeError("supervisord did not start; logs/supervisord.log says why.") from None
            time.sleep(0.05)
        else:
            return


def _environment(home: Path) -> dict[str, str]:
    """What every process gets. Paths travel here: in supervisord.conf `%`, `;` and spaces mean something."""
    return {
        **os.environ,
        "FRESHET_HOME": str(home),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        # tasks come as JSON, never as pickle, so what celery says of root does not apply
        "PYTHONWARNINGS": ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), _ABOUT_ROOT])),
        "TOKENIZERS_PARALLELISM": "false",  # one query at a time: its threads would only contend
    }


def _configuration(*, servers: tuple[str, ...], port: int, password: str) -> RawConfigParser:
    parser = RawConfigParser()
    parser["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "pidfile": "%(ENV_FRESHET_HOME)s/run/supervisord.pid",
        "logfile": "%(ENV_FRESHET_HOME)s/logs/supervisord.log",
        "logfile_maxbytes": "5MB",
        "logfile_backups": "2",
        **({"user": "root"} if os.geteuid() == 0 else {}),
    }
    parser["inet_http_server"] = {"port": f"127.0.0.1:{port}", "username": "freshet", "password": password}
    parser["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    parser["supervisorctl"] = {"serverurl": f"http://127.0.0.1:{port}", "username": "freshet", "password": password}
    for name in servers:
        parser[f"program:{name}"] = _program(name, autostart=True)
    for name in read_procfile():
        parser[f"program:{name}"] = _program(name, autostart=False)
    # groups stop in the reverse order of their priority, one after the other
    parser["group:app"] = {"programs": ",".join(read_procfile()), "priority": "20"}
    if servers:
        parser["group:servers"] = {"programs": ",".join(servers), "priority": "10"}
    return parser


def _program(name: str, *, autostart: bool) -> dict[str, str]:
    return {
        "command": f"python -m workers.supervision.launch {name}",
        "autostart": str(autostart).lower(),
        "autorestart": "true",
        "startsecs": "2",
        "startretries": "1000",  # after each failed start it waits a second longer
        "stopsignal": _STOP_SIGNALS.get(name, "TERM"),
        "stopwaitsecs": str(_STOP_SECONDS.get(name, 10)),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"%(ENV_FRESHET_HOME)s/logs/{name}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "3",
    }

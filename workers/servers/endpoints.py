"""Where the embedded servers listen, with which passwords: chosen once, kept in FRESHET_HOME/embedded.json (0600)."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from workers.servers.ports import choose_port
from workers.servers.secret_files import read_json, write_secret_json


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Ports on 127.0.0.1 and passwords (URL-safe text) of the two servers."""

    postgres_port: int
    postgres_password: str
    valkey_port: int
    valkey_password: str

    @property
    def database_url(self) -> str:
        return f"postgresql://freshet:{self.postgres_password}@127.0.0.1:{self.postgres_port}/freshet"

    @property
    def celery_broker_url(self) -> str:
        return f"redis://:{self.valkey_password}@127.0.0.1:{self.valkey_port}/0"

    @property
    def cache_url(self) -> str:
        return f"redis://:{self.valkey_password}@127.0.0.1:{self.valkey_port}/1"

    def urls(self) -> dict[str, str]:
        """The three URLs by the names of the settings, in small letters."""
        return {name: getattr(self, name) for name in ("database_url", "celery_broker_url", "cache_url")}


def read_endpoints(home: Path) -> Endpoints:
    """Read what `choose_endpoints` kept. Raises KeyError when nothing was chosen yet."""
    kept = read_json(home / "embedded.json")
    return Endpoints(**{field.name: kept[field.name] for field in fields(Endpoints)})


def choose_endpoints(home: Path) -> Endpoints:
    """Keep the passwords for good and the ports as long as no stranger listens there. Call it while both are down."""
    kept = read_json(home / "embedded.json")
    postgres_port = choose_port(kept=kept.get("postgres_port"))
    endpoints = Endpoints(
        postgres_port=postgres_port,
        postgres_password=kept.get("postgres_password") or secrets.token_urlsafe(24),
        valkey_port=choose_port(kept=kept.get("valkey_port"), taken=frozenset({postgres_port})),
        valkey_password=kept.get("valkey_password") or secrets.token_urlsafe(24),
    )
    write_secret_json(home / "embedded.json", asdict(endpoints))
    return endpoints

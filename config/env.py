"""Typed reads of the environment. A bad value stops the process and names the variable and the remedy."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import make_conninfo

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def env_bool(name: str, default: bool) -> bool:
    """Read a switch: 1/true/yes/on or 0/false/no/off."""
    value = os.environ.get(name, str(default)).strip().lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; set it to 1 or 0.")


def env_int(name: str, default: int) -> int:
    """Read a whole number."""
    value = os.environ.get(name, str(default))
    try:
        return int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; set it to a whole number.") from None


def env_float(name: str, default: float) -> float:
    """Read a number, 0 or more."""
    value = os.environ.get(name, str(default))
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ImproperlyConfigured(f"{name} is {value!r}; set it to a number of at least 0.")
    return number


def env_secret(name: str, *, keep_in: Path) -> str:
    """Read a secret, or make one once and keep it in a file that only this user can read."""
    if value := os.environ.get(name):
        return value
    if not keep_in.exists():
        keep_in.parent.mkdir(parents=True, exist_ok=True)
        draft = keep_in.with_name(f"{keep_in.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        try:
            os.link(draft, keep_in)  # of two processes that start at once, one wins and both read its secret
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return keep_in.read_text().strip()


def embedded_url(name: str, servers_file: Path) -> str | None:
    """Read a server's URL from the environment, else from what the embedded servers wrote when they started."""
    if value := os.environ.get(name):
        return value
    if not servers_file.exists():
        return None
    url = json.loads(servers_file.read_text()).get(name.lower())
    return str(url) if url else None


def database_from_url(url: str | None) -> dict[str, Any]:
    """Turn postgresql://user:password@host:port/name into Django's dictionary.

    Without a URL the dictionary names a host that cannot exist, so that the first query says what to do. libpq's parameters
    (?sslmode=require&sslrootcert=...) become the dictionary's OPTIONS; one that libpq does not know stops the process.
    """
    if not url:
        return {"HOST": "no-database.start-it-with-make-run-or-set-DATABASE_URL", "NAME": "freshet", "OPTIONS": {}}
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ImproperlyConfigured(f"DATABASE_URL starts with {parts.scheme!r}; Freshet needs postgresql://.")
    return {
        "HOST": parts.hostname or "",
        "PORT": parts.port or 5432,
        "NAME": unquote(parts.path.lstrip("/")) or "freshet",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "OPTIONS": _libpq_options(parts.query),
    }


_OF_THE_URL = {"host", "hostaddr", "port", "dbname", "user", "password"}


def _libpq_options(text: str) -> dict[str, str]:
    """The parameters of a URL's query. Raises ImproperlyConfigured for what libpq does not know or the URL says before."""
    try:
        options = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)))
        make_conninfo(**options)
    except (ValueError, psycopg.ProgrammingError) as error:
        raise ImproperlyConfigured(f"DATABASE_URL has {text!r} after '?': {str(error).strip()}.") from None
    if twice := _OF_THE_URL & options.keys():
        raise ImproperlyConfigured(f"DATABASE_URL has {', '.join(sorted(twice))} after '?'; write it before.")
    return options

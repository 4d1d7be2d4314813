"""The event catalogue: every type of event of the project, from the registry, as a page of docs/."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from importlib import import_module
from inspect import getdoc
from pathlib import Path

from django.apps import apps

from eventlog.events import Event, type_registry

_HEAD = """# Event catalogue

Every fact that the log can hold. Written by `manage.py event_catalogue`; a test compares this page with the code.

Each event also has a shop, an `event_id`, `occurred_at` (the sender's clock) and `recorded_at`; events of a stream have
the stream's name and their version in it. What names or groups a person lies in an encrypted column beside the data.
Fields that hold nothing are not stored.
"""


def event_catalogue() -> str:
    """Return the page as Markdown: the events of each app in alphabetical order, with their fields."""
    configs = list(apps.get_app_configs())
    for config in configs:
        for path in sorted(Path(config.path).rglob("events.py")):  # a part of an app may have events of its own
            import_module(".".join([config.name, *path.relative_to(config.path).with_suffix("").parts]))
    names = {config.name for config in configs}
    own = sorted((e for e in type_registry.values() if e.__module__.partition(".")[0] in names), key=lambda e: e.type)
    return "\n".join([_HEAD, *(_section(event) for event in own)])


def _section(event: type[Event]) -> str:
    title = f"## {event.type}\n\nSchema version {event.schema_version}. {getdoc(event) or ''}\n"
    rows = "".join(f"| `{f.name}` | `{_type(f)}` | {_default(f)} |\n" for f in fields(event))
    return title + (f"\n| field | type | default |\n|---|---|---|\n{rows}" if rows else "")


def _type(field: Field[object]) -> str:
    return str(field.type).replace("|", "\\|")  # a bar would end the cell


def _default(field: Field[object]) -> str:
    if field.default is not MISSING:
        return f"`{field.default!r}`"
    if field.default_factory is not MISSING:
        return "empty"
    return "required"

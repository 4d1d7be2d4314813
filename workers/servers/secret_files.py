"""Small JSON files that only their owner may read: passwords, ports, process records."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_secret_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a file atomically, mode 0600: a reader sees the old content or the new, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=1)
    os.replace(draft, path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a file that is missing or was cut short reads as empty."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}

"""`python -m bench`: which benches there are and how to run each."""

from __future__ import annotations

import ast
from pathlib import Path


def main() -> None:
    """Print each bench with the first line of its docstring."""
    print(
        "Each bench starts servers of its own. Data files are looked for under $FRESHET_DATA; --help lists the options.\n"
    )
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_text()
        if path.name != "__main__.py" and '__name__ == "__main__"' in source:
            docstring = ast.get_docstring(ast.parse(source)) or ""
            print(f"  python -m bench.{path.stem:<20} {docstring.partition(chr(10))[0]}")


if __name__ == "__main__":
    main()

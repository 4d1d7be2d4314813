"""What the pages tell a reader to run exists: commands and their options, make targets, addresses, variables, links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.urls import Resolver404, resolve
from drf_spectacular.generators import SchemaGenerator

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = [path for folder in ("config", "workers", "storefront", "bench") for path in (ROOT / folder).rglob("*.py")]
# read by a program of ours for itself, or set by one for another: nobody configures Freshet with them
INNER = {"DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR", "PYTHONWARNINGS", "PATH", "PEER_INDEX", "PEER_CACHE"}

_COMMAND = re.compile(r"manage\.py ([a-z_]+)([^\n|`]*)")
_OPTION = re.compile(r"(?<!\S)(--[a-z-]+)")
_ADDRESS = re.compile(r"(?<![\w.])/(?:v1|health|metrics|admin)(?:/[\w{}$.-]+)*")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_READ = re.compile(r"""(?:environ(?:\.get\(|\[)|env_(?:bool|float|int|secret)\(|embedded_url\()\s*"([A-Z][A-Z_]+)\"""")


def _named(pattern: re.Pattern[str]) -> list[Any]:
    """Each match with the page it stands on, as a test case of its own."""
    found = {
        (page.relative_to(ROOT).as_posix(), *match.groups()) if match.groups() else
        (page.relative_to(ROOT).as_posix(), match.group())
        for page in PAGES
        for match in pattern.finditer(page.read_text("utf-8"))
    }  # fmt: skip
    return sorted(found)


@pytest.fixture(scope="session")
def described() -> list[re.Pattern[str]]:
    """The addresses of the OpenAPI document; {…} stands for anything without a slash."""
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    return [re.compile(re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(path))) for path in paths]


@pytest.mark.parametrize(("page", "command", "rest"), _named(_COMMAND))
def test_a_command_and_its_options_exist(page: str, command: str, rest: str) -> None:
    commands = get_commands()
    assert command in commands, f"{page} names manage.py {command}"

    app = commands[command]
    parser = (load_command_class(app, command) if isinstance(app, str) else app).create_parser("manage.py", command)
    known = {option for action in parser._actions for option in action.option_strings}
    assert set(_OPTION.findall(rest)) <= known, f"{page}: {command}{rest}"


@pytest.mark.parametrize(("page", "address"), _named(_ADDRESS))
def test_an_address_exists(page: str, address: str, described: list[re.Pattern[str]]) -> None:
    address = address.rstrip(".")
    if address.startswith("/v1/") and address not in ("/v1/schema", "/v1/docs"):
        assert any(path.fullmatch(address) for path in described), f"{page} names {address}"
        return
    try:
        resolve(f"{address}/" if address == "/admin" else address)
    except Resolver404:
        pytest.fail(f"{page} names {address}")


@pytest.mark.parametrize(("page", "target"), _named(_LINK))
def test_a_link_leads_somewhere(page: str, target: str) -> None:
    if target.startswith(("http://", "https://", "mailto:")):
        return
    path, _, anchor = target.partition("#")
    file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
    assert file.exists(), f"{page} links to {target}"
    if anchor:
        assert anchor in _anchors(file), f"{page} links to {target}"


def _anchors(page: Path) -> set[str]:
    """The names that a page's headings get: lower case, spaces as hyphens, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "target"), _named(re.compile(r"`make ([a-z]+)")))
def test_a_make_target_exists(page: str, target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{page} names make {target}"


@pytest.mark.parametrize(("page", "module"), _named(re.compile(r"\bbench[./]([a-z_]+)")))
def test_a_bench_exists(page: str, module: str) -> None:
    assert (ROOT / "bench" / f"{module}.py").is_file(), f"{page} names bench.{module}"


def test_every_variable_that_is_read_is_in_the_readme() -> None:
    table = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE))
    read = {name for source in SOURCES for name in _READ.findall(source.read_text("utf-8"))} - INNER

    assert table == read


def test_every_page_is_in_the_index() -> None:
    docs = ROOT / "docs"
    linked = {(docs / target).resolve() for target in _LINK.findall((docs / "README.md").read_text("utf-8"))}

    assert {page for page in PAGES if docs in page.parents} - linked == {docs / "README.md"}


def test_every_command_is_in_the_readme() -> None:
    ours = {name for name, app in get_commands().items() if isinstance(app, str) and (ROOT / app).is_dir()}
    shown = set(re.findall(r"`([a-z_]+)[ `]", (ROOT / "README.md").read_text("utf-8")))

    assert ours <= shown

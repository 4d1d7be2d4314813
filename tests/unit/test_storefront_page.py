"""The storefront page: its key, its language, and that data never becomes markup."""

import json
import re
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.staticfiles import finders
from django.test import Client, RequestFactory

from storefront.views import storefront

STATIC = Path(__file__).parents[2] / "storefront" / "static" / "storefront"


@pytest.fixture
def key_file(settings: LazySettings, tmp_path: Path) -> Path:
    settings.STOREFRONT_API_KEY_FILE = tmp_path / "storefront_key"
    return tmp_path / "storefront_key"


def test_the_page_carries_the_public_key(key_file: Path) -> None:
    key_file.write_text("fk_public\n", "utf-8")
    page = storefront(RequestFactory().get("/?lang=zh"))
    config = re.search(r'<script id="storefront-config" type="application/json">(.*?)</script>', page.content.decode())

    assert config is not None
    assert json.loads(config[1]) == {"key": "fk_public", "language": "zh"}
    assert page["Cache-Control"] == "no-store"


def test_without_a_key_the_page_says_how_to_make_one(key_file: Path) -> None:
    page = storefront(RequestFactory().get("/"))

    assert page.status_code == 503
    assert "create_api_key --name storefront --scope search --scope beacon" in page.content.decode()


@pytest.mark.parametrize(
    ("address", "accepted", "language"),
    [("/", "zh-CN,zh;q=0.9", "zh"), ("/", "fr", "en"), ("/?lang=en", "zh-CN", "en"), ("/?lang=<script>", "", "en")],
)
def test_the_page_speaks_the_visitors_language(key_file: Path, address: str, accepted: str, language: str) -> None:
    key_file.write_text("fk_public", "utf-8")
    page = storefront(RequestFactory().get(address, headers={"accept-language": accepted}))

    assert f'<html lang="{language}">' in page.content.decode()


def test_no_script_turns_text_into_markup() -> None:
    scripts = list(STATIC.glob("*.js"))

    assert len(scripts) >= 8
    for script in scripts:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", script.read_text("utf-8"))


def test_both_languages_say_the_same_things() -> None:
    english, chinese = (STATIC / "texts.js").read_text("utf-8").split("  zh: {")
    keys = re.compile(r"(?:^    |, )(\w+): ", re.MULTILINE)

    assert set(keys.findall(english)) == set(keys.findall(chinese.split("\n  },")[0]))


def test_every_text_that_a_script_asks_for_exists() -> None:
    texts = (STATIC / "texts.js").read_text("utf-8").split("  zh: {")[0]
    scripts = "".join(script.read_text("utf-8") for script in STATIC.glob("*.js"))

    assert set(re.findall(r"""\bt\("(\w+)"[,)]""", scripts)) <= set(re.findall(r"(\w+): ", texts))


def test_browsers_that_look_for_an_icon_by_themselves_find_one(client: Client) -> None:
    answer = client.get("/favicon.ico")

    assert (answer.status_code, answer["Location"]) == (302, "/static/storefront/mark.svg")
    assert finders.find("storefront/mark.svg")

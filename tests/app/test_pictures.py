"""The pictures of the README are there: every main screen, two languages, two sizes."""

import re
from pathlib import Path

import pytest

from tests.support.pictures import FOLDER, SAMPLES, SIZES, screens

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("lang", SAMPLES)
@pytest.mark.parametrize("size", SIZES)
def test_every_main_screen_has_its_picture(lang: str, size: tuple[int, int]) -> None:
    seen = {}
    for name in screens(lang):
        svg = (FOLDER / f"{name}-{lang}-{size[0]}.svg").read_text("utf-8")
        seen[name] = "".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
        assert "font-face" not in svg and "/tmp/" not in svg, name
        assert bool(re.search("[一-鿿]", seen[name])) or lang == "en", name
    assert len(set(seen.values())) == len(seen)
    assert {"en": "pane.down", "zh": "按键"}[lang] in seen["help"]


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_what_a_readme_shows_exists(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    linked = re.findall(r"\]\(((?:tests|sessions)/[^)]+)\)", text)
    assert len(linked) > 8 and all((ROOT / path).exists() for path in linked)

"""The pictures of the README show what the screens draw: two languages, two sizes."""

import difflib
import re
from html import unescape
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.support.pictures import FOLDER, SAMPLES, SIZES, empty_machine, runs, screens

ROOT = Path(__file__).parent.parent.parent
NAMES = tuple(screens("en"))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
@pytest.mark.parametrize("lang", SAMPLES)
@pytest.mark.parametrize("name", NAMES)
async def test_a_picture_shows_what_the_screen_draws(
    name: str,
    lang: str,
    size: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Text, places and styles of every cell; what Rich names differently each time is left out."""
    file = FOLDER / f"{name}-{lang}-{size[0]}.svg"
    wanted = runs(file.read_text("utf-8"))
    assert len(wanted) > size[1]
    home = tmp_path / "home"
    home.mkdir()
    empty_machine(home, monkeypatch)
    drawn = await screens(lang)[name](size, lambda svg: runs(svg) == wanted)
    if runs(drawn) != wanted:
        (tmp_path / file.name).write_text(drawn, encoding="utf-8")
        diff = difflib.unified_diff(wanted, runs(drawn), str(file), "drawn now", lineterm="", n=0)
        pytest.fail(
            "\n".join([*diff, "", f"drawn now: {tmp_path / file.name}"])
            + "\nif this is meant, `make screens` draws the pictures anew",
            pytrace=False,
        )


@pytest.mark.parametrize("lang", SAMPLES)
def test_the_picture_beside_a_session_is_that_of_the_comparison(lang: str) -> None:
    beside = (ROOT / "sessions" / f"{SAMPLES[lang]}.svg").read_text("utf-8")
    assert runs(beside) == runs((FOLDER / f"compare-{lang}-{SIZES[0][0]}.svg").read_text("utf-8"))


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
    assert {"en": "half&#160;a&#160;page&#160;down", "zh": "按键"}[lang] in seen["help"]


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_what_a_readme_shows_exists(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    linked = re.findall(r"\]\(((?:tests|sessions)/[^)]+)\)", text)
    assert len(linked) > 8 and all((ROOT / path).exists() for path in linked)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.svg")), ids=lambda file: file.stem)
def test_every_character_of_a_picture_has_the_cells_of_its_width(file: Path) -> None:
    drawn = re.findall(
        r'x="[\d.]+" y="[^"]*" textLength="([\d.]+)"[^>]*>([^<]+)</text>', file.read_text("utf-8")
    )
    wrong = [text for length, text in drawn if abs(float(length) - 12.2 * cells(text)) > 0.1]
    assert drawn and not wrong, "wide characters would be drawn over each other"


def cells(text: str) -> int:
    return cell_len(unescape(text))

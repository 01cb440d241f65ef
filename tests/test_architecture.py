"""ARCHITECTURE.md names every folder of the program, and none that is not there."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows_of_the_map() -> dict[str, str]:
    """What the map says of each folder."""
    found = re.findall(r"^\| `(\S+)/` \| (.+) \|$", section("Map"), re.MULTILINE)
    assert len(found) == len({folder for folder, _ in found})
    return dict(found)


def folders_with_modules() -> set[str]:
    return {str(path.parent.relative_to(ROOT)) for path in (ROOT / "tui").rglob("*.py")}


def test_the_map_names_every_folder_with_modules() -> None:
    assert folders_with_modules() - rows_of_the_map().keys() == set()


def test_every_folder_of_the_map_is_there() -> None:
    assert rows_of_the_map().keys() - folders_with_modules() == set()


def test_the_map_names_the_modules_that_are_rooms_of_their_own() -> None:
    rooms = {path.name for path in (ROOT / "tui").glob("*.py") if not path.name.startswith("__")}
    assert rooms - set(re.findall(r"`(\w+\.py)`", rows_of_the_map()["tui"])) == set()


def test_the_floors_are_those_of_the_contract() -> None:
    """Line by line, as import-linter is told in pyproject.toml."""
    drawn = [
        frozenset(re.findall(r"\w+", re.split(r"\s{4,}", line.strip())[0]))
        for line in section("Floors").splitlines()
        if line.startswith("    ")
    ]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (floors,) = (c for c in contracts["importlinter"]["contracts"] if c["type"] == "layers")
    told = [frozenset(re.findall(r"\w+", layer)) for layer in floors["layers"]]
    assert drawn == told

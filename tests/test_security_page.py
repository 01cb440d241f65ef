"""docs/security.md: whatever it promises is held by a module and shown by tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> list[list[str]]:
    """The cells of each line of the tables, heads left out."""
    lines = (line for line in PAGE.splitlines() if line.startswith("| "))
    cells = ([cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines)
    return [row for row in cells if row[0] not in ("what it tries", "---")]


def names_of_tests(file: str) -> set[str]:
    source = (ROOT / file).read_text(encoding="utf-8")
    return set(re.findall(r"^(?:async )?def (test_\w+)", source, re.MULTILINE))


def test_every_line_is_held_by_one_module_and_shown_by_a_test() -> None:
    assert len(rows()) > 30
    for row in rows():
        assert len(row) == 4, row
        assert re.fullmatch(r"`tui/[\w/]+\.py`", row[2]) and (ROOT / row[2][1:-1]).is_file(), row
        named = _TEST.findall(row[3])
        assert named and not _TEST.sub("", row[3]).strip(), row
        gone = [f"{file}::{name}" for file, name in named if name not in names_of_tests(file)]
        assert gone == []


def test_every_test_of_what_strangers_may_is_on_the_page() -> None:
    files = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/trust/test_*.py"))
    assert files
    named = set(_TEST.findall(PAGE))
    gone = {(file, name) for file in files for name in names_of_tests(file)} - named
    assert gone == set()


def test_other_pages_lead_there() -> None:
    pages = {"README.md": "security.md", "README.zh.md": "security.zh.md"}
    for page, there in (pages | {"ARCHITECTURE.md": "security.md"}).items():
        assert f"docs/{there}" in (ROOT / page).read_text(encoding="utf-8"), page

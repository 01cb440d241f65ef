"""The pages for people: what they lead to is there, and each has a Chinese one."""

import re
from pathlib import Path

from tui.cli.support import help_pages

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
_LINK = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")
_NAMED = re.compile(r"`(docs/[\w.-]+|duibi help [\w-]+)`")


def links(page: Path) -> set[str]:
    return {link.partition("#")[0] for link in _LINK.findall(page.read_text("utf-8"))}


def test_what_a_page_leads_to_is_there() -> None:
    gone = {(page.name, link) for page in PAGES for link in links(page)}
    assert {(page, link) for page, link in gone if not _place(page, link).exists()} == set()


def _place(page: str, link: str) -> Path:
    (found,) = (one for one in PAGES if one.name == page)
    return found.parent / link


def test_a_page_that_a_text_names_is_there() -> None:
    topics = help_pages.find("en")
    sources = [*PAGES, *ROOT.glob("tui/**/*.py"), *ROOT.glob("tui/**/*.toml")]
    named = {name for path in sources for name in _NAMED.findall(path.read_text("utf-8"))}
    assert "duibi help report-templates" in named
    known = {f"duibi help {topic}" for topic in topics} | {"duibi help TOPIC", "duibi help COMMAND"}
    assert {name for name in named - known if not (ROOT / name).exists()} == set()


def test_every_topic_has_a_chinese_page_of_the_same_parts() -> None:
    """But for the format of files, for those who write programs."""
    english, chinese = help_pages.find("en"), help_pages.find("zh")
    assert {name for name in english if english[name] == chinese[name]} == {"session-format"}
    for name in english.keys() - {"session-format"}:
        parts = [_depths(pages[name]) for pages in (english, chinese)]
        # What a text can become repeats what strangers may do, and files no stranger needs.
        assert parts[0] == parts[1] or name == "security", name


def _depths(page: Path) -> list[int]:
    return [len(mark) for mark in re.findall(r"^(#+) ", page.read_text("utf-8"), re.MULTILINE)]


def test_a_chinese_page_leads_to_chinese_ones() -> None:
    """But for the one line that leads to the same page in English."""
    for page in (path for path in PAGES if path.name.endswith(".zh.md")):
        others = links(page) - {page.name.replace(".zh.md", ".md")}
        pages = {link for link in others if link.endswith(".md") and not link.endswith(".zh.md")}
        chinese = {link for link in pages if (page.parent / link).with_suffix(".zh.md").exists()}
        assert chinese == set(), page.name

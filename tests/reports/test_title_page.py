"""The lines of a title page: what a person writes there by hand stays in the next report."""

import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import cli
from tui.reports import own_words, title_facts
from tui.reports.document import TitlePage

QUESTIONS = [{"id": "one", "turns": ["第一题"]}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    head = recorded_header(["a@bf16"], QUESTIONS)
    return record_session(tmp_path / "s", head, lambda m, q: "好")


def report(path: Path, out: Path, lang: str = "zh") -> None:
    command = ["report", str(path), "--out", str(out), "--lang", lang, "--no-pictures"]
    assert cli.run_command_line(command) == 0


def change(file: Path, old: str, new: str) -> None:
    """As an editor would."""
    if file.suffix != ".docx":
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), "utf-8")
        return
    with zipfile.ZipFile(file) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    body = parts[own_words.BODY].decode()
    assert old in body
    parts[own_words.BODY] = body.replace(old, new, 1).encode()
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as package:
        for name, data in parts.items():
            package.writestr(name, data)
    file.write_bytes(made.getvalue())


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("r.md", "姓名：" + "\\_" * 12, "姓名：张<三> & 李*四*\n- 班级：软件 3 班"),
        (
            "r.docx",
            "姓名：</w:t></w:r>",
            "姓名：张&lt;三&gt; &amp; 李*四*</w:t><w:br/><w:t>班级：软件 3 班</w:t></w:r>",
        ),
        (
            "r.tex",
            "{}姓名 & \\underline{\\hspace{5cm}}",
            "{}姓名 & 张<三> \\& 李*四* \\\\[6pt]\n班级 & 软件 3 班",
        ),
        ("r.html", "- 姓名：", "- 姓名：张<三> & 李*四*\n- 班级：软件 3 班"),
    ],
)
def test_what_is_filled_in_by_hand_stays(
    name: str, old: str, new: str, path: Path, tmp_path: Path
) -> None:
    out = tmp_path / name
    beside = tmp_path / "r.words.md"
    report(path, out)
    change(beside if name == "r.html" else out, old, new)
    for _ in range(3):
        report(path, out)
        facts = own_words.gather(out).facts
        assert facts["author"].replace("\xa0", "").strip() == "张<三> & 李*四*"
        assert facts["班级"] == "软件 3 班"
    # It is the report's, whatever its format and its language.
    report(path, tmp_path / "r.md", "en")
    text = (tmp_path / "r.md").read_text("utf-8")
    assert "- author: 张\\<三> \\& 李\\*四\\*".lower() in text.lower() and "班级: 软件 3 班" in text
    # What is taken away again is a blank again.
    change(beside, "张\\<三> & 李*四*", "")
    report(path, tmp_path / "r.md")
    assert "姓名：" + "\\_" * 12 in (tmp_path / "r.md").read_text("utf-8")


def test_lines_that_nobody_touched_are_no_words(path: Path, tmp_path: Path) -> None:
    report(path, tmp_path / "r.md")
    assert own_words.gather(tmp_path / "r.md").facts == {}
    assert own_words.gather(tmp_path / "r.md").texts.keys() >= {"abstract", "conclusion"}


def test_what_wraps_belongs_to_its_line_and_there_is_an_end() -> None:
    page = TitlePage("t", "s", (("课程", ""), ("姓名", "甲")))
    assert title_facts.read(title_facts.shown(page, "："), {}) == {"author": "甲"}
    read = title_facts.read("lost\n- Course: a long\n  name: of it\n* 姓名：____", {"author": "x"})
    assert read == {"course": "a long", "name": "of it", "author": ""}
    assert title_facts.read("Course: a long\nname of it", {}) == {"course": "a long name of it"}
    many = "\n".join(f"n{i}: {i}" for i in range(999))
    assert len(title_facts.read(many, {})) == title_facts.MOST_FACTS

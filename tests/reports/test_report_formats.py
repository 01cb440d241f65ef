"""Every format of a report holds the same words and figures, and keeps what a person wrote."""

import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import docx
import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import cli
from tui import events as ev
from tui.events import RUN
from tui.host.errors import UserError
from tui.reports import latex, markdown, own_words, word
from tui.reports.document import (
    Document,
    Figure,
    Heading,
    Items,
    Paragraph,
    Place,
    QuestionTurn,
    Table,
)
from tui.reports.layout import SHIPPED, Template, find_template, lay_out
from tui.reports.paper_tables import narrow
from tui.reports.report import build_report
from tui.sessions import reader

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)
QUESTIONS: list[dict[str, Any]] = [
    {"id": "one", "category": "语言理解", "turns": ["第一题"], "checks": [{"contains": "0-0"}]},
    {"id": "two", "category": "逻辑", "turns": ["第二题"]},
]
LABELS = ["a_1@bf16", "b & c@int8", "c#3@int4"]


def answer(model: int, question: int) -> str:
    return f"**{model}-{question}** 的回答。\n\n1. 一\n2. `x = 100%_{{}}`\n\n```\n  y = \\x\n```\n"


def recorded(folder: Path) -> Path:
    extra: list[tuple[int, ev.Body]] = [
        (RUN, ev.Rated(0, "幽默感", 5)),
        (RUN, ev.Rated(2, "幽默感", 2)),
        (RUN, ev.Voted("one", 0, 2, "left")),
        (RUN, ev.Note("看着顺眼", 0, "person")),
        (0, ev.Measured(256, 64, ttft_ms=400.0, tpot_ms=9.0, prefill_tok_s=640.0)),
    ]
    return record_session(folder, recorded_header(LABELS, QUESTIONS), answer, extra)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return recorded(tmp_path / "s")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> reader.RecordedSession:
    return reader.read(recorded(tmp_path_factory.mktemp("recorded")))


@pytest.fixture(scope="module", params=["en", "zh"])
def document(session: reader.RecordedSession, request: pytest.FixtureRequest) -> Document:
    picture = "<svg xmlns='http://www.w3.org/2000/svg'/>"
    return build_report([session], request.param, {"one": picture})


def word_of(document: Document) -> bytes:
    return word.render(document, lambda _: PNG, "somebody")


def squeezed(text: str) -> str:
    return "".join(text.split())


def texts_of(document: Document) -> list[str]:
    """Every text that a reader must find."""
    found: list[str] = []
    for block in document.blocks:
        match block:
            case Heading(text=text) | Paragraph(text=text):
                found.append(text)
            case Items(lines=lines):
                found += lines
            case Table(title=title, head=head, rows=rows, notes=notes):
                found += [title, *head, *notes]
                found += [part for row in rows for cell in row for part in (cell.text, cell.detail)]
            case QuestionTurn(prompt=prompt, cards=cards):
                found.append(prompt)
                for card in cards:
                    found += [card.label, *card.lines, *card.remarks]
            case Place(hint=hint):
                found.append(hint)
            case Figure(title=title):
                found.append(title)
            case _:
                pass
    return [text for text in found if text]


def in_word(data: bytes) -> str:
    """All text of a Word document, whatever it stands in."""
    with zipfile.ZipFile(BytesIO(data)) as package:
        body = package.read("word/document.xml").decode()
    body = re.sub(r"<w:(br|tab)/>|</w:p>", " ", body)
    plain = re.sub(r"<[^>]*>", "", body)
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def in_latex(text: str) -> str:
    """What xelatex would set, by the rules of TeX for what the writer uses."""
    text = re.sub(r"(?m)^%.*$", "", text)
    text = re.sub(r"\\newline\{\}|\\allowbreak\{\}|\\mbox\{\}", "", text)
    for sign, made in sorted(latex._SIGNS.items(), key=lambda one: -len(one[1])):
        text = text.replace(made, f"\0{ord(sign)};")
    text = re.sub(r"\\(textbf|texttt|textit|section|subsection|subsubsection)\{", "", text)
    text = re.sub(r"[{}]", "", text)
    return re.sub(r"\0(\d+);", lambda match: chr(int(match[1])), text)


def test_every_word_and_figure_stands_in_each_format(document: Document) -> None:
    from tui.reports import html

    page = re.sub(r"<[^>]*>", "", html.render(document))
    page = unescape(page)
    plain = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown.render(document, "pictures"))
    made = {
        "html": page,
        "md": plain.replace("**", ""),
        "docx": in_word(word_of(document)),
        "tex": in_latex(latex.render(document, "pictures")),
    }
    for name, text in made.items():
        text = squeezed(text).replace("\u00a0", "")
        missing = [one for one in texts_of(document) if squeezed(one).replace("**", "") not in text]
        assert not missing, name


def test_word_has_headings_tables_pictures_and_contents(document: Document) -> None:
    made = docx.Document(BytesIO(word_of(document)))
    headings = [p.text for p in made.paragraphs if p.style and p.style.name.startswith("Heading")]
    assert headings == [b.text for b in document.blocks if isinstance(b, Heading)]
    tables = [b for b in document.blocks if isinstance(b, Table) and b.rows]
    answers = [b for b in document.blocks if isinstance(b, QuestionTurn)]
    assert len(made.tables) == len(tables) + len(answers)
    pictures = [b for b in document.blocks if isinstance(b, Figure)]
    assert len(made.inline_shapes) == len(pictures) > 1
    xml = made.element.xml
    assert 'TOC \\o "1-2"' in xml and made.core_properties.author == "somebody"
    stars = next(t for t in tables if "幽默感" in t.head or "Humour" in t.head)
    found = [[cell.text for cell in row.cells] for t in made.tables for row in t.rows]
    shown = narrow(stars)
    assert list(shown.head) in found
    for row in shown.rows:
        assert [f"{c.text}\n{c.detail}" if c.detail else c.text for c in row] in found


def test_nothing_but_the_table_of_contents_is_a_field(document: Document) -> None:
    xml = docx.Document(BytesIO(word_of(document))).element.xml
    assert xml.count("<w:instrText") == 1 and "r:id" not in xml.replace("r:embed", "")


def places(document: Document) -> dict[str, Place]:
    return {b.id: b for b in document.blocks if isinstance(b, Place)}


def report(path: Path, out: Path, *more: str) -> int:
    return cli.run_command_line(["report", str(path), "--out", str(out), "--no-pictures", *more])


def write_into(file: Path, hint: str, words: str) -> None:
    """What a person does: the hint goes, words come."""
    text = file.read_text("utf-8")
    assert f"*{hint}*" in text
    file.write_text(text.replace(f"*{hint}*", words), "utf-8")


def test_words_written_into_markdown_stay_and_go_into_other_formats(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.md"
    assert report(path, out) == 0
    hint = "Your own conclusion."
    write_into(out, hint, "Mine: **two** lines\nof *words*.")
    capsys.readouterr()
    for _ in range(2):
        assert report(path, out) == 0
        told = capsys.readouterr().err
        assert "Own words in 1 place are kept" in told and "nothing new" in told
        assert "Mine: **two** lines\nof *words*." in out.read_text("utf-8")
    assert report(path, tmp_path / "r.html") == 0
    assert "Mine: <strong>two</strong>" in (tmp_path / "r.html").read_text("utf-8")
    assert report(path, tmp_path / "r.docx") == 0
    assert "Mine: **two** lines" in in_word((tmp_path / "r.docx").read_bytes())


def test_words_of_the_file_beside_it_stand_in_every_format(path: Path, tmp_path: Path) -> None:
    out, beside = tmp_path / "r.html", tmp_path / "r.words.md"
    assert report(path, out) == 0
    write_into(beside, "Whom you thank.", "Grandma.")
    assert report(path, out, "--lang", "zh") == 0
    assert "Grandma." in out.read_text("utf-8") and "Grandma." in beside.read_text("utf-8")
    assert "Whom you thank" not in out.read_text("utf-8"), "a hint is in the report's language"


def test_words_changed_in_both_are_both_kept(path: Path, tmp_path: Path) -> None:
    out, beside = tmp_path / "r.md", tmp_path / "r.words.md"
    assert report(path, out) == 0
    for file, words in ((out, "in the report"), (beside, "in the file beside")):
        write_into(file, "Whom you thank.", words)
    assert report(path, out) == 0
    assert "in the file beside\n\nin the report" in out.read_text("utf-8")


def test_words_typed_into_word_stay(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.docx"
    assert report(path, out) == 0
    made = docx.Document(str(out))
    (hint,) = [
        node for node in made.element.body.iter() if node.tag.endswith("}t")
        if node.text == "Your own conclusion."
    ]  # fmt: skip
    hint.text = "I <b>prefer</b> the second & say why."
    made.save(str(out))
    assert report(path, out) == 0
    assert "I <b>prefer</b> the second & say why." in in_word(out.read_bytes())
    assert report(path, tmp_path / "r.html") == 0
    assert "I &lt;b&gt;prefer" in (tmp_path / "r.html").read_text("utf-8")


def test_words_in_latex_stay_latex(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.tex"
    assert report(path, out) == 0
    text = out.read_text("utf-8")
    out.write_text(re.sub(r"（Whom you thank.*）", r"\\emph{Grandma}", text), "utf-8")
    assert report(path, out) == 0 and "\\emph{Grandma}" in out.read_text("utf-8")
    assert report(path, tmp_path / "r.md") == 0
    assert "emph" not in (tmp_path / "r.md").read_text("utf-8")
    assert report(path, out) == 0 and "\\emph{Grandma}" in out.read_text("utf-8")


def test_words_whose_place_is_gone_are_kept_and_told(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.md"
    assert report(path, out) == 0
    write_into(out, "Whom you thank.", "Grandma.")
    assert report(path, out, "--template", "data") == 0
    assert "file beside it: thanks" in capsys.readouterr().err
    assert report(path, out) == 0 and "Grandma." in out.read_text("utf-8")


def test_what_is_new_is_told(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.md"
    head = recorded_header(LABELS, QUESTIONS)
    assert report(record_session(tmp_path / "t", head, answer), out) == 0
    assert report(path, out) == 0
    assert "Since the last report: stars +2; votes +1." in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"PK no zip", b"", b"\xff\xfe"])
def test_a_broken_report_is_not_written_over(
    path: Path, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.docx"
    out.write_bytes(content)
    assert report(path, out) == 2
    assert out.read_bytes() == content
    err = capsys.readouterr().err
    assert "r.docx cannot be read" in err and "Traceback" not in err


def test_the_facts_of_the_settings_stand_on_the_title_page(path: Path, tmp_path: Path) -> None:
    config = tmp_path / "duibi-config" / "duibi.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text('[report]\ntitle = "My report"\nauthor = "李 <雷>"\n', "utf-8")
    out = tmp_path / "r.docx"
    assert report(path, out, "--lang", "zh") == 0
    made = docx.Document(str(out))
    assert made.core_properties.author == "李 <雷>" and made.core_properties.title == "My report"
    assert "姓名：李 <雷>" in in_word(out.read_bytes())
    config.write_text('[report]\nautor = "x"\n', "utf-8")
    assert report(path, out) == 2


def test_what_was_answered_for_the_title_page_is_asked_for_once(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r.md"
    call = ["report", str(path), "--out", str(out), "--lang", "zh"]
    monkeypatch.setattr("sys.stdin", StringIO("我的 --> 标题\n\n2024001\n"))
    assert cli.run_command_line([*call, "--ask"]) == 0
    for format in ("md", "html"):
        assert cli.run_command_line([*call, "--format", format]) == 0
        text = out.read_text("utf-8")
        assert "2024001" in text and re.search(r"我的 --(\\>|&gt;|>) 标题", text), format
    monkeypatch.setattr("sys.stdin", StringIO("\n\n\n软件工程\n"))
    assert cli.run_command_line([*call, "--ask"]) == 0
    assert "2024001" in out.read_text("utf-8") and "课程：软件工程" in out.read_text("utf-8")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_templates_lay_out_what_is_there(document: Document, name: str) -> None:
    made = lay_out(document, find_template(name), {})
    headings = [b.text for b in made.blocks if isinstance(b, Heading)]
    assert headings and len(headings) == len(set(headings))
    bare = replace(document, charts=(), sections=(), models=(), uses=(), troubles=())
    assert lay_out(bare, find_template(name), {}).blocks


def test_a_value_is_never_a_line_of_the_template(document: Document) -> None:
    hostile = replace(document, title="x\n## heading\n[[place evil]] y\n- item \ue0000\ue001")
    source = "{{ title }}\n\n## {{ title }}\n\n- {{ title }}\n"
    source += "{% set t %}{{ title }}{% endset %}\n\n{{ t }}\n"
    for shipped in (True, False):
        made = lay_out(hostile, Template("mine", source, shipped), {})
        kinds = [type(block).__name__ for block in made.blocks]
        assert kinds == ["Paragraph", "Heading", "Items", "Paragraph"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{{ nothing.here }}", "is undefined"),
        ("{% for x in %}", "mine"),
        ("{{ title.__class__.__mro__ }}", "unsafe"),
        ("words {{ charts }} words", "within a line"),
        ("\ue000999\ue001", "no part of the report is called 999"),
        ("\ue000" + "9" * 5000 + "\ue001", "within a line"),
        ("{% for i in range(99999) %}{{ comparison }}\n{% endfor %}", "without end"),
        ("{% for i in range(99999) %}[[place a]] x\n{% endfor %}", "without end"),
        ("{% for i in range(99999) %}- x\n{% endfor %}", "without end"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}", "mine"),
    ],
)
def test_a_template_that_fails_is_told_in_a_line(
    document: Document, source: str, told: str
) -> None:
    with pytest.raises(UserError, match=told):
        lay_out(document, Template("mine", source, False), {})


HOSTILE = (
    "\\input{/etc/passwd} \\write18{id} $x$ % comment \\end{document}",
    "^^5cinput{x} {{{ }}} ~ # & _ ^",
    "]]> <w:p/> &amp; <![CDATA[ \x00\x0b\x1f\ud800\uffff",
    "{ HYPERLINK \"javascript:alert(1)\" } =cmd|'/c calc'!A0",
    "\u202egnp.exe\u2066",
    "[a](javascript:alert(1)) <script>alert(1)</script>",
    "- - - - - - - - - - deep\n" + "> " * 20 + "quote",
    "x" * 100_000,
    "| a | b |\n|---|---|\n| [1 | *2 |\n| [3] | \\\\ |",
)


@pytest.mark.parametrize(
    "render",
    [
        lambda document: in_word(word_of(document)),
        lambda document: in_latex(latex.render(document, "p")),
    ],
    ids=["docx", "tex"],
)
def test_hostile_answers_are_text_and_none_is_lost(
    tmp_path: Path, render: Callable[[Document], str]
) -> None:
    questions: list[dict[str, Any]] = [
        {"id": f"q{i}", "turns": [text]} for i, text in enumerate(HOSTILE)
    ]
    head = recorded_header([r"\m{1}&<x>", "[2]"], questions, title=HOSTILE[0])
    path = record_session(tmp_path, head, lambda _, q: HOSTILE[q])
    document = build_report([reader.read(path)], "en")
    shown = squeezed(render(document))
    for text in HOSTILE:
        words = re.findall(r"[\w/]+", text, re.ASCII)
        assert not [one for one in words if one not in shown], text[:40]
    commands = set(re.findall(r"\\[A-Za-z]+", latex.render(document, "p")))
    assert not commands & {"\\input", "\\write", "\\catcode", "\\def", "\\include", "\\openin"}
    assert latex.render(document, "p").count("\\end{document}") == 1


def word_file(text: str, encoding: str = "utf-8") -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("word/document.xml", text.encode(encoding))
    return made.getvalue()


def broken(data: bytes) -> bytes:
    """A file whose packed bytes are no longer what they were."""
    return data[:60] + bytes(byte ^ 0xFF for byte in data[60:90]) + data[90:]


@pytest.mark.parametrize(
    "data",
    [
        word_file('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        word_file('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "utf-16"),
        word_file("<a>" + "<b/>" * 4_000 + "</a>"),
        broken(word_file("<a>" + "words " * 99 + "</a>")),
        word_file("<a>" + "words " * 99 + "</a>").replace(b"\x08\0", b"\x63\0"),
    ],
    ids=["definitions", "definitions in UTF-16", "elements", "damaged", "unknown packing"],
)
def test_a_hostile_word_file_gives_no_words(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_words, "_MOST_MARKS", 2_000)
    out = tmp_path / "r.docx"
    out.write_bytes(data)
    with pytest.raises(UserError, match="no Word document"):
        own_words.gather(out)


@pytest.mark.parametrize(
    ("name", "mark"),
    [("r.md", "<!-- duibi:begin a 00000000 -->\n"), ("r.tex", "% duibi:begin a 00000000\n")],
)
def test_marks_that_are_never_closed_are_passed_over(name: str, mark: str, tmp_path: Path) -> None:
    """Each of them was looked for to the end of the file."""
    end = "<!-- duibi:end -->" if name.endswith("md") else "% duibi:end"
    out = tmp_path / name
    out.write_text(mark * 150_000 + f"words\n{end}\n")
    words = own_words.gather(out)
    assert [text.strip() for text in words.texts.values()] == ["words"]
    out.write_text(mark * 150_000)
    assert own_words.gather(out).texts == {}

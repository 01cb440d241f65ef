"""Question sets in spreadsheets, as Excel and others write them."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from tui import questions
from tui.cli import run_command_line as run
from tui.host.errors import UserError
from tui.questions import spreadsheet

NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
STRINGS = f"""<?xml version="1.0" encoding="UTF-8"?><sst {NS}>
<si><t>题目</t></si><si><t>答案</t></si><si><t>A</t></si><si><t>B</t></si>
<si><r><t>水的</t></r><r><rPr><b/></rPr><t xml:space="preserve">化学式？_x000D_
</t></r><rPh sb="0" eb="1"><t>みず</t></rPh></si></sst>"""
SHEET = f"""<?xml version="1.0"?><worksheet {NS}><sheetData>
<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>2</v></c><c r="C1" t="s"><v>3</v></c>
<c r="E1" t="s"><v>1</v></c></row>
<row r="2"/>
<row r="3"><c r="A3" t="s"><v>4</v></c><c r="B3" t="inlineStr"><is><t>H2O</t></is></c>
<c r="C3" t="str"><f>1</f><v>CO2</v></c><c r="E3" t="s"><v>2</v></c></row>
<row r="7"><c r="A7" t="inlineStr"><is><t>几？</t></is></c><c r="E7"><v>42</v></c></row>
</sheetData></worksheet>"""
EMPTY = (
    f"<worksheet {NS}><sheetData><row r='1'><c r='A1'><v>5</v></c></row></sheetData></worksheet>"
)


def book(**changed: str) -> bytes:
    parts = {"sharedStrings": STRINGS, "worksheets/sheet1": EMPTY, "worksheets/sheet2": SHEET}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in {**parts, **changed}.items():
            made.writestr(f"xl/{name}.xml", text)
    return out.getvalue()


def without_sheets() -> bytes:
    """A workbook alone."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("xl/workbook.xml", f"<!DOCTYPE a><workbook {NS}></workbook>")
    return packed.getvalue()


def load(folder: Path, data: bytes) -> questions.QuestionSet:
    path = folder / "set.xlsx"
    path.write_bytes(data)
    return questions.load(str(path))


def test_the_first_sheet_with_questions_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = load(tmp_path, book()).questions
    assert first.turns[0] == "水的化学式？\nA. H2O\nB. CO2\n请给出正确选项的字母。"
    assert first.checks == ({"choice": "A"},)
    assert (second.turns, second.reference) == (("几？",), ("42",))
    assert run(["questions", "check", str(tmp_path / "set.xlsx")]) == 0
    told = capsys.readouterr().out
    assert "Excel" in told and "题目 -> question" in told and "答案 -> reference answer" in told


LISTED = f"""<workbook {NS} xmlns:r="http://o/rel"><sheets>
<sheet name="Notes" sheetId="1" r:id="r1"/><sheet name="逻辑" sheetId="2" r:id="r3"/>
<sheet name="Trap" state="hidden" sheetId="3" r:id="r2"/><sheet name="知识" sheetId="4" r:id="r4"/>
</sheets></workbook>"""
RELATIONS = (
    "<Relationships>"
    + "".join(
        f'<Relationship Id="r{n}" Target="{"/xl/" if n == 4 else ""}worksheets/sheet{n}.xml"/>'
        for n in range(1, 5)
    )
    + "</Relationships>"
)


def small_sheet(*rows: tuple[str, ...]) -> str:
    cells = (
        "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in row) for row in rows
    )
    lines = "".join(f"<row>{line}</row>" for line in cells)
    return f"<worksheet {NS}><sheetData>{lines}</sheetData></worksheet>"


def test_every_sheet_with_questions_is_read_and_the_others_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {
        "workbook": LISTED,
        "worksheets/sheet2": small_sheet(("id", "question"), ("9", "hidden")),
        "worksheets/sheet3": small_sheet(("id", "题目"), ("1", "甲"), ("2", "乙")),
        "worksheets/sheet4": small_sheet(("id", "问题"), ("1", "丙"), ("3", "丁")),
    }
    data = io.BytesIO(book(**parts))
    with zipfile.ZipFile(data, "a") as made:
        made.writestr("xl/_rels/workbook.xml.rels", RELATIONS)
    found = load(tmp_path, data.getvalue()).questions
    assert [(one.id, one.turns[0]) for one in found] == [
        ("1", "甲"),
        ("2", "乙"),
        ("知识-1", "丙"),
        ("3", "丁"),
    ]
    file = str(tmp_path / "set.xlsx")
    assert run(["questions", "check", file, f"{file}#知识", f"{file}#Trap", f"{file}#Lost"]) == 2
    told = capsys.readouterr()
    for line in ("sheet 逻辑: 2 rows", "sheet Notes: not read", "sheet Trap: not read"):
        assert line in told.out
    assert f"{file}#知识: 2 questions" in told.out and f"{file}#Trap: 1 question," in told.out
    assert "no sheet is called Lost" in told.err and "take one of Notes, 逻辑, Trap" in told.err


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\xd0\xcf\x11\xe0" + bytes(99), "an old or protected spreadsheet"),
        (b"question,answer\na,b\n", "not a spreadsheet"),
        (book(**{"worksheets/sheet2": EMPTY}), "no sheet has a column of questions"),
        (book(sharedStrings=f"<sst {NS}></sst>"), "damaged"),
        (book(sharedStrings="<!DOCTYPE a [<!ENTITY b 'c'>]>" + STRINGS[38:]), "has a DOCTYPE"),
        (without_sheets(), "a spreadsheet without a sheet"),
        (book(**{"worksheets/sheet2": SHEET[:400]}), "not a spreadsheet"),
        (book()[:700], "not a spreadsheet"),
    ],
)
def test_anything_else_is_refused_by_name(data: bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told) as caught:
        load(tmp_path, data)
    assert caught.value.message.startswith(str(tmp_path)) and caught.value.next_step


def test_what_fills_the_memory_when_it_is_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreadsheet, "MAX_PART", 1 << 20)
    with pytest.raises(UserError, match="larger than 1 MB unpacked"):
        load(tmp_path, book(sharedStrings=STRINGS + " " * (2 << 20)))


def sheet(inner: str) -> bytes:
    """A book whose first row is a header of questions."""
    head = '<row r="1"><c r="A1" t="inlineStr"><is><t>question</t></is></c></row>'
    whole = f"<worksheet {NS}><sheetData>{head}{inner}</sheetData></worksheet>"
    return book(**{"worksheets/sheet1": whole})


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (sheet("<row>" + "<c/>" * 4_000 + "</row>"), "more than 1,000 cells"),
        (sheet("<a/>" * 4_000), "more than 1,000 cells"),
        (
            book(
                sharedStrings=f"<!--{' ' * 9_000}--><!DOCTYPE a [<!ENTITY b 'c'>]>" + STRINGS[38:]
            ),
            "not a spreadsheet",
        ),
    ],
    ids=["cells", "elements", "definitions behind a comment"],
)
def test_what_grows_when_it_is_parsed_is_refused(
    data: bytes, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty-four million bytes of empty cells were 1.5 GB and half a minute."""
    monkeypatch.setattr(spreadsheet, "_MOST_ELEMENTS", 1_000)
    with pytest.raises(UserError, match=told):
        load(tmp_path, data)


def test_all_sheets_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "MAX_PART", 1 << 20)
    blank = f"<worksheet {NS}><sheetData/></worksheet>{' ' * (700 << 10)}"
    with pytest.raises(UserError, match="larger than 1 MB unpacked"):
        load(tmp_path, book(**{"worksheets/sheet1": blank, "worksheets/sheet3": blank}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sheets")


@how(max_examples=150, deadline=None)
@given(st.integers(0, len(book()) - 1), st.binary(max_size=8))
def test_any_bytes_give_a_set_or_one_line(folder: Path, at: int, put: bytes) -> None:
    data = book()
    path = folder / "set.xlsx"
    path.write_bytes(data[:at] + put + data[at + len(put) :])
    try:
        questions.load(str(path))
    except UserError as error:
        assert error.message.startswith(str(path)) and "\n" not in error.message

"""Question files as others publish them: each is read, or refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from tui import cli, questions
from tui.host.errors import UserError
from tui.questions import Question

PHYSICS = (
    "id,question,A,B,C,D,answer\n0,哪一种结构负责光合作用?,线粒体,叶绿体,核糖体,细胞核,B\n"
    '1,"水的化学式是____。\n请选择",H2O,CO2,O2,NaCl,A\n'
)
"""As C-Eval's files: id,question,A,B,C,D,answer."""


def load(folder: Path, name: str, text: str | bytes) -> tuple[Question, ...]:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return questions.load(str(path)).questions


def load_row(folder: Path, row: Any) -> Question:
    (found,) = load(folder, "rows.jsonl", json.dumps(row) + "\n")
    return found


@pytest.mark.parametrize(
    "data",
    [
        PHYSICS.encode(),
        PHYSICS.encode("utf-8-sig"),
        PHYSICS.encode("gbk"),
        PHYSICS.encode("utf-16"),
        PHYSICS.replace("\n", "\r\n").encode(),
        PHYSICS.replace("\n", "\r").encode(),
        PHYSICS.replace(",", ";").encode(),
        PHYSICS.replace(",", "\t").encode(),
    ],
    ids=["utf-8", "bom", "gbk", "utf-16", "crlf", "cr", "semicolons", "tabs"],
)
def test_a_table_is_read_however_it_was_saved(data: bytes, tmp_path: Path) -> None:
    first, second = load(tmp_path, "physics_dev.csv", data)
    assert first.turns == (
        "哪一种结构负责光合作用?\nA. 线粒体\nB. 叶绿体\nC. 核糖体\nD. 细胞核\n"
        "请给出正确选项的字母。",
    )
    assert (first.id, first.reference, first.checks) == ("0", ("B",), ({"choice": "B"},))
    assert second.turns[0].startswith("水的化学式是____。\n请选择\nA. H2O")


def test_tables_of_cmmlu_and_mmlu_and_in_chinese(tmp_path: Path) -> None:
    (cmmlu,) = load(tmp_path, "a.csv", ",Question,A,B,C,D,Answer\n7,问?,一,二,三,四,D\n")
    assert (cmmlu.id, cmmlu.checks) == ("7", ({"choice": "D"},))
    (mmlu,) = load(tmp_path, "b.csv", "Which one?,a,b,c,d,C\n")
    assert mmlu.turns[0].startswith("Which one?\nA. a\n")
    assert mmlu.turns[0].endswith("Give the letter of the right option.")
    (own,) = load(tmp_path, "c.tsv", "类别\t题目\t答案\n地理\t中国的首都？\t北京\n")
    assert (own.category, own.turns, own.reference) == ("地理", ("中国的首都？",), ("北京",))


@pytest.mark.parametrize(
    ("row", "turns", "reference"),
    [
        ({"question_id": 1, "text": "How?", "category": "generic"}, ("How?",), ()),
        ({"system": "s", "query": "首都？", "response": "北京"}, ("首都？",), ("北京",)),
        ({"messages": [{"role": "user", "content": "hi"}]}, ("hi",), ()),
        ({"instruction": "To French", "input": "cat", "output": "chat"}, ("To French\n\ncat",),
         ("chat",)),
        ({"question_id": 1, "question": "惯性？", "reference": "性质"}, ("惯性？",), ("性质",)),
        ({"instruction": "c", "history": [["a", "b"]], "output": "d"}, ("a", "c"), ("", "d")),
        ({"prompt": ["a", "b"], "prompt_id": 3}, ("a", "b"), ()),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"},
                            {"from": "human", "value": "c"}, {"from": "gpt", "value": "d"}]},
         ("a", "c"), ("b", "d")),
        ([{"role": "user", "content": [{"type": "text", "text": "hi"}]}], ("hi",), ()),
        ({"input": [{"role": "user", "content": "2+2?"}], "ideal": "4"}, ("2+2?",), ("4",)),
        ({"question": "q", "answers": {"text": ["x", "y"], "answer_start": []}}, ("q",), ("x",)),
    ],
)  # fmt: skip
def test_records_of_published_files(
    row: Any, turns: tuple[str, ...], reference: tuple[str, ...], tmp_path: Path
) -> None:
    found = load_row(tmp_path, row)
    assert (found.turns, found.reference) == (turns, reference)


@pytest.mark.parametrize(
    ("row", "checks"),
    [
        ({"question": "q", "choices": ["x", "y"], "answer": 1}, ({"choice": "B"},)),
        ({"question": "q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "A"},
         ({"choice": "A"},)),
        ({"question": "q", "options": ["x", "y"], "answer": "y"}, ({"choice": "B"},)),
        ({"question": "q", "A": "x", "B": "y", "C": "z", "answer": ["A", "C"]}, ()),
        ({"question": "q", "A": "x", "B": "y"}, ()),
        ({"question": "q", "answer": "6 * 7 = 42\n#### 1,042"}, ({"number": 1042.0},)),
        ({"question": "q", "answer": "A"}, ()),
    ],
)  # fmt: skip
def test_answers_that_a_program_can_check(
    row: Any, checks: tuple[dict[str, Any], ...], tmp_path: Path
) -> None:
    assert load_row(tmp_path, row).checks == checks


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[{"query": "x"}, {"query": "y"}]'),
        ("a.json", '{"name": "n", "data": [{"query": "x"}, {"query": "y"}]}'),
        ("a.json", '["x", "y"]'),
        ("a.json", '{"query": "x"}\n{"query": "y"}\n'),
        ("a.jsonl", '[{"query": "x"},\n {"query": "y"}]'),
        ("a.txt", '{"query": "x"}\n{"query": "y"}\n'),
        ("a.txt", '[\n{"query": "x"},\n{"query": "y"}]\n'),
        ("a.txt", "id\tquestion\n1\tx\n2\ty\n"),
        ("a", "x\ny\n"),
        ("a.txt", "x\ry\r"),
    ],
)
def test_lists_of_questions_in_any_wrapping(name: str, text: str, tmp_path: Path) -> None:
    assert [found.turns for found in load(tmp_path, name, text)] == [("x",), ("y",)]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.xls", b"\xd0\xcf\x11\xe0", "a spreadsheet is not read"),
        ("a.parquet", b"PAR1", "'.parquet' is no format"),
        ("a.md", "# Questions\n", "'.md' is no format"),
        ("a.csv", "who,what\nx,y\n", "no column holds the question: 'who', 'what'"),
        ("a.csv", "你好吗\n再见\n", "no column holds the question: '你好吗'"),
        ("a.csv", "id,question\n1,a,b\n", "a.csv:2: 3 cells, 2 in the header"),
        ("a.csv", 'id,question\n1,a\n2,"b\n', "a.csv:3: a cell that has no end"),
        ("a.csv", "id,question\n1,a\n1,b\n", "a.csv:3: id '1' is taken by"),
        ("a.csv", "", "a.csv: no questions"),
        ("a.csv", b"question\nna\xefve caf\xe9 \xe9t\xe9\n", "a.csv:2: not UTF-8"),
        ("a.jsonl", '{"who": "x", "what": 1}', "a.jsonl:1: no field holds the question: 'who'"),
        ("a.jsonl", '{"messages": [{"role": "tool", "content": "x"}]}', "a message of role 'tool'"),
        (
            "a.jsonl",
            '{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}',
            "a message holds more than text",
        ),
        ("a.json", '{"task": "x", "dataset": "y"}', "no field holds the question: 'task'"),
        ("a.json", "[1, 2]", "a.json: question 1: not a JSON object"),
        ("a.json", '[{"text": "x"},\n oops]', "a.json:2: not JSON: column 2"),
        ("a.json", "[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_no_question_set_is_refused_by_name(
    name: str, text: str | bytes, told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, name, text)
    assert told in caught.value.message and "\n" not in caught.value.message


def test_what_was_read_from_where_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("q.csv").write_bytes(PHYSICS.replace(",answer", ",answer,note").encode("gbk"))
    assert cli.run_command_line(["questions", "check", "q.csv"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "q.csv: 2 questions, 2 turns: all right",
        "  CSV, GBK",
        "  question -> question",
        "  id -> id",
        "  answer -> reference answer",
        "  A, B, C, D -> options",
        "  2 answers are checked by program",
    ]
    Path("q.jsonl").write_text('{"query": "x", "response": "y", "note": 1}\n')
    assert cli.run_command_line(["questions", "check", "q.jsonl", "--lang", "zh"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  JSON 行, UTF-8",
        "  query -> 题目",
        "  response -> 参考答案",
        "  note -> 未读取",
    ]


def test_of_two_columns_of_one_name_the_first_is_read_and_the_other_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = load(tmp_path, "two.csv", "question,question,answer\na?,b?,c\n")
    assert (found.turns, found.reference) == (("a?",), ("c",))
    assert cli.run_command_line(["questions", "check", str(tmp_path / "two.csv")]) == 0
    assert "question (2) -> not read" in capsys.readouterr().out

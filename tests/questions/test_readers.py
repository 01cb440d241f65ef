"""Question sets: the built-in ones, files in four formats, and what is refused where."""

import json
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from tui import questions
from tui.host.errors import UserError
from tui.questions import QuestionSet
from tui.scoring.checks import parse_checks, run_keyed_checks


def write(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_built_in_sets_are_whole_and_survive_the_session_header() -> None:
    sets = {name: questions.load(name) for name in questions.BUILT_IN}
    assert {name: len(s.questions) for name, s in sets.items()} == {
        "tongji": 8,
        "fifty": 50,
        "english": 8,
        "smoke": 3,
    }
    assert sets["tongji"].questions[2].category == "逻辑推理"
    for one in sets.values():
        assert one.title and one.language
        assert QuestionSet.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_toml_with_everything(tmp_path: Path) -> None:
    found = questions.load(
        write(
            tmp_path,
            "mine.toml",
            'title = "Mine"\n[[question]]\nid = "x"\nturns = ["one", "two\\nlines"]\n'
            'system = ""\nreference = "r"\nchecks = [{contains = "a", min = 1}]\n'
            '[[question]]\ntext = "second"\n',
        )
    )
    assert (found.name, found.title) == ("mine", "Mine")
    first, second = found.questions
    assert (first.turns, first.system, first.reference) == (("one", "two\nlines"), "", ("r",))
    assert first.checks == ({"contains": "a", "min": 1},)
    assert (second.id, second.system) == ("2", None)


def test_mt_bench_lines_as_they_are(tmp_path: Path) -> None:
    rows = [
        {"question_id": 81, "category": "writing", "turns": ["a", "b"], "extra": 1},
        {"question_id": 101, "category": "reasoning", "turns": ["c"], "reference": ["d", "e"]},
    ]
    path = write(tmp_path, "question.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")
    found = questions.load(path)
    assert [(q.id, q.category, q.turns) for q in found.questions] == [
        ("81", "writing", ("a", "b")),
        ("101", "reasoning", ("c",)),
    ]
    assert found.questions[1].reference == ("d", "e")


def test_json_lines_with_a_head_and_separators_inside(tmp_path: Path) -> None:
    text = '{"name": "n", "language": "zh"}\n{"id": "a", "text": "x\u2028y"}\n'
    found = questions.load(write(tmp_path, "q.jsonl", text))
    assert (found.name, found.language) == ("n", "zh")
    assert found.questions[0].turns == ("x\u2028y",)


def test_plain_text_is_one_question_a_line(tmp_path: Path) -> None:
    found = questions.load(write(tmp_path, "q.txt", b"\xef\xbb\xbffirst?\r\n\r\n  second?  \r\n"))
    assert [(q.id, q.turns) for q in found.questions] == [("1", ("first?",)), ("2", ("second?",))]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "a.toml",
            '[[question]]\nid="a"\ntext="x"\n[[question]]\nid="a"\ntext="y"',
            "a.toml:4: id",
        ),
        ("a.toml", '[[question]]\ntext="x"\ncatgory="y"', "a.toml:3: unknown key 'catgory'"),
        ("a.toml", "[[question]]\ntext=1", "a.toml:1: turn 1: must be text, not a number"),
        ("a.toml", '[[question]]\ntext="x"\nturns=["y"]', "a.toml:1: give either text or turns"),
        ("a.toml", '[[question]]\ntext="\\u001b[2J"', "a.toml:1: turn 1: control character U+001B"),
        ("a.toml", '[[question]]\nid="a\\nb"\ntext="x"', "a.toml:1: id: must be one line"),
        ("a.toml", "[[question]]\nchecks=[1979-05-27]\ntext='x'", "a.toml:1: checks"),
        ("a.toml", 'name = "x"', "a.toml: no questions"),
        ("a.toml", "question = 3", "a.toml: no questions"),
        ("a.toml", 'name = "x"\nx = = 1', "a.toml:2: "),
        ("a.jsonl", '{"text": "x"}\n{oops', "a.jsonl:2: not JSON: column 2"),
        ("a.jsonl", '{"text": "x"}\n\n[1]', "a.jsonl:3: not a JSON object"),
        ("a.jsonl", '{"text": "\\ud800"}', "a.jsonl:1: turn 1: control character U+D800"),
        ("a.txt", b"fine\n\xff\xfe", "a.txt:2: not UTF-8"),
        ("a.txt", b"fine\nx\x1b]52;c;AA\x07", "a.txt:2: turn 1: control character U+001B"),
        ("a.txt", "x" * 100_001, "a.txt:1: turn 1: 100001 characters"),
        ("a.txt", "", "a.txt: no questions"),
        ("a.json", "[]", "a.json: no questions"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(
    tmp_path: Path, name: str, text: str | bytes, told: str
) -> None:
    with pytest.raises(UserError) as caught:
        questions.load(write(tmp_path, name, text))
    assert told in caught.value.message
    assert caught.value.exit_code == 2


def test_a_header_like_line_within_a_text_is_no_question(tmp_path: Path) -> None:
    text = "[[question]]\ntext='''\n[[question]]\n'''\n[[question]]\ntext=''\n"
    with pytest.raises(UserError, match=r"a\.toml:5: turn 1: is empty"):
        questions.load(write(tmp_path, "a.toml", text))


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_no_more_than_may_be_asked_is_kept(name: str, tmp_path: Path) -> None:
    row = "x\n" if name == "a.txt" else '{"text": "x"}\n'
    path = write(tmp_path, name, "\n" * 1000 + row * 10_000)
    assert len(questions.load(path).questions) == 10_000
    path = write(tmp_path, name, "\n" * 1000 + row * 1_000_000)
    tracemalloc.start()
    with pytest.raises(UserError, match=f"{name}:11001: more than 10000 questions"):
        questions.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80 << 20, "the file twice and 10,000 questions"


def test_an_unknown_set_names_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        questions.load("tonji")
    assert caught.value.next_step == "did you mean tongji?"
    with pytest.raises(UserError, match="there is no file"):
        questions.load("./nowhere.toml")


def test_a_foreign_header_is_checked_too() -> None:
    with pytest.raises(UserError, match="old session: question 1"):
        QuestionSet.from_json({"name": "x", "questions": [{"id": "a"}]}, "old session")


def test_the_fifty_questions_cover_six_dimensions_and_their_answers_pass_their_checks() -> None:
    chosen = questions.load("fifty")
    assert len(chosen.questions) == 50
    assert set(Counter(one.category for one in chosen.questions).values()) <= {8, 9}
    tasks = [
        (one.id, check, one.reference[0])
        for one in chosen.questions
        for check in parse_checks(one.checks)
    ]
    assert len({id_ for id_, _, _ in tasks}) >= 48 and all(q.reference for q in chosen.questions)
    failed = [
        (id_, str(result.check), result.reason)
        for id_, results in run_keyed_checks(tasks).items()
        for result in results
        if not result.passed
    ]
    assert failed == []
    # Nothing, and the question itself, pass few of them.
    empty = run_keyed_checks([(id_, check, "") for id_, check, _ in tasks])
    assert not [id_ for id_, results in empty.items() if all(one.passed for one in results)]

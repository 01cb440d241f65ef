"""Questions that are made of others: variables of a set, and promptfoo's prompts and tests."""

from pathlib import Path

import pytest

from tui import cli, questions
from tui.host.errors import UserError
from tui.questions import QuestionSet

PROMPTFOO = """
description: capitals
prompts:
  - "What is the capital of {{country}}? Answer in {{ language }}."
  - '[{"role": "system", "content": "Be short."}, {"role": "user", "content": "{{country}}?"}]'
providers: [openai:gpt-4o]
defaultTest:
  assert: [{type: llm-rubric, value: is right}]
  vars: {language: English}
tests:
  - vars: {country: France}
    assert: [{type: icontains, value: Paris}, {type: equals, value: "Paris, {{country}}"}]
  - vars: {country: [Norway, NO]}
    assert: [{type: contains-any, value: [Oslo, Kristiania]}, {type: is-json}]
"""


def bomb(depth: int) -> str:
    """Lists of ten times the list before, some hundred bytes in all."""
    rows = (f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10) if n else 'x'}]" for n in range(depth))
    return "\n".join(rows)


def load(folder: Path, name: str, text: str) -> QuestionSet:
    path = folder / name
    path.write_text(text)
    return questions.load(str(path))


def test_lists_are_combined_in_every_way(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "a.toml",
        '[variables]\ncity = ["北京", "上海"]\nyear = [2024, 2025]\n'
        '[[question]]\nid = "w"\ntext = "{city}的天气？"\nreference = "{city}: {sunny}"\n'
        '[[question]]\ntext = "{city} in {year}"\n[[question]]\ntext = "no { braces }"\n',
    )
    assert [(q.id, q.turns[0]) for q in found.questions] == [
        ("w-1", "北京的天气？"),
        ("w-2", "上海的天气？"),
        ("2-1", "北京 in 2024"),
        ("2-2", "北京 in 2025"),
        ("2-3", "上海 in 2024"),
        ("2-4", "上海 in 2025"),
        ("3", "no { braces }"),
    ]
    assert found.questions[0].reference == ("北京: {sunny}",)


def test_rows_stay_in_step_and_fill_checks(tmp_path: Path) -> None:
    text = (
        '{"name": "n", "variables": [{"c": "France", "k": "Paris"},'
        ' {"c": "Norway", "k": "Oslo"}]}\n'
        '{"turns": ["{c}?", "Sure?"], "checks": [{"contains": ["{k}", "x"], "turn": 1}]}\n'
    )
    first, second = load(tmp_path, "a.jsonl", text).questions
    assert first.turns == ("France?", "Sure?")
    assert second.checks == ({"contains": ["Oslo", "x"], "turn": 1},)


def test_promptfoo_is_every_test_with_every_prompt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = load(tmp_path, "promptfooconfig.yaml", PROMPTFOO)
    assert found.title == "capitals"
    assert [(q.system, q.turns[0]) for q in found.questions] == [
        (None, "What is the capital of France? Answer in English."),
        ("Be short.", "France?"),
        (None, "What is the capital of Norway? Answer in English."),
        ("Be short.", "Norway?"),
        (None, "What is the capital of NO? Answer in English."),
        ("Be short.", "NO?"),
    ]
    assert found.questions[0].reference == ("Paris, France",)
    assert found.questions[0].checks == ({"contains": "Paris"},)
    assert found.questions[2].checks == ({"contains": ["Oslo", "Kristiania"]}, {"json": True})
    assert cli.run_command_line(["questions", "check", str(tmp_path / "promptfooconfig.yaml")]) == 0
    said = capsys.readouterr().out
    assert "  promptfoo, UTF-8\n" in said and "  llm-rubric, providers -> not read\n" in said


def test_other_yaml_is_read_as_json_is(tmp_path: Path) -> None:
    found = load(tmp_path, "a.yml", "questions:\n- query: x\n  answer: no\n- y\n")
    assert [(q.turns, q.reference) for q in found.questions] == [(("x",), ("no",)), (("y",), ())]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "a.jsonl",
            '{"name": "n", "variables": {"a": "b"}}\n'
            f'{{"text": "{{a}}", "checks": {"[" * 900}{"]" * 900}}}',
            "checks",
        ),
        ("a.toml", 'variables = 3\n[[question]]\ntext = "x"', "variables: must be lists of texts"),
        ("a.toml", 'variables = {a = [[1]]}\n[[question]]\ntext = "{a}"', "must be lists of texts"),
        ("a.toml", 'variables = {a = ["x"]}\n[[question]]\ntext = "b"', "has the variable 'a'"),
        (
            "a.toml",
            f"variables = {{a = {list(range(200))}, b = {list(range(200))}}}\n"
            '[[question]]\ntext = "{a} {b}"',
            "a.toml:2: more than 10000 questions",
        ),
        (
            "a.toml",
            f'variables = {{a = ["{"x" * 5000}"]}}\n[[question]]\ntext = "{"{a}" * 1000}"',
            "more than 100000 characters",
        ),
        ("a.yaml", "task: mmlu\ndataset_path: x\n", "no field holds the question: 'task'"),
        ("a.yaml", "a: [b\n", "a.yaml:2: not YAML"),
        ("a.yaml", "a: b\n---\nc: d\n", "not YAML"),
        ("a.yaml", "[" * 5000, "not YAML"),
        ("a.yaml", "just words\n", "no questions"),
        ("a.yaml", bomb(9), "its aliases repeat too much"),
        ("a.yaml", bomb(7), "its aliases repeat too much"),
        ("a.yaml", "- &a {text: x, checks: [*a]}\n", "not YAML"),
        ("a.yaml", "prompts: file://prompts.txt\n", "'file://prompts.txt' is another file"),
        ("a.yaml", "prompts: [prompts/one.txt]\n", "'prompts/one.txt' is another file"),
        ("a.yaml", "prompts: [hi]\ntests: file://t.csv\n", "test 1: 'file://t.csv' is another"),
        ("a.yaml", "prompts: ['{{x}}']\n", "variable 'x' has no value"),
        ("a.yaml", "prompts: ['{{x | upper}}']\n", "does more than name variables"),
        ("a.yaml", "prompts: [{raw: [x]}]\n", "a prompt is no text"),
        ("a.yaml", "prompts: []\n", "no questions"),
    ],
)
def test_what_cannot_be_filled_in_is_refused(
    name: str, text: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, name, text)
    assert told in caught.value.message and "\n" not in caught.value.message


def test_too_much_text_is_not_called_too_many_questions(tmp_path: Path) -> None:
    long = "x" * 90_000
    many = f"a = {[str(n) for n in range(200)]}".replace("'", '"')
    with pytest.raises(UserError, match="characters in all questions"):
        load(tmp_path, "a.toml", f'[variables]\n{many}\n[[question]]\ntext = "{long} {{a}}"\n')

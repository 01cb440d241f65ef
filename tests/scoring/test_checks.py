"""Checks of answers by program, hostile ones included."""

from typing import Any

import pytest

from tui.scoring import sandbox
from tui.scoring.checks import CheckError, extract_choice, extract_number, parse_checks, run_checks

CODE = "看这里：\n```python\ndef f(x):\n    return x * x\n```\n完毕"


@pytest.mark.parametrize(
    ("table", "text", "passed"),
    [
        ({"contains": "HELLO"}, "well, hello there", True),
        ({"contains": ["猫", "狗"]}, "一只狗", True),
        ({"contains": "ABC"}, "ＡＢＣ", True),
        ({"contains": "猫"}, "一只狗", False),
        ({"not-contains": ["猫", "鱼"]}, "一只狗", True),
        ({"not-contains": "狗"}, "一只狗", False),
        ({"regex": r"^\d{4}年"}, "1907年建校", True),
        ({"regex": r"^\d{4}年$"}, "约1907年", False),
        ({"choice": "b"}, "答案是 B。因为 A 不对", True),
        ({"choice": "B"}, "B", True),
        ({"choice": "A"}, "A or B", False),
        ({"number": 1234.5}, "about 1,234.50 in all", True),
        ({"number": 42}, "7 times 6 is 41.9", False),
        ({"number": 42, "tolerance": 0.2}, "7 times 6 is 41.9", True),
        ({"number": -3}, "温度是 −3 还是 -3 度", True),
        ({"json": True}, '```json\n{"a": [1, 2]}\n```', True),
        ({"json": True}, "{'a': 1}", False),
        ({"python": True}, CODE, True),
        ({"python": True}, "```python\ndef f(:\n```", False),
        ({"length": [2, 4]}, "三个字", True),
        ({"length": [2, 4]}, "五个字的话", False),
    ],
)
def test_check(table: dict[str, Any], text: str, passed: bool) -> None:
    (result,) = run_checks([(parse_checks([table])[0], text)])
    assert (result.passed, result.reason) == (passed, "")


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"contains": ""},
        {"contains": "a", "regex": "b"},
        {"starts": "a"},
        {"choice": "AB"},
        {"number": True},
        {"number": "4"},
        {"length": [4, 2]},
        {"length": 4},
        {"json": False},
        {"regex": "a" * 3000},
        {"contains": "a", "turn": 0},
        {"number": 1, "tolerance": -1},
    ],
)
def test_what_is_no_check_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(CheckError):
        parse_checks([table])


def test_a_pattern_that_never_ends_costs_its_time_and_no_more() -> None:
    evil = parse_checks([{"regex": r"(a+)+$"}])[0]
    good = parse_checks([{"regex": "b"}])[0]
    results = run_checks([(good, "b"), (evil, "a" * 60 + "!"), (good, "b"), (good, "c")])
    assert [r.passed for r in results] == [True, False, True, False]
    assert [r.reason for r in results] == ["", sandbox.TIMED_OUT, "", ""]


@pytest.mark.parametrize(
    ("job", "outcome"),
    [
        (("regex", "(", "x"), {sandbox.BROKEN}),
        (
            ("regex", "((a{9999}){9999}){9999}", "a"),
            {*map(str, (sandbox.BROKEN, sandbox.TIMED_OUT))} | {sandbox.NOT_PASSED},
        ),
        (("python", "", "(" * 100_000), {sandbox.NOT_PASSED, sandbox.TIMED_OUT}),
        (("python", "", "-" * 190_000 + "1"), {sandbox.NOT_PASSED, sandbox.TIMED_OUT}),
        (("python", "", "x = 1\0"), {sandbox.NOT_PASSED}),
        (("python", "", "import os; os._exit(3)"), {sandbox.PASSED}),
    ],
)
def test_hostile_jobs_end_and_nothing_is_executed(job: sandbox.Job, outcome: set[str]) -> None:
    assert sandbox.run_jobs([job, ("regex", "b", "b")])[0] in outcome
    assert sandbox.run_jobs([job, ("regex", "b", "b")])[1] == sandbox.PASSED


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is (C).", "C"),
        ("选 D", "D"),
        ("**B**", "B"),
        ("I think A is wrong, B is right", ""),
        ("没有字母", ""),
        ("An apple", ""),
        ("应选Ａ", "A"),
    ],
)
def test_choice(text: str, letter: str) -> None:
    assert extract_choice(text) == letter


def test_numbers_that_are_none() -> None:
    assert extract_number("no number") is None
    assert extract_number("9" * 100_000) is None
    assert extract_number("x2 v1.2.3") is None or isinstance(extract_number("x2 v1.2.3"), float)

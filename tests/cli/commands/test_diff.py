"""``duibi diff``: what changed between two runs, and rules that fail."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tests.support.made_session import Made
from tui import cli
from tui import events as ev
from tui.board import fold
from tui.events import RUN
from tui.run import results

QUESTIONS = [
    {"id": f"q{i}", "category": f"第{i}类", "turns": [f"题 {i}"], "checks": [{"contains": "好"}]}
    for i in range(4)
]


def text(model: int, question: int) -> str:
    return f"好的，这是第 {question} 题的回答。" * 3


def changed(model: int, question: int) -> str:
    return text(model, question) if question < 2 else f"另一个答案 {question}"


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    head = recorded_header(["a@bf16", "b@int8"], QUESTIONS)
    stars: list[tuple[int, ev.Body]] = [(RUN, ev.Rated(0, "d", 4))]
    lower: list[tuple[int, ev.Body]] = [(RUN, ev.Rated(0, "d", 2))]
    before = record_session(tmp_path / "s", head, text, stars, speeds=[20, 20])
    after = record_session(tmp_path / "s", head, changed, lower, speeds=[10, 20])
    return [str(before), str(after)]


def test_what_changed_is_told(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command_line(["diff", *runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    a, b = found["models"]
    assert (a["before"], a["questions"], a["asked"]) == ("a@bf16", 4, 4)
    figures = a["figures"]
    assert figures["changed"]["change"] == 2
    assert figures["checks"] == {"before": 1.0, "after": 0.5, "change": -0.5}
    assert figures["stars"] == {"before": 4, "after": 2, "change": -2}
    assert figures["length"]["change"] < 1 and figures["incomplete"]["change"] == 0
    assert 0.5 < figures["similarity"]["change"] < 1
    assert [one["question"] for one in a["changed"]] == [3, 4]
    assert b["figures"]["stars"]["change"] is None
    assert cli.run_command_line(["diff", *runs]) == 0
    out = capsys.readouterr().out
    assert "a@bf16: 4 of 4 questions answered in both runs" in out
    assert "question 3 (第2类)" in out and "% the same" in out
    assert re.search(r"^cut +answers cut short +0 +0 +0$", out, re.MULTILINE)
    assert re.search(r"^checks +checks passed +100% +50% +-50%$", out, re.MULTILINE)
    assert re.search(r"^changed +changed answers +- +- +2$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("changed>0", 1),
        ("changed > 2", 0),
        ("similarity<90%", 1),
        ("checks<0", 1),
        ("tpot>=1.9", 1),
        ("tpot>2.1", 0),
        ("incomplete>0", 0),
        ("memory>1.5", 0),
    ],
)
def test_rules_decide_the_exit_code(
    runs: list[str], capsys: pytest.CaptureFixture[str], rule: str, code: int
) -> None:
    assert cli.run_command_line(["diff", *runs, "--fail-if", rule]) == code
    assert (f"{rule} holds for" in capsys.readouterr().err) == bool(code)


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (["--fail-if", "speed>1"], "one of changed, incomplete"),
        (["--fail-if", "e2e"], "no rule: 'e2e'"),
        (["--fail-if", "similarity<90"], "a share is at most 100%"),
        (["--fail-if", "stars<0"], "stars of b@int8 is not known in both runs"),
    ],
)
def test_a_rule_that_cannot_be_checked_is_an_error(
    runs: list[str], capsys: pytest.CaptureFixture[str], more: list[str], wanted: str
) -> None:
    assert cli.run_command_line(["diff", *runs, *more]) == 2
    assert wanted in capsys.readouterr().err


def test_runs_that_cannot_be_compared(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_command_line(["diff", runs[0], runs[0]]) == 2
    assert "the same run" in capsys.readouterr().err
    other = record_session(tmp_path / "o", recorded_header(["c", "d"], QUESTIONS), text)
    assert cli.run_command_line(["diff", runs[0], str(other)]) == 2
    assert "no model is in both runs" in capsys.readouterr().err
    fewer = record_session(tmp_path / "f", recorded_header(["a@bf16"], QUESTIONS[:2]), text)
    assert cli.run_command_line(["diff", runs[0], str(fewer)]) == 2
    assert "different questions" in capsys.readouterr().err


def test_one_model_each_is_compared_whatever_it_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [
        str(record_session(tmp_path / name, recorded_header([name], QUESTIONS), text))
        for name in ("demo@bf16", "demo@int8")
    ]
    assert cli.run_command_line(["diff", *both]) == 0
    out = capsys.readouterr().out
    assert out.startswith("demo@bf16 -> demo@int8: 4 of 4") and "similarity" in out


def test_what_was_not_the_same_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another machine, other sampling, one cut answer, and other threads in one question."""
    head = recorded_header(["a@bf16"], QUESTIONS)
    before = record_session(tmp_path / "b", head, text)
    other = replace(head, host={"cpu": {"model": "Xeon", "cores": 9}}, settings={"temperature": 1})
    cut = ev.Answered(0, "length", 30, 9, ttft_ms=1.0, e2e_ms=1.0, threads=7, chars_s=9.0)
    after = record_session(tmp_path / "a", other, text, [(0, cut)])
    both = [str(before), str(after)]
    assert cli.run_command_line(["diff", *both]) == 0
    out = capsys.readouterr().out
    assert "answered in both runs. Beware: answers cut short: before 0/4, after 1/4; tokens" in out
    assert "different machines (before: AMD EPYC, 2 cores; after: Xeon, 9 cores)" in out
    assert "threads (before: 2; after: 2, 7)" in out
    assert cli.run_command_line(["diff", *both, "--json"]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert model["beware"].startswith("Beware: answers cut short")
    # The first answer is the only one with other times, and its threads are others.
    assert model["figures"]["ttft"]["change"] == model["figures"]["e2e"]["change"] == 1


def test_a_rule_on_times_of_other_threads_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = []
    for threads in (2, 4):
        made = Made(tmp_path, models=1)
        for question in range(3):
            made.answer(0, question, threads=threads)
        runs.append(str(made.read().path))
    assert cli.run_command_line(["diff", *runs, "--fail-if", "e2e>1"]) == 2
    told = capsys.readouterr()
    assert "alpha: 3 of 3" in told.out
    assert "no question has e2e of alpha in both runs, undisturbed and on as many" in told.err


def test_times_and_memory_are_those_of_the_reports_where_questions_repeat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each question the mean of its answers, and memory with that of loading."""
    runs = []
    for factor in (1.0, 2.0):
        made = Made(tmp_path, models=1, questions=3)
        made.events.append((0, ev.Loaded(1.0, peak_private=int(3e9 * factor), peak_mapped=10**9)))
        for question, seconds in enumerate((1.0, 2.0, 30.0)):
            for repeat in range(3):
                made.answer(0, question, factor * seconds * (1 + repeat), repeat)
        runs.append(made.read())
    assert cli.run_command_line(["diff", *(str(run.path) for run in runs), "--json"]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    e2e, memory = (model["figures"][name] for name in ("e2e", "memory"))
    assert (e2e["before"], e2e["after"], e2e["change"]) == pytest.approx((4000, 8000, 2))
    assert (memory["before"], memory["after"], memory["change"]) == (4e9, 7e9, 1.75)
    for run, when in zip(runs, ("before", "after"), strict=True):
        ((_, glance),) = results.glances(fold(run.events))
        assert glance.figures["e2e"].value == pytest.approx(e2e[when] / 1000)
        speed = model["figures"]["chars_s"][when]
        assert glance.figures["chars_s"].value == pytest.approx(speed)


def test_memory_with_a_conversion_is_not_held_against_a_later_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is made once takes more memory while it is made."""
    paths = []
    for name, peak, stages in (("once", 622, ["convert"]), ("again", 478, []), ("third", 477, [])):
        made = Made(tmp_path / name, models=1)
        made.events += [(0, ev.Load(stage, 1, 2)) for stage in stages]
        made.events.append((0, ev.Loaded(1.0, peak_private=peak * 10**6)))
        paths.append(str(made.all_answered().read().path))
    once, again, third = paths
    assert cli.run_command_line(["diff", again, once, "--fail-if", "memory>1.2"]) == 2
    said = capsys.readouterr()
    assert "the peak of after holds the conversion of the file" in said.out
    assert "cannot be checked: memory of alpha holds the conversion of one run" in said.err
    assert cli.run_command_line(["diff", third, again, "--fail-if", "memory>1.2"]) == 0
    assert "conversion" not in capsys.readouterr().out

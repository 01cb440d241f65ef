"""``duibi report``, ``score`` and ``rank`` as a person calls them."""

import base64
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import html5lib
import pytest

from benchmarks.support import tiny
from benchmarks.support.fault_server import FaultServer, good_answer
from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import cli
from tui import events as ev
from tui.events import RUN
from tui.sessions import reader
from tui.sessions.journal import Journal

QUESTIONS = [
    {
        "id": "one",
        "category": "甲",
        "turns": ["第一题"],
        "checks": [{"contains": "0-0"}],
        "reference": "0-0 回答",
    },
    {"id": "two", "category": "乙", "turns": ["第二题"], "checks": [{"regex": "(((("}]},
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    extra: list[tuple[int, ev.Body]] = [
        (RUN, ev.Rated(0, "幽默感", 5)),
        (RUN, ev.Rated(2, "幽默感", 2)),
        (RUN, ev.Voted("one", 0, 2, "left")),
        (RUN, ev.Judged("one", 0, 2, "left", "demo@bf16", ["left", "left"], ["r", "r"])),
    ]
    head = recorded_header(["a@bf16", "b@fp32"], QUESTIONS)
    return record_session(tmp_path / "s", head, lambda m, q: f"{m}-{q} 回答" * 4, extra)


def test_a_session_that_is_still_written_is_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal.create(tmp_path, recorded_header(["a@bf16"], QUESTIONS))
    journal.append(1, 0, ev.Asked(0, "one", "第一题"))
    journal.append(2, 0, ev.Delta(0, 1, "正"))
    command = ["report", str(journal.path), "--lang", "zh", "--no-pictures"]
    assert cli.run_command_line(command) == 0
    assert "进行中：会话仍在录制" in (shown := capsys.readouterr().out)
    assert "**仍在回答**" in shown
    assert not [words for words in ("未正常结束", "中途中断", "个中断") if words in shown]
    assert cli.run_command_line(["sessions", "verify", str(journal.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "running"
    journal.close()
    assert cli.run_command_line(command) == 0
    assert "中断，未正常结束" in (shown := capsys.readouterr().out) and "中途中断" in shown


def test_a_question_that_was_asked_again_is_one_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where a run broke off and was resumed: 26 questions are drawn, 41 asked would not be."""
    questions = [{"id": f"q{i}", "turns": ["？"]} for i in range(26)]
    again: list[tuple[int, ev.Body]] = []
    for number in range(15):
        again += [(0, ev.Asked(100 + number, f"q{number}", "？"))]
        again += [(0, ev.Cancelled(100 + number))]
    head = recorded_header(["a@bf16"], questions)
    path = record_session(tmp_path, head, lambda m, q: "好", again)
    assert cli.run_command_line(["report", str(path), "--lang", "en", "--template", "brief"]) == 0
    assert "no pictures" not in capsys.readouterr().err
    assert cli.run_command_line(["report", str(path), "--lang", "en", "--no-pictures"]) == 0
    assert "a@bf16 was asked 26 questions; 26 answers in all" in capsys.readouterr().out


def test_each_format_by_the_name_of_the_file(path: Path, tmp_path: Path) -> None:
    for suffix in ("md", "html", "csv", "jsonl"):
        out = tmp_path / f"report.{suffix}"
        assert cli.run_command_line(["report", str(path), "--out", str(out), "--lang", "zh"]) == 0
        assert out.stat().st_size > 300
    assert (tmp_path / "report.md").read_text("utf-8").startswith("# 中文语义八问：2 个模型")
    html5lib.HTMLParser(strict=True).parse((tmp_path / "report.html").read_text("utf-8"))
    data = (tmp_path / "report.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf"), "spreadsheets need it for Chinese"
    sheet = list(csv.DictReader(data.decode("utf-8-sig").splitlines()))
    assert [row["题目"] for row in sheet] == ["one", "one", "two", "two"]
    assert {row["状态"] for row in sheet} == {"完成"} and "首字 ms" in sheet[0]
    lines = (tmp_path / "report.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["question"] for line in lines] == ["one", "one", "two", "two"]
    assert not list(tmp_path.glob(".report*")), "no half-written file stays"


def test_cast_plays_one_session(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run.cast"
    assert cli.run_command_line(["report", str(path), "--out", str(out)]) == 0
    head, *events = out.read_text("utf-8").splitlines()
    assert json.loads(head)["version"] == 3 and len(events) > 20
    copy = tmp_path / "copy.duibi"
    copy.write_bytes(path.read_bytes())
    assert cli.run_command_line(["report", str(path), str(copy), "--format", "cast"]) == 2
    assert "one session" in capsys.readouterr().err


def test_the_report_is_the_same_text_each_time(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for _ in range(2):
        assert cli.run_command_line(["report", str(path), "--format", "html"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and texts[0].startswith("<!DOCTYPE html>")


def size_of(png: bytes) -> tuple[int, int]:
    """Of a PNG, read from its header (ISO/IEC 15948, 11.2.2)."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and png[12:16] == b"IHDR"
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def test_the_panes_of_each_question_are_drawn(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert cli.run_command_line(["report", str(path), "--out", str(out), "--lang", "zh"]) == 0
    page = out.read_text("utf-8")
    assert page.count('<figure class="panes">') == 2 and "<img" not in page
    first, second = page.split('<figure class="panes">')[1:]
    assert "0-0" in first and "1-0" in first and "0-1" in second and "1-1" in second
    assert cli.run_command_line(["report", str(path), "--out", str(out), "--no-pictures"]) == 0
    assert '<figure class="panes">' not in out.read_text("utf-8")


def test_pictures_as_png_within_html_and_beside_markdown(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "the report.html"
    assert cli.run_command_line(["report", str(path), "--out", str(out), "--png"]) == 0
    panes = r'<img src="data:image/png;base64,([^"]+)" alt="The panes'
    held = re.findall(panes, out.read_text("utf-8"))
    pngs = [base64.b64decode(text) for text in held]
    assert len(pngs) == 2 and pngs[0] != pngs[1]
    assert all(size_of(png)[0] == 1600 and size_of(png)[1] > 500 for png in pngs)
    html5lib.HTMLParser(strict=True).parse(out.read_text("utf-8"))
    out = tmp_path / "the report.md"
    assert cli.run_command_line(["report", str(path), "--out", str(out), "--png"]) == 0
    assert "](the%20report-pictures/panes-2.png)" in out.read_text("utf-8")
    assert [p.read_bytes() for p in sorted(tmp_path.glob("*-pictures/panes-*.png"))] == pngs
    assert cli.run_command_line(["report", str(path), "--format", "md", "--png"]) == 2
    assert "--out" in capsys.readouterr().err


def test_without_the_extra_png_says_how_to_get_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    out = tmp_path / "report.html"
    assert cli.run_command_line(["report", str(path), "--out", str(out), "--png"]) == 2
    err = capsys.readouterr().err
    assert "pip install 'duibi[png]'" in err and "Traceback" not in err and not out.exists()


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (["--lang", "fr"], "fr"),
        (["--format", "pdf"], "pdf"),
        (["--out", "/nowhere/at/all.md"], "there is no folder"),
        (["no-such-session"], "no-such-session"),
    ],
)
def test_mistakes_are_one_line(
    path: Path, capsys: pytest.CaptureFixture[str], more: list[str], wanted: str
) -> None:
    assert cli.run_command_line(["report", str(path), *more]) == 2
    err = capsys.readouterr().err
    assert wanted in err and "Traceback" not in err and len(err.splitlines()) <= 2


@pytest.mark.parametrize("name", ["its own", "another.duibi", "copy.md", "link.md", "pipe.md"])
def test_no_session_and_no_pipe_is_written_over(
    name: str, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = path if name == "its own" else tmp_path / name
    match name:
        case "copy.md":
            shutil.copy(path, out)
        case "link.md":
            out.symlink_to(path)
        case "pipe.md":
            os.mkfifo(out)
    before = path.read_bytes(), out.lstat() if out.is_fifo() or out.exists() else None
    assert cli.run_command_line(["report", str(path), "--format", "md", "--out", str(out)]) == 2
    assert "--out" in capsys.readouterr().err
    after = path.read_bytes(), out.lstat() if out.is_fifo() or out.exists() else None
    assert before[0] == after[0] and (before[1] is None) == (after[1] is None)
    if before[1] and after[1]:
        assert before[1].st_ino == after[1].st_ino
    assert cli.run_command_line(["run", "pasted:me", "--out", str(out)]) == 2


@pytest.mark.parametrize("pictures", ["--pictures", "--no-pictures"])
def test_sessions_of_other_questions_make_no_report(
    path: Path, capsys: pytest.CaptureFixture[str], pictures: str
) -> None:
    head = recorded_header(["a@bf16", "b@fp32"], QUESTIONS[:1])
    other = record_session(path.parent, head, lambda m, q: f"{m}-{q}")
    assert cli.run_command_line(["report", str(path), str(other), pictures]) == 2
    told = capsys.readouterr().err
    assert "asked different questions" in told and "internal" not in told


def test_score_runs_checks_and_overlap(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command_line(["score", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    passed = {(r["model"], r["question"]): r["passed"] for r in found["checks"]["results"]}
    assert passed["a@bf16", "one"] and not passed["b@fp32", "one"]
    assert {r["reason"] for r in found["checks"]["results"] if r["question"] == "two"} == {"broken"}
    assert [row["model"] for row in found["overlap"]] == ["a@bf16", "b@fp32"]
    assert found["overlap"][0]["bleu"] > found["overlap"][1]["bleu"]
    assert cli.run_command_line(["score", str(path), "--checks"]) == 0
    assert "1/2" in capsys.readouterr().out


def test_rank_says_that_one_vote_decides_nothing(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_command_line(["rank", str(path)]) == 0
    out = capsys.readouterr().out
    few = "a@bf16 against b@fp32: no verdict from 1 question, it takes 6 at least"
    assert out.count(few) == 3 and "met on less than 6 questions" in out
    assert cli.run_command_line(["rank", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"votes", "stars", "judge demo@bf16"}
    assert found["votes"]["models"][0] == {
        "model": "a@bf16", "wins": 1, "ties": 0, "losses": 0, "share": 1.0,
        "rating": None, "rating_interval": None,
    }  # fmt: skip


def test_rank_says_what_was_not_the_same_and_names_a_ring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [{"id": f"q{i}", "turns": ["?"]} for i in range(8)]
    header = recorded_header(["a@bf16", "b@fp32", "c@int8"], asked)
    header.settings["sampling"] = "sample"  # without it a temperature has no effect
    header.models[0]["settings"] = {"temperature": 0.9}
    votes = [
        (RUN, ev.Voted(f"q{q}", 8 * left + q, 8 * right + q, "left"))
        for left, right in ((0, 1), (1, 2), (2, 0))
        for q in range(8)
    ]
    path = record_session(tmp_path, header, lambda m, q: "x", votes)
    assert cli.run_command_line(["rank", str(path), "--lang", "zh"]) == 0
    out = capsys.readouterr().out
    assert "人工投票：排不出名次，胜负成环" in out
    told = [line for line in out.splitlines() if " 对 " in line]
    assert sum("。注意：采样设置不同（" in line for line in told) == 2 and len(told) == 3


def test_rank_without_any_judgement_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record_session(tmp_path, recorded_header(["a@bf16"], QUESTIONS), lambda m, q: "x")
    assert cli.run_command_line(["rank", str(path)]) == 2
    assert "duibi rate" in capsys.readouterr().err


@pytest.mark.slow
def test_a_judge_without_any_readable_verdict_is_said_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A random model writes no verdict."""
    judge = tiny.write_llama(tmp_path / "judge", max_position_embeddings=8192)
    asked = [{"id": f"q{i}", "turns": ["?"]} for i in range(3)]
    header = recorded_header(["a@bf16", "b@bf16"], asked)
    # An answer without a text is not judged.
    session = record_session(tmp_path / "s", header, lambda m, q: ["yes", "", "no"][q])
    args = ["score", str(session), "--judge", str(judge), "--max-new-tokens", "3"]
    assert cli.run_command_line([*args, "--sessions", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "1/2 " in err and "no readable verdict on a@bf16 and b@bf16" in err
    assert "gave no readable verdict on 2 of 2 pairs; those do not count" in err
    assert "replies were cut at 3 tokens; --max-new-tokens gives more" in err


def test_what_a_judge_decided_is_told_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A judge that prefers the first answer: every verdict changes with the order."""
    asked = [{"id": f"q{i}", "turns": ["?"]} for i in range(3)]
    header = recorded_header(["a@bf16", "b@bf16"], asked)
    session = record_session(tmp_path / "s", header, lambda m, q: f"{m} {q}")
    with FaultServer(good_answer("[[", "A]]")) as server:
        args = ["score", str(session), "--judge", f"{server.url}#j", "--sessions", str(tmp_path)]
        assert cli.run_command_line([*args, "--lang", "zh"]) == 0
        out = capsys.readouterr().out
        assert [line.split()[-5:] for line in out.splitlines()] == [
            ["模型", "对手", "胜", "平", "负"],
            ["a@bf16", "b@bf16", "0", "3", "0"],
        ]
        assert cli.run_command_line([*args, "--json"]) == 0
        (told,) = json.loads(capsys.readouterr().out)["judged"]
    assert (told["left"], told["wins"], told["ties"], told["losses"]) == ("a@bf16", 0, 3, 0)


def test_judge_with_nothing_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record_session(tmp_path, recorded_header(["a@bf16"], QUESTIONS), lambda m, q: "x")
    assert cli.run_command_line(["score", str(path), "--judge", "demo"]) == 2
    assert "two complete answers" in capsys.readouterr().err


def test_report_command_does_not_load_what_it_does_not_draw() -> None:
    code = "import sys, tui.cli.commands.report; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pygal", "jinja2", "sacrebleu", "torch", "textual"} & set(out.stdout.split())


@pytest.mark.slow
def test_the_demo_model_judges_end_to_end(path: Path, tmp_path: Path) -> None:
    from benchmarks.support.demo import link_demo
    from tui.host import paths

    link_demo(paths.cache_dir())
    before = len(reader.read(path).events)
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Only brevity counts.", "utf-8")
    args = [
        "score",
        str(path),
        "--judge",
        "demo@bf16",
        "--rubric",
        str(rubric),
        "--max-new-tokens",
        "16",
    ]
    code = cli.run_command_line(args)
    reading = reader.read(path)
    judged = [e.body for e in reading.events[before:] if isinstance(e.body, ev.Judged)]
    assert reading.verdict == "complete" and len(judged) == 2
    assert code == all(event.choice == "none" for event in judged), "it fails without any verdict"
    for event in judged:
        assert event.judge == "demo@bf16" and len(event.verdicts) == 2
        assert event.choice in ("left", "right", "tie", "none") and all(event.reasons)
        assert event.same_family, "both contestants are of the judge's family"

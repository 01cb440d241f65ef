"""Whether a model still knew what was said before: figures of the later turns alone."""

from pathlib import Path
from typing import Any

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import events as ev
from tui.events import RUN
from tui.reports.document import Table
from tui.reports.report import build_report
from tui.sessions import reader

QUESTIONS: list[dict[str, Any]] = [
    {
        "id": f"q{n}",
        "turns": ["我叫小明", "我叫什么？"],
        "checks": [{"contains": "小明"}, {"contains": "好", "turn": 1}],
    }
    for n in range(4)
]


def table_of(path: Path, lang: str) -> Table | None:
    tables = build_report([reader.read(path)], lang).comparison
    titles = ("多轮对话中的上下文保持", "Context kept over several turns")
    return next((table for table in tables if table.title in titles), None)


def later_turns(number: int, model: int, question: int, text: str) -> list[tuple[int, ev.Body]]:
    return [
        (model, ev.Asked(number, f"q{question}", "我叫什么？", 1)),
        (model, ev.Started(number, dropped_turns=question % 2)),
        (model, ev.Delta(number, 1, text)),
        (model, ev.Answered(number, "stop")),
        (RUN, ev.Rated(number, "语言理解", 4)),
    ]


def test_checks_stars_and_lost_turns_count_after_the_first_turn(tmp_path: Path) -> None:
    extra: list[tuple[int, ev.Body]] = [(RUN, ev.Rated(0, "语言理解", 1))]
    for question in range(4):
        extra += later_turns(100 + question, 0, question, "小明" if question else "忘了")
    # Asked again, and right by then: once, as the newest answer.
    extra += later_turns(200, 0, 0, "是小明")
    extra += [(1, ev.Asked(300, "q0", "我叫什么？", 1)), (1, ev.Failed("x", "gone", answer=300))]
    head = recorded_header(["a@bf16", "b@bf16"], QUESTIONS)
    path = record_session(tmp_path, head, lambda m, q: "好", extra)
    table = table_of(path, "zh")
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["a@bf16", "4/4", "100%", "10.0", "4.00", "2"],
        ["b@bf16", "0/1", "–", "–", "–", "0"],
    ]
    assert table.rows[0][2].detail == "4/4" and table.rows[0][4].detail == "n=4"


def test_without_a_conversation_there_is_no_table(tmp_path: Path) -> None:
    head = recorded_header(["a@bf16"], QUESTIONS)
    path = record_session(tmp_path, head, lambda m, q: "好")
    assert table_of(path, "en") is None

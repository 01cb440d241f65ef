"""Several sessions in one report, and what it says of trouble."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import events as ev
from tui.events import RUN
from tui.host.errors import UserError
from tui.reports.merge import MergedSessions, merge_sessions
from tui.reports.report import build_report
from tui.sessions import reader
from tui.sessions.journal import Journal

QUESTIONS = [
    {"id": "one", "category": "甲", "turns": ["第一题"]},
    {"id": "two", "category": "乙", "turns": ["第二题"]},
]


def answers(model: int, question: int) -> str:
    return f"{model}-{question} 回答" * 4


def at(second: int, labels: list[str]) -> ev.Session:
    """The header of a run of its own."""
    header = recorded_header(labels, QUESTIONS)
    return replace(header, started=f"2026-11-22T05:00:{second:02}Z")


def merged_of(*paths: Path) -> MergedSessions:
    return merge_sessions([reader.read(path) for path in paths])


def test_models_of_different_days_stand_in_one_table(tmp_path: Path) -> None:
    first = record_session(tmp_path, recorded_header(["a@bf16"], QUESTIONS), answers)
    second = record_session(tmp_path, recorded_header(["b@bf16", "c@bf16"], QUESTIONS), answers)
    merged = merged_of(first, second)
    assert [c.label for c in merged.columns] == ["a@bf16", "b@bf16", "c@bf16"]
    assert [row.id for row in merged.rows] == ["one", "two"]
    document = build_report([reader.read(first), reader.read(second)], "en")
    assert [c.label for c in document.sections[0].turns[0].cards] == ["a@bf16", "b@bf16", "c@bf16"]
    assert len(document.run) == 3


def test_the_same_model_again_is_the_same_column_with_more_answers(tmp_path: Path) -> None:
    paths = [record_session(tmp_path, at(second, ["a@bf16"]), answers) for second in range(3)]
    merged = merged_of(*paths)
    (column,) = merged.columns
    assert len(column.answers) == 6 and len(column.loads) == 3
    document = build_report([reader.read(p) for p in paths], "en")
    (card,) = document.sections[0].turns[0].cards
    assert "2 further answers to this are in the figures" in card.lines


def test_other_settings_make_another_column(tmp_path: Path) -> None:
    first = record_session(tmp_path, recorded_header(["a@bf16"], QUESTIONS), answers)
    other = recorded_header(
        ["a@bf16"], QUESTIONS, {"max_new_tokens": 128, "sampling": "sample", "seed": 1}
    )
    merged = merged_of(first, record_session(tmp_path, other, answers))
    assert [c.label for c in merged.columns] == ["a@bf16", "a@bf16 (2)"]
    same = recorded_header(
        ["a@bf16"], QUESTIONS, {"max_new_tokens": 128, "sampling": "greedy", "repeat": 2}
    )
    assert len(merged_of(first, record_session(tmp_path, same, answers)).columns) == 1


def test_one_model_twice_in_a_run_stays_two_columns(tmp_path: Path) -> None:
    path = record_session(tmp_path, recorded_header(["a@bf16", "a@bf16"], QUESTIONS), answers)
    assert [c.label for c in merged_of(path).columns] == ["a@bf16", "a@bf16 (2)"]
    assert len(merged_of(path, path).columns) == 2


def test_files_of_one_run_count_once_and_all_that_was_judged_counts(tmp_path: Path) -> None:
    shared: list[tuple[int, ev.Body]] = [(RUN, ev.Rated(0, "d", 2, "li"))]
    first = record_session(tmp_path, at(0, ["a@bf16", "b@bf16"]), answers, shared)
    copy = tmp_path / "copy.duibi"
    shutil.copy(first, copy)
    for path, body in (
        (first, ev.Rated(0, "d", 3, "li")),
        (copy, ev.Rated(0, "d", 5, "wang")),
        (copy, ev.Voted("one", 0, 2, "left", "wang")),
    ):
        journal = Journal.reopen(path)
        journal.append(journal.last_us, RUN, body)
        journal.close()
    other = record_session(tmp_path, at(9, ["a@bf16", "b@bf16"]), answers)
    for order in ((first, copy, other), (copy, first, other)):
        merged = merged_of(*order)
        assert [len(column.answers) for column in merged.columns] == [4, 4]
        board = merged.sources[0].board
        assert board.answers[0].ratings == {("li", "d"): 3, ("wang", "d"): 5}
        assert list(board.ballots.values()) == ["left"]
    document = build_report([reader.read(p) for p in (first, copy, other)], "en")
    (said,) = [line for line in document.troubles if "of the same run as" in line]
    assert first.name in said and "copy.duibi" in said


def test_other_questions_are_refused_by_name(tmp_path: Path) -> None:
    first = record_session(tmp_path, recorded_header(["a@bf16"], QUESTIONS), answers)
    second = record_session(tmp_path, recorded_header(["b@bf16"], QUESTIONS[:1]), answers)
    with pytest.raises(UserError, match="asked different questions") as caught:
        merged_of(first, second)
    assert first.name in str(caught.value) and second.name in str(caught.value)


def test_votes_of_several_sessions_on_a_question_are_one_unit(tmp_path: Path) -> None:
    votes = [
        [(RUN, ev.Voted("one", 0, 2, "left")), (RUN, ev.Voted("two", 1, 3, choice))]
        for choice in ("bad", "right", "left")
    ]
    paths = [
        record_session(tmp_path, at(second, ["a@bf16", "b@bf16"]), answers, vote)
        for second, vote in enumerate(votes)
    ]
    document = build_report([reader.read(p) for p in paths], "en")
    (table,) = [t for t in document.comparison if t.title.startswith("Votes")]
    assert [cell.text for cell in table.rows[0][2:5]] == ["1", "1", "0"]


def test_trouble_is_told(tmp_path: Path) -> None:
    cut = ev.Answered(90, "length", 5, 6, contended=True, token_source="estimate", batch=4)
    extra: list[tuple[int, ev.Body]] = [
        (0, ev.Asked(90, "one", "第一题", turn=0)),
        (0, ev.Started(90, dropped_turns=2)),
        (0, ev.Delta(90, 1, "cut")),
        (0, cut),
        (0, ev.Asked(91, "typed", "自由提问")),
        (0, ev.Started(91)),
        (0, ev.Delta(91, 1, "half")),
        (0, ev.Cancelled(91)),
        (1, ev.Asked(92, "typed", "自由提问")),
        (1, ev.Failed("out_of_memory", "killed: out of memory", answer=92)),
        (1, ev.Failed("crashed", "the worker died")),
        (RUN, ev.Note("does not fit together: one at a time")),
    ]
    path = record_session(
        tmp_path, recorded_header(["a@bf16", "b@bf16"], QUESTIONS), answers, extra, status=""
    )
    path.write_bytes(path.read_bytes() + b"half a li")
    document = build_report([reader.read(path)], "en")
    troubles = "\n".join(document.troubles)
    for wanted in (
        "torn: 9 bytes",
        "one at a time",
        "a@bf16: cut at the token limit (answers: 1; questions 1)",
        "a@bf16: contended: it did not have its cores for itself (answers: 1; questions 1)",
        "a@bf16: token count estimated (answers: 1; questions 1)",
        "a@bf16: 2 oldest turns did not fit the context (answers: 1; questions 1)",
        "a@bf16: cancelled, as far as it came (answers: 1; questions 3)",
        "b@bf16: failed: killed: out of memory (answers: 1; questions 3)",
        "b@bf16: the model failed: the worker died",
        "No answer was rated",
    ):
        assert wanted in troubles
    free = document.sections[2].turns[0]
    assert free.prompt == "自由提问" and [c.text for c in free.cards] == ["half", ""]
    assert document.conclusion[0] == (
        "a@bf16 gave 2 of 3 answers (1 cut short, 0 empty, 0 failed, 1 cancelled or broken off; "
        "1 asked for again)."
    )


def test_contended_times_are_no_conclusion(tmp_path: Path) -> None:
    extra: list[tuple[int, ev.Body]] = [
        (model, body)
        for model in (0, 1)
        for body in (
            ev.Asked(90 + model, "x", "?"),
            ev.Answered(90 + model, "stop", 5, 6, e2e_ms=1e3 + model, contended=True),
        )
    ]
    path = record_session(tmp_path, recorded_header(["a@bf16", "b@bf16"], []), answers, extra)
    sentences = build_report([reader.read(path)], "en").conclusion
    assert any("no answer of a@bf16, b@bf16 had its cores for itself" in s for s in sentences)
    assert not any(s.startswith("Fastest") for s in sentences)


def test_several_turns_stand_under_one_question(tmp_path: Path) -> None:
    questions = [{"id": "q", "turns": ["first", "second"]}]
    extra: list[tuple[int, ev.Body]] = [
        (0, ev.Asked(5, "q", "second", turn=1)),
        (0, ev.Started(5)),
        (0, ev.Delta(5, 1, "again")),
        (0, ev.Answered(5, "stop", output_tokens=1)),
    ]
    path = record_session(
        tmp_path, recorded_header(["a@bf16", "b@bf16"], questions), answers, extra
    )
    (section,) = build_report([reader.read(path)], "en").sections
    assert [turn.prompt for turn in section.turns] == ["first", "second"]
    assert [card.text for card in section.turns[1].cards] == ["again", ""]
    assert section.turns[1].cards[1].remarks == ("no answer",)


def test_a_session_without_any_answer_is_a_report_too(tmp_path: Path) -> None:
    journal_only = record_session(tmp_path, recorded_header(["a@bf16"], []), answers)
    document = build_report([reader.read(journal_only)], "zh")
    assert document.sections == () and "没有完整的回答" in document.conclusion[-1]


def test_pictures_stand_under_their_question(tmp_path: Path) -> None:
    from tui.reports import html, markdown
    from tui.reports.pictures import picture_files

    path = record_session(tmp_path, recorded_header(["a@bf16"], QUESTIONS), answers)
    picture = (
        '<svg xmlns="http://www.w3.org/2000/svg"><script>bad()</script><text>pane</text></svg>'
    )
    document = build_report([reader.read(path)], "en", {"two": picture})
    assert document.sections[0].picture is None and (found := document.sections[1].picture)
    assert "pane" in found.svg and "bad" not in found.svg
    assert found.svg in html.render(document)
    assert picture_files(document, "svg")["panes-2.svg"] == found.svg
    assert "](beside/panes-2.svg)" in markdown.render(document, "beside")
    assert "panes-2" not in markdown.render(document), "without a folder there are none"


def test_an_unknown_language_is_told(tmp_path: Path) -> None:
    path = record_session(tmp_path, recorded_header(["a@bf16"], QUESTIONS), answers)
    with pytest.raises(UserError, match="fr"):
        build_report([reader.read(path)], "fr")

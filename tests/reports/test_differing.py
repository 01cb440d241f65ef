"""Where answers differ, and what went wrong with them."""

import math
from pathlib import Path

from tests.support.made_session import Made, made_apart, sentence
from tui import events as ev
from tui.reports import html, markdown
from tui.reports.report import build_report


def test_where_they_differ_is_listed_the_most_different_first(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=4)
    for q in range(4):
        made.answer(0, q, text="same" * (3 if q == 2 else 1))
        made.answer(1, q)
    made.stars(0, [None, 5, None, 5])
    made.stars(1, [None, 4, None, 1])
    made.votes(0, 1, ["tie", "tie", "tie", "left"])
    (table,) = [t for t in made.document().comparison if t.title.startswith("Where they differ")]
    assert table.head == (
        *("Question", "Gap in stars", "Votes and verdicts that prefer one"),
        *("Longest to shortest", "Slowest to fastest"),
    )
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["4. q3", "4.00", "100%", "×1.00", "×1.00"],
        ["3. q2", "–", "0%", "×3.00", "×1.00"],
        ["2. q1", "1.00", "0%", "×1.00", "×1.00"],
    ]
    assert table.notes == (
        "On 1 more question the complete answers, and what was said of them, are the same.",
    )


def test_where_a_format_changes_the_answer_both_choices_are_shown(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=3).all_answered()
    for model, head in enumerate(made.header.models):
        head["name"] = f"demo@{('bf16', 'int8')[model]}"
    tokens = {0: ["the", " cat", " sat"], 1: ["the", " dog", " sat"]}
    for model, words in tokens.items():
        for q in (0, 1):
            for i, word in enumerate(words):
                chosen = word if q else tokens[0][i]
                top: list[object] = [[chosen, math.log(0.6)], [" cow", math.log(0.25)], "odd", [3]]
                said = ev.Logprobs(made.id(model, q), chosen, math.log(0.6), top)
                made.events.append((model, said))
    (table,) = [t for t in made.document().comparison if t.title.startswith("Where a format")]
    (row,) = [[cell.text for cell in row] for row in table.rows]
    assert row == [
        *("2. q1", "2", "the", "alpha", "“ cat” 60.0%, “ cow” 25.0%"),
        *("beta", "“ dog” 60.0%, “ cow” 25.0%"),
    ]
    assert table.notes == ()
    second = made.header.models[1]
    # Another checkpoint, the same format, another question: not the format alone.
    for other in ({"name": "another@int8"}, {"dtype": "alpha"}, {"settings": {"system": "Hm"}}):
        made.header.models[1] = second | other
        assert not [t for t in made.document().comparison if t.title.startswith("Where a format")]


def test_odd_probabilities_are_shown_as_far_as_they_make_sense(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=1).all_answered()
    made.header.settings["sampling"] = "sample"
    for head in made.header.models:
        head["name"] = f"demo@{head['dtype']}"
    odd: list[object] = [["\x1b[2J|", -9999.0], ["<b>", -(10**400)], ["\n", math.nan], None]
    for model, token in enumerate(("a", "b")):
        made.events.append((model, ev.Logprobs(made.id(model, 0), token, None, odd)))
    for lang, chosen, chance in (
        ("en", "chosen: “b”", "at random"),
        ("zh", "实际选择：“b”", "随机"),
    ):
        document = made.document(lang)
        (table,) = [t for t in document.comparison if "token" in t.title]
        assert table.rows[0][6].text == "“␛[2J|” 0.0%, “<b>” 0.0%"
        assert table.rows[0][6].detail == chosen and chance in table.notes[0]
        assert "&lt;b&gt;” 0.0%" in html.render(document)
        assert "\x1b" not in html.render(document) + markdown.render(document)


def test_answers_that_repeat_themselves_are_told_by_the_earliest(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=3)
    for q in range(3):
        made.answer(0, q, finish="repetition", repeats_from=(40, 9, 120)[q])
        made.answer(1, q, contended=True, contended_by="programs", lost=(0.5, 0.09, 0.2)[q])
    troubles = made.document().troubles
    assert sentence(troubles, "alpha") == (
        "alpha: stopped: it repeats itself, since token 9 at the earliest "
        "(answers: 3; questions 1–3)"
    )
    assert "other programs took 50% of its cores, at worst" in sentence(troubles, "beta")


def test_what_happened_to_an_answer_several_times_is_one_line(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=1).all_answered()
    for text in ("the worker makes no progress", "the worker answers again") * 3:
        made.events.append((0, ev.Note(text, 0)))
    made.events.append((0, ev.Note("once", 0)))
    (turn,) = made.document().sections[0].turns
    assert [line for line in turn.cards[0].lines if line.startswith("Note")] == [
        "Note: the worker makes no progress (×3)",
        "Note: the worker answers again (×3)",
        "Note: once",
    ]


def test_greedy_answers_that_are_not_alike_are_explained(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        for repeat in range(2):
            made.answer(0, q, repeat=repeat, text=f"text {repeat if q in (2, 3) else 0}")
            made.answer(1, q, repeat=repeat)
    (told,) = [line for line in made.document().troubles if "greedy answers" in line]
    assert told.startswith("alpha: greedy answers") and "(2 questions: 3–4)" in told
    assert "--batch 1" in told


def test_times_that_are_not_alike_make_no_difference(tmp_path: Path) -> None:
    """Other batches, no text, another machine."""
    made = Made(tmp_path, questions=3)
    for q in range(3):
        made.answer(0, q, 1.0, text="" if q == 1 else "some", batch=4 if q == 0 else 1)
        made.answer(1, q, 3.0, text="other")
    (table,) = [t for t in made.document().comparison if t.title.startswith("Where they differ")]
    at = table.head.index("Slowest to fastest")
    assert {row[0].text: row[at].text for row in table.rows} == {
        "1. q0": "–",
        "2. q1": "–",
        "3. q2": "×3.00",
    }
    sessions = []
    for model, one in enumerate(made_apart(tmp_path, questions=3)):
        for q in range(3):
            one.answer(0, q, 1.0 + model, text=f"text {model}")
        sessions.append(one.read())
    merged = build_report(sessions, "en").comparison
    (table,) = [t for t in merged if t.title.startswith("Where they differ")]
    assert table.head == ("Question", "Longest to shortest")


def test_questions_that_one_model_completed_are_not_called_the_same(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=4)
    for q in range(4):
        made.answer(0, q)
        if q < 2:
            made.answer(1, q, text="same" if q else "other")
        else:
            failed = ev.Failed("crashed", "it died", answer=made.id(1, q))
            made.events += [(1, ev.Asked(made.id(1, q), f"q{q}", "?")), (1, failed)]
    (table,) = [t for t in made.document().comparison if t.title.startswith("Where they differ")]
    assert len(table.rows) == 1 and table.notes[0].startswith("On 1 more question the")

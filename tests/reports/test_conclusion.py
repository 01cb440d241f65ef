"""Sessions whose right conclusion is known: what is said of them, and what is not."""

import math
import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest

from tests.support.made_session import Made, sentence
from tui import events as ev
from tui.board import fold
from tui.events import RUN
from tui.run import results
from tui.run.result_notes import table_notes


def test_a_winner_in_stars(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    made.stars(0, [5, 4, 5, 3, 5, 4, 5, 4])
    made.stars(1, [4, 3, 3, 2, 4, 3, 4, 3])
    text = sentence(made.conclusion(), "Most stars: alpha")
    assert "with 4.38 on average, against 3.25 of beta, over 8 common questions" in text
    # Gaps 1 1 2 1 1 1 1 1: sd 0.354, t(7) 2.365; one sign only: 2/256
    assert "a clear difference (+1.12, 95 % interval +0.83 to +1.42, p = 0.0078)" in text


def test_no_winner_says_what_it_would_take(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    made.stars(0, [5, 1, 4, 2, 5, 3, 2, 4])
    made.stars(1, [3, 2, 5, 2, 3, 4, 1, 4])
    text = sentence(made.conclusion(), "Most stars: alpha")
    # Gaps 2 -1 -1 0 2 -1 1 0: mean 0.25, sd 1.28
    assert "not clear (+0.25, 95 % interval -0.82 to +1.32" in text
    assert "8 questions can show a gap of 1.07 at best; about 209 would show 0.25" in text


@pytest.mark.parametrize("questions", [1, 2, 5])
def test_no_verdict_below_six_questions(tmp_path: Path, questions: int) -> None:
    made = Made(tmp_path, questions=questions).all_answered()
    made.stars(0, [5] * questions)
    made.stars(1, [1] * questions)
    made.votes(0, 1, ["left"] * questions)
    found = made.conclusion()
    for text in (sentence(found, "Most stars: "), sentence(found, "In votes")):
        assert (
            f"no verdict from {questions} question{'s' * (questions > 1)}, it takes 6 at least"
            in text
        )


def test_only_what_both_have_is_compared(tmp_path: Path) -> None:
    """Alpha has more stars over all, and less on each question that both have."""
    made = Made(tmp_path).all_answered()
    made.stars(0, [3, 3, 3, 3, 3, 3, 5, 5])
    made.stars(1, [4, 4, 4, 4, 4, 4, None, None])
    text = sentence(made.conclusion(), "Most stars: beta")
    assert "with 4.00 on average, against 3.00 of alpha, over 6 common questions" in text
    assert "a clear difference (+1.00" in text


def test_a_dimension_is_named_only_where_the_difference_in_it_is_clear(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=10).all_answered()
    made.stars(0, [5, 4, 5, 4, 5, 4, 5, 4, 5, 4], "回答逻辑")
    made.stars(1, [3, 2, 3, 2, 3, 2, 3, 3, 3, 2], "回答逻辑")
    # A higher mean of more questions, and less on those that both have.
    made.stars(0, [3, 3, 3, 3, 3, 3, 3, 5, 5, 5], "幽默感")
    made.stars(1, [3, 4, 3, 3, 3, 3, 3, None, None, None], "幽默感")
    document = made.document()
    text = sentence(document.conclusion, "Clear by dimension (of 2; p corrected for all 2 com")
    # Gaps of 2 on nine questions and 1 on one: 2 of 2^10 signs, for two dimensions.
    assert "Logic, alpha 4.50 against 2.60 of beta over 10 common questions (95 %" in text
    assert "p = 0.0039)" in text and "Humour" not in text
    (table,) = [t for t in document.comparison if t.title.startswith("Stars per model")]
    at = table.head.index("Humour")
    assert not any(row[at].best for row in table.rows)
    assert table.rows[0][table.head.index("Logic")].best
    assert table.notes[0].startswith("Not all models were rated on the same questions")


def test_one_is_said_in_the_singular(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=1).all_answered()
    made.stars(0, [5])
    made.stars(1, [4])
    assert "over 1 common question: no verdict from 1 question, it" in made.conclusion()[-1]


def test_ties_are_level(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    made.stars(0, [5, 1, 5, 1, 3, 3, 2, 4])
    made.stars(1, [1, 5, 1, 5, 3, 3, 4, 2])
    made.votes(0, 1, ["tie"] * 7 + ["bad"])
    found = made.conclusion()
    text = sentence(found, "Stars: alpha and beta are level at 3.00 over 8 common questions")
    assert "not clear (+0.00" in text and "8 questions can show a gap of 2.68 at best" in text
    times = sentence(
        found, "Time to the end of an answer: alpha and beta are level at 1.00 s over 8"
    )
    assert times.endswith("p = 1); level on every question.")
    assert sentence(found, "Text per second: alpha and beta are level at 4.00 chars/s over 8")
    assert "won 0 and lost 0 of 8" in sentence(found, "In votes")
    assert "none of 8 questions was decided" in sentence(found, "In votes")


def test_a_ring_is_no_order(tmp_path: Path) -> None:
    made = Made(tmp_path, models=3).all_answered()
    for a, b in ((0, 1), (1, 2), (2, 0)):
        made.votes(a, b, ["left"] * 8)
    text = sentence(made.conclusion(), "Votes: no order, the leads go round in a ring")
    ring = text.rstrip(".").split(": ")[-1].split(" > ")
    assert ring[0] == ring[-1] and len(ring) == 4
    at = ring.index("alpha")
    assert [*ring[at:3], *ring[:at]] == ["alpha", "beta", "gamma"]


def test_repeats_are_one_unit(tmp_path: Path) -> None:
    """One question asked twelve times is one question, however often it was faster."""
    made = Made(tmp_path, questions=3).all_answered()
    for repeat in range(1, 12):
        made.answer(0, 0, seconds=1.0, repeat=repeat)
        made.answer(1, 0, seconds=2.0, repeat=repeat)
    text = sentence(made.conclusion(), "Time to the end of an answer: alpha and beta are level")
    assert "over 3 common questions: no verdict from 3 questions" in text


def test_times_are_compared_on_a_logarithmic_scale(tmp_path: Path) -> None:
    made = Made(tmp_path)
    seconds = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 3.0, 5.0]
    ratios = [1.4, 1.5, 1.6, 1.5, 1.4, 1.6, 1.5, 1.5]
    for q, (s, r) in enumerate(zip(seconds, ratios, strict=True)):
        made.answer(0, q, s)
        made.answer(1, q, s * r)
    text = sentence(made.conclusion(), "Fastest to the end of an answer: alpha, median 4.50 s")
    ratio = math.exp(-sum(map(math.log, ratios)) / 8)
    assert f"a clear difference (×{ratio:.3g}" in text and "p = 0.0078" in text


def test_a_headline_that_the_questions_do_not_bear_out_is_no_verdict(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=9)
    mine = [1.0, 1.0, 1.0, 1.0, 9.0, 30.0, 30.0, 30.0, 30.0]
    other = [2.0, 2.0, 2.0, 2.0, 8.0, 30.1, 30.1, 30.1, 30.1]
    for q, (a, b) in enumerate(zip(mine, other, strict=True)):
        made.answer(0, q, a)
        made.answer(1, q, b)
    text = sentence(made.conclusion(), "Fastest to the end of an answer: beta, median 8.00 s")
    assert "against 9.00 s of alpha" in text and "a clear difference" not in text


def timed(folder: Path, *seconds: Sequence[float]) -> Made:
    """Each model with its seconds to the questions, at the same number of characters."""
    made = Made(folder, len(seconds), len(seconds[0]))
    for model, of_model in enumerate(seconds):
        for question, taken in enumerate(of_model):
            made.answer(model, question, taken, text="x" * 40, chars_s=40 / taken)
    return made


def test_a_use_is_recommended_only_where_the_conclusion_says_so(tmp_path: Path) -> None:
    """Alpha is faster on 14 of 15 questions, and has the higher median."""
    mine, other = [1.0] * 7 + [9.0] + [30.0] * 7, [2.0] * 7 + [8.0] + [50.0] * 7
    document = timed(tmp_path, mine, other).document()
    text = sentence(document.conclusion, "Fastest to the end of an answer: beta, median 8.00 s")
    assert "no verdict, the paired differences do not bear these values out (×1.74" in text
    assert not any("clearly faster to a whole" in said for said in document.uses)
    assert sentence(document.uses, "Where time counts, the data do not say")


def test_the_first_of_three_is_so_by_the_values_that_are_printed(tmp_path: Path) -> None:
    """Alpha leads on most questions, and gamma has the lowest median of all."""
    alpha, beta = [1.0] * 4 + [9.0] + [30.0] * 4, [2.0] * 4 + [8.0] + [30.1] * 4
    gamma = [3.0] * 4 + [7.0] + [60.0] * 4
    found = timed(tmp_path, alpha, beta, gamma).conclusion()
    text = sentence(
        found, "Fastest to the end of an answer: gamma, median 7.00 s, against 8.00 s of beta"
    )
    assert "a clear difference" not in text


def test_what_prints_the_same_is_no_difference(tmp_path: Path) -> None:
    document = timed(tmp_path, [1.001] * 8, [1.0] * 8).document()
    text = sentence(
        document.conclusion, "Time to the end of an answer: alpha and beta are level at 1.00 s"
    )
    assert "no verdict, the difference is too small to be seen in these values (×1" in text
    assert not any("clearly faster to a whole" in said for said in document.uses)
    assert not [cell for t in document.comparison for row in t.rows for cell in row if cell.best]
    assert "of its own" not in str(document.models)


def test_a_gap_that_prints_as_none_is_not_said_to_need_questions(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=400).all_answered()
    made.stars(0, [3] * 399 + [4])
    made.stars(1, [3] * 400)
    text = sentence(made.conclusion(), "Stars: alpha and beta are level at 3.00 over 400")
    assert "would show" not in text and "at best" not in text and text.endswith("p = 1).")


def test_models_without_times_to_compare_are_named(tmp_path: Path) -> None:
    made = Made(tmp_path, models=3)
    for q in range(8):
        made.answer(0, q, 1.0)
        made.answer(1, q, 2.0)
        made.answer(2, q, 0.1, contended=True, contended_by="model")
    assert sentence(made.conclusion(), "No times to compare of gamma: on no question")
    apart = Made(tmp_path / "apart")
    for q in range(8):
        apart.answer(0, q, 1.0, threads=1)
        apart.answer(1, q, 2.0, threads=2)
    assert sentence(apart.conclusion(), "No times to compare of alpha, beta: on no question")


def test_only_those_that_were_asked_completed_their_answers(tmp_path: Path) -> None:
    made = Made(tmp_path, models=3)
    for q in range(8):
        made.answer(0, q)
        made.answer(1, q)
    made.events.append((2, ev.Failed("memory", "it does not fit")))
    assert made.conclusion()[0].startswith("All 2 models that were asked completed all of their 16")


def test_values_of_averaged_answers_say_so(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        for repeat in range(2):
            made.answer(0, q, 1.0 + repeat, repeat=repeat)
            made.answer(1, q, 3.0 + repeat, repeat=repeat)
    document = made.document()
    text = sentence(document.conclusion, "Fastest to the end of an answer: alpha, median 1.50 s")
    assert "over 8 common questions, the answers to each averaged first: a clear" in text


def test_the_sentence_and_every_table_have_one_time_where_questions_repeat(tmp_path: Path) -> None:
    """Once the long answers are repeated they are most of all, and still one question of three."""
    made = Made(tmp_path, questions=3)
    for model, faster in enumerate((1.0, 2.0)):
        for q, (seconds, times) in enumerate(((1.0, 1), (2.0, 1), (30.0, 5))):
            for repeat in range(times):
                made.answer(model, q, (seconds + 0.25 * (repeat - times // 2)) * faster, repeat)
    document, board = made.document(), fold(made.read().events)
    sentence(
        document.conclusion, "Fastest to the end of an answer: alpha, median 2.00 s, against 4.00 s"
    )
    told = [glance for _, glance in results.glances(board)]
    assert [glance.figures["e2e"].value for glance in told] == [2.0, 4.0]
    answers = board.answers.values()
    drawn = [one.seconds([a for a in answers if a.model == m]) for m, one in enumerate(told)]
    assert drawn == [[1.0, 2.0, 30.0], [2.0, 4.0, 60.0]], "of the box of E2E"
    assert "of several answers to one question the mean counts, once" in table_notes(board)
    costs, details = (
        next(t for t in document.comparison if t.title.startswith(title))
        for title in ("Cost and speed at a glance", "Every figure")
    )
    at = costs.head.index("E2E, s")
    assert [row[at].text for row in costs.rows] == ["2.00", "4.00"]
    assert any(note.startswith("Of several answers to one question") for note in costs.notes)
    (spread,) = [row for row in details.rows if row[0].text == "E2E, s"]
    assert [(cell.text, cell.detail) for cell in spread[1:]] == [
        ("2.00", "1.00–30.0, n 3 from 7 answers"),
        ("4.00", "2.00–60.0, n 3 from 7 answers"),
    ]


def test_four_models_of_one_kind_are_corrected_together(tmp_path: Path) -> None:
    made = Made(tmp_path, models=3, questions=6).all_answered()
    for a, b in combinations(range(3), 2):
        made.votes(a, b, ["left"] * 6)
    text = sentence(made.conclusion(), "In votes alpha won 6 and lost 0 of 6 questions against b")
    assert "no verdict from 6 questions, it takes 7 at least" in text


def test_text_speed_is_of_the_answers_that_are_tested(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        made.answer(0, q, 1.0, text="x" * 50, chars_s=50.0)
        made.answer(1, q, 1.0, text="x" * 20, chars_s=20.0)
    # Asked once more, and not chosen; disturbed; on other threads: none of these is compared.
    others: list[dict[str, object]] = [{}, {"contended": True}, {"threads": 1}]
    for repeat, told in enumerate(others, 1):
        made.answer(1, repeat, 0.01, repeat, "x" * 999, chars_s=99900.0, **told)
    made.events.append((RUN, ev.Chosen(made.id(1, 1))))
    text = sentence(made.conclusion(), "Most text per second: alpha")
    assert "with 50.0 chars/s, against 20.0 chars/s of beta" in text and "a clear" in text


def test_figures_beyond_all_bounds_end_in_words(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        made.answer(0, q, 1e12, chars_s=1e15, peak_private=10**15, peak_mapped=10**15)
        made.answer(1, q, 1e-15, chars_s=1e-12, peak_private=1)
    for lang in ("en", "zh"):
        found = made.conclusion(lang)
        assert len(found) >= 2 and not re.search("inf|nan", " ".join(found))


def test_the_same_sentences_in_chinese(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    made.stars(0, [5, 4, 5, 3, 5, 4, 5, 4])
    made.stars(1, [4, 3, 3, 2, 4, 3, 4, 3])
    text = sentence(made.conclusion("zh"), "人工评分最高：alpha")
    assert "差异明显（+1.12，95% 区间 +0.83 至 +1.42，p = 0.0078）" in text


def test_checks_are_compared_question_by_question(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in made.header.questions["questions"]:
        q["checks"] = [{"contains": "right"}, {"length": [1, 99]}]
    for q in range(8):
        made.answer(0, q, text="right")
        made.answer(1, q, text="right" if q < 1 else "wrong")
    text = sentence(made.conclusion(), "Most checks passed: alpha with 100%, against 56% of beta")
    # Gaps of 0.5 on seven questions and 0 on one: 2 of 2^7 signs.
    assert "a clear difference (+44%, 95 % interval +29% to +59%, p = 0.016)" in text


@pytest.mark.parametrize("end", [ev.Cancelled(900), ev.Failed("refused", "no", answer=900)])
def test_what_broke_off_and_was_asked_again_is_no_weakness(tmp_path: Path, end: ev.Body) -> None:
    made = Made(tmp_path)
    made.events += [(0, ev.Asked(900, "q0", "question 0")), (0, ev.Started(900)), (0, end)]
    document = made.all_answered().document()
    assert document.conclusion[0] == (
        "alpha gave 8 of 8 answers (0 cut short, 0 empty, 0 failed, 0 cancelled or broken off; "
        "1 asked for again)."
    )
    assert "8 of 8 answers given" in document.models[0].traits
    assert not any("of 9" in text for m in document.models for text in (*m.traits, *m.weaknesses))
    assert any("answers: 1" in s for s in document.troubles), "it is told all the same"

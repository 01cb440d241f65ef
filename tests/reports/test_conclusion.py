"""Sessions whose right conclusion is known: what is said of them, and what is not."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import recorded_header
from tui import events as ev
from tui.board import fold
from tui.events import RUN, Body
from tui.reports.document import Document
from tui.reports.report import build_report
from tui.run.results import json_document
from tui.sessions import reader
from tui.sessions.journal import Journal

NAMES = ["alpha", "beta", "gamma"]


class Made:
    """A session in the making: every model answers every question once, in a second."""

    def __init__(self, folder: Path, models: int = 2, questions: int = 8) -> None:
        listed = [{"id": f"q{i}", "turns": [f"question {i}"]} for i in range(questions)]
        self.header = recorded_header(NAMES[:models], listed)
        self.folder, self.models, self.questions = folder, models, questions
        self.events: list[tuple[int, Body]] = []
        self._next = 1000

    def id(self, model: int, question: int) -> int:
        return model * self.questions + question

    def answer(
        self,
        model: int,
        question: int,
        seconds: float = 1.0,
        repeat: int = 0,
        text: str = "same",
        **figures: object,
    ) -> int:
        """Another answer; the first one of each model and question has a known id."""
        id_ = self._next if repeat else self.id(model, question)
        self._next += 1
        self.events += [
            (model, ev.Asked(id_, f"q{question}", f"question {question}", repeat=repeat)),
            (model, ev.Started(id_)),
            (model, ev.Delta(id_, 1, text)),
        ]
        done = ev.Answered(id_, "stop", e2e_ms=1000 * seconds, chars_s=4 / seconds, threads=2)
        self.events.append((model, replace(done, **figures)))  # type: ignore[arg-type]
        return id_

    def all_answered(self) -> "Made":
        for model in range(self.models):
            for question in range(self.questions):
                self.answer(model, question)
        return self

    def stars(self, model: int, stars: Sequence[int | None], dimension: str = "d") -> None:
        for question, given in enumerate(stars):
            if given is not None:
                self.events.append((RUN, ev.Rated(self.id(model, question), dimension, given)))

    def votes(self, a: int, b: int, choices: Sequence[str]) -> None:
        for question, choice in enumerate(choices):
            left, right = self.id(a, question), self.id(b, question)
            self.events.append((RUN, ev.Voted(f"q{question}", left, right, choice)))

    def conclusion(self, lang: str = "en") -> list[str]:
        return list(self.document(lang).conclusion)

    def document(self, lang: str = "en") -> Document:
        return build_report([self.read()], lang)

    def read(self) -> reader.RecordedSession:
        journal = Journal.create(self.folder, self.header)
        for i, (model, body) in enumerate(self.events):
            journal.append(i * 1000, model, body)
        journal.close("done")
        return reader.read(journal.path)


def sentence(found: Sequence[str], start: str) -> str:
    (one,) = [s for s in found if s.startswith(start)]
    return one


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
    text = sentence(made.conclusion(), "Time to a whole answer: alpha and beta are level")
    assert "over 3 common questions: no verdict from 3 questions" in text


def test_times_are_compared_on_a_logarithmic_scale(tmp_path: Path) -> None:
    made = Made(tmp_path)
    seconds = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 3.0, 5.0]
    ratios = [1.4, 1.5, 1.6, 1.5, 1.4, 1.6, 1.5, 1.5]
    for q, (s, r) in enumerate(zip(seconds, ratios, strict=True)):
        made.answer(0, q, s)
        made.answer(1, q, s * r)
    text = sentence(made.conclusion(), "Fastest to a whole answer: alpha, median 4.50 s")
    ratio = math.exp(-sum(map(math.log, ratios)) / 8)
    assert f"a clear difference (×{ratio:.3g}" in text and "p = 0.0078" in text


def test_a_headline_that_the_questions_do_not_bear_out_is_no_verdict(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=9)
    mine = [1.0, 1.0, 1.0, 1.0, 9.0, 30.0, 30.0, 30.0, 30.0]
    other = [2.0, 2.0, 2.0, 2.0, 8.0, 30.1, 30.1, 30.1, 30.1]
    for q, (a, b) in enumerate(zip(mine, other, strict=True)):
        made.answer(0, q, a)
        made.answer(1, q, b)
    text = sentence(made.conclusion(), "Fastest to a whole answer: beta, median 8.00 s")
    assert "against 9.00 s of alpha" in text and "a clear difference" not in text


def test_four_models_of_one_kind_are_corrected_together(tmp_path: Path) -> None:
    made = Made(tmp_path, models=3, questions=6).all_answered()
    for a, b in combinations(range(3), 2):
        made.votes(a, b, ["left"] * 6)
    text = sentence(made.conclusion(), "In votes alpha won 6 and lost 0 of 6 questions against b")
    assert "no verdict from 6 questions, it takes 7 at least" in text


def test_what_was_not_the_same_is_said_in_the_sentence(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        made.answer(0, q, 1.0, batch=8, threads=2)
        made.events.insert(-1, (0, ev.Delta(q, 1, "hm", reasoning=True)))
        made.answer(1, q, 2.0, finish="length" if q < 3 else "stop", threads=2)
    made.events.append((1, ev.Asked(900, "q0", "question 0", repeat=1)))
    made.events.append((1, ev.Failed("crashed", "died", answer=900)))
    made.stars(0, [5] * 8)
    made.stars(1, [3] * 8)
    found = made.conclusion()
    for start in ("Fastest", "Most stars: "):
        text = sentence(found, start)
        assert "Beware: answers given 8/8 against 8/9" in text
        assert "cut short: alpha 0/8, beta 3/9" in text
        assert "alpha thought before it answered, beta did not" in text
    assert "answers decoded together (alpha: 8; beta: 1)" in sentence(found, "Fastest")
    assert "decoded together" not in sentence(found, "Most stars: ")


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


def test_each_column_says_how_its_own_tokens_were_chosen(tmp_path: Path) -> None:
    made = Made(tmp_path)
    del made.header.settings["sampling"]
    made.header.models[1]["settings"] = {"temperature": 0.9}
    way = {"greedy": True, "repetition_penalty": 1.0}
    made.events += [(model, ev.Loaded(1.0, sampling=way)) for model in range(2)]
    made.all_answered().stars(0, [5] * 8)
    made.stars(1, [3] * 8)
    greedy, drawn = "greedy, repetition penalty 1", "drawn at random, repetition penalty 1"
    document = made.document()
    text = sentence(document.conclusion, "Most stars: alpha")
    assert f"(alpha: {greedy}; beta: {drawn}, temperature 0.9)" in text
    table = next(t for t in document.run if "Sampling" in t.head)
    at = table.head.index("Sampling")
    assert [row[at].text for row in table.rows] == [greedy, f"{drawn}, temperature 0.9"]
    models = json_document(fold(made.read().events), "")["models"]
    assert [one["sampling"].get("temperature") for one in models] == [None, 0.9]
    assert [one["sampling"]["greedy"] for one in models] == [True, False]


def test_recommendations_and_memory_say_what_was_not_the_same(tmp_path: Path) -> None:
    """Two sessions of the same questions, on two machines."""
    sessions = []
    for model, cpu in enumerate(("AMD EPYC", "Intel Xeon")):
        made = Made(tmp_path / str(model), models=2)
        made.header.models[:] = [made.header.models[model]]
        made.header.host["cpu"] = {"model": cpu, "cores": 2}
        for q in range(8):
            made.answer(0, q, 1.0 + model, batch=8 - 7 * model, peak_private=10**9 * (1 + model))
        sessions.append(made.read())
    document = build_report(sessions, "en")
    said = [*document.uses, *document.conclusion]
    for start in ("Where time counts: alpha", "Where memory is short: alpha", "Least memory"):
        text = sentence(said, start)
        assert ". Beware: they ran on different machines (alpha: AMD EPYC, 2 cores;" in text
    assert "answers decoded together (alpha: 8; beta: 1)" in sentence(said, "Where time counts")
    (table,) = [t for t in document.comparison if t.title.startswith("Cost and speed")]
    at = [name.rpartition(",")[0] for name in table.head].index("E2E")
    assert not any(row[at].best for row in table.rows)
    assert any(note.startswith("Not all models ran on the same machine") for note in table.notes)
    assert not any(
        "E2E" in text for one in document.models for text in (*one.strengths, *one.weaknesses)
    )


def test_where_they_ran_is_said_in_words(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    made.header.models[1]["engine"] = "endpoint"
    text = sentence(made.conclusion("zh"), "总耗时")
    assert "运行位置不同（alpha：运行所在的机器；beta：在线服务）" in text


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


def test_what_is_of_other_questions_is_no_strength(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        made.answer(0, q, 9.0, text="")
        made.answer(0, q, 1.0 + q, repeat=1, text="long")
        if q < 5:
            made.answer(1, q, 3.0)
    made.stars(0, [3] * 8)
    made.stars(1, [4] * 5)
    document = made.document()
    alpha, beta = document.models
    told = [*alpha.strengths, *alpha.weaknesses, *beta.strengths, *beta.weaknesses]
    assert not any("Stars" in text or "E2E" in text for text in told)
    assert "8 of 16 answers are empty" in alpha.weaknesses
    assert "answers of 4 characters (median; mean 4)" in alpha.traits
    (table,) = [t for t in document.comparison if t.title.startswith("Cost and speed")]
    at = [name.rpartition(",")[0] for name in table.head].index("E2E")
    assert [row[at].text for row in table.rows] == ["3.00", "3.00"], "of the five that both have"
    assert any("answered besides these: more by alpha." in note for note in table.notes)


def test_greedy_answers_that_are_not_alike_are_explained(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        for repeat in range(2):
            made.answer(0, q, repeat=repeat, text=f"text {repeat if q in (2, 3) else 0}")
            made.answer(1, q, repeat=repeat)
    (told,) = [line for line in made.document().troubles if "greedy answers" in line]
    assert told.startswith("alpha: greedy answers") and "(2 questions: 3–4)" in told
    assert "--batch 1" in told


def test_other_threads_are_another_measurement(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        made.answer(0, q, 1.0, threads=1 if q < 2 else 2)
        made.answer(1, q, 2.0, threads=2)
    text = sentence(made.conclusion(), "Fastest")
    assert "over 6 common questions" in text and "threads (alpha: 1, 2; beta: 2)" in text


def test_figures_beyond_all_bounds_end_in_words(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        made.answer(0, q, 1.7e305, chars_s=1.7e308, peak_private=2**62, peak_mapped=2**62)
        made.answer(1, q, 5e-324, chars_s=5e-324, peak_private=1)
    for lang in ("en", "zh"):
        found = made.conclusion(lang)
        assert len(found) >= 2 and not re.search("inf|nan", " ".join(found))


def test_the_same_sentences_in_chinese(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    made.stars(0, [5, 4, 5, 3, 5, 4, 5, 4])
    made.stars(1, [4, 3, 3, 2, 4, 3, 4, 3])
    text = sentence(made.conclusion("zh"), "人工评分最高：alpha")
    assert "差异明显（+1.12，95% 区间 +0.83 至 +1.42，p = 0.0078）" in text


def test_two_raters_are_told_apart_and_compared(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    given = {"李": ([5, 4, 5, 4, 5, 4, 5, 4], [3] * 8), "wang": ([4] * 8, [3, 3, 3, 3, 2, 2, 2, 2])}
    for rater, by_model in given.items():
        for model, stars in enumerate(by_model):
            made.events += [
                (RUN, ev.Rated(made.id(model, q), "d", n, rater)) for q, n in enumerate(stars)
            ]
        made.events.append((RUN, ev.Voted("q0", 0, 8, "left" if rater == "李" else "tie", rater)))
    document = made.document()
    text = sentence(document.conclusion, "Most stars: alpha")
    # Per question: means 4.5 and 4 against 3 and 2.5, all by 1.5 or 1.
    assert "with 4.25 on average, against 2.75 of beta, over 8 common questions" in text
    assert "a clear difference (+1.50" in text
    (table,) = [t for t in document.comparison if t.title.startswith("Stars per model")]
    assert table.notes[0] == "Raters: 李, wang."
    # krippendorff 0.9.0, ordinal, of both raters' sixteen stars
    assert table.notes[1].startswith("Krippendorff's alpha of the stars: 0.80 over 16")
    assert document.sections[0].verdicts == (
        "Vote of 李: alpha is better than beta.",
        "Vote of wang: alpha and beta are equally good.",
    )
    assert "★★★★★ (李)" in document.sections[0].turns[0].cards[0].lines[1]


def test_a_judge_with_flips_and_a_panel(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    for q in range(8):
        both = (made.id(0, q), made.id(1, q))
        steady, flipped = ["left", "left"], ["left", "right"]
        for judge, said in (("one", flipped if q < 2 else steady), ("two", steady), ("3", flipped)):
            choice = said[0] if said[0] == said[1] else "tie"
            made.events.append((RUN, ev.Judged(f"q{q}", *both, choice, judge, said)))
    document = made.document()
    one = sentence(document.conclusion, "The judge one preferred alpha on 6 and beta on 0 of 8")
    assert "a clear difference (100% of the decided ones" in one and "p = 0.031" in one
    assert "none of 8 questions was decided" in sentence(document.conclusion, "The judge 3")
    # Two of three say left on six questions; on the others one says left, two a tie.
    panel = sentence(document.conclusion, "The panel of judges preferred alpha on 6 and beta on 0")
    assert "a clear difference" in panel
    tables = [t for t in document.comparison if "judge" in t.title]
    assert [t.title for t in tables][-1].startswith("The panel of 3 judges")
    (listed,) = [n for n in tables[0].notes if n.startswith("To read")]
    assert "decided on question 1 (alpha, beta); question 2 (alpha, beta)." in listed


def test_a_judge_that_nobody_could_read_concludes_nothing(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    for q in range(8):
        both = (made.id(0, q), made.id(1, q))
        made.events.append((RUN, ev.Judged(f"q{q}", *both, "none", "j", ["none"] * 2)))
    document = made.document()
    (table,) = [t for t in document.comparison if "judge" in t.title]
    assert table.rows == () and table.notes == ("No verdict could be read, so none counts: 8.",)
    assert not any("judge" in text for text in document.conclusion)
    assert not [t for t in document.comparison if t.title.startswith("Where they differ")]


def test_verdicts_of_any_type_end_in_words(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=4).all_answered()
    odd: list[list[object]] = [[1, {}], [["left"], None], [], [{"a": 1}, "left", 3]]
    for q, said in enumerate(odd):
        both = (made.id(0, q), made.id(1, q))
        event = ev.Judged(f"q{q}", *both, "left", "j", said, said, False, {"d": said, "e": 3})  # type: ignore[arg-type]
        made.events.append((RUN, event))
    document = made.document()
    assert "preferred alpha on 4" in sentence(document.conclusion, "The judge j")
    assert all(section.verdicts for section in document.sections)


def test_judge_and_stars_speak_of_the_same_dimensions(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    for q in range(8):
        said = {"幽默感": ["left", "left"], "回答逻辑": ["right", "right" if q else "left"]}
        both = (made.id(0, q), made.id(1, q))
        event = ev.Judged(f"q{q}", *both, "tie", "j", ["tie", "tie"], dimensions=said)
        made.events.append((RUN, replace(event, plain_text=True)))
    document = made.document()
    (table,) = [t for t in document.comparison if "judge" in t.title]
    assert table.title == "Verdicts of the judge j (without Markdown), pair by pair"
    (note,) = [n for n in table.notes if n.startswith("By dimension")]
    assert "Humour alpha 8 : 0 beta; Logic alpha 0 : 7 beta" in note


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
        *("2. q1", "2", "the", "alpha", "“cat” 60.0%, “cow” 25.0%"),
        *("beta", "“dog” 60.0%, “cow” 25.0%"),
    ]
    made.header.models[1]["name"] = "another@int8"
    assert not [t for t in made.document().comparison if t.title.startswith("Where a format")]


def test_a_judge_that_knows_people_is_corrected(tmp_path: Path) -> None:
    """People prefer each one on half of 40 questions; the judge says alpha too often."""
    made = Made(tmp_path, questions=40).all_answered()
    for q in range(40):
        both = (made.id(0, q), made.id(1, q))
        person = "left" if q % 2 else "right"
        judge = "left" if person == "left" or q % 8 == 0 else "right"
        made.events.append((RUN, ev.Voted(f"q{q}", *both, person)))
        made.events.append((RUN, ev.Judged(f"q{q}", *both, judge, "j", [judge] * 2)))
    (table,) = [t for t in made.document().comparison if "judge" in t.title]
    (note,) = [n for n in table.notes if n.startswith("Corrected")]
    assert "on 40 questions, alpha would win 50% of the decided ones against beta" in note

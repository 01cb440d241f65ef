"""Sessions in which there is little to compare, or nothing: what is said of them."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.made_session import Made, sentence
from tui import events as ev
from tui.board import fold
from tui.events import RUN
from tui.reports import markdown
from tui.reports.document import Document, Table
from tui.run import results
from tui.run.result_notes import table_notes
from tui.text.translation import translate


def table(document: Document, title: str) -> Table:
    (found,) = [one for one in document.comparison if one.title.startswith(title)]
    return found


def failing(made: Made, model: int, question: int, message: str = "no") -> None:
    id_ = made.id(model, question)
    asked = ev.Asked(id_, f"q{question}", f"question {question}")
    made.events += [(model, asked), (model, ev.Failed("refused", message, answer=id_))]


def without_text(made: Made, model: int, question: int) -> None:
    """An answer that is nothing but thought."""
    id_ = made.id(model, question)
    asked = ev.Asked(id_, f"q{question}", f"question {question}")
    thought = ev.Delta(id_, 9, "hm", reasoning=True)
    done = ev.Answered(id_, "length", 9, 9, e2e_ms=900.0, thought_tokens=9, threads=2)
    made.events += [(model, body) for body in (asked, ev.Started(id_), thought, done)]


def test_one_model_is_told_of_by_itself(tmp_path: Path) -> None:
    made = Made(tmp_path, models=1).all_answered()
    made.stars(0, [5, 4, 5, 4, 5, 4, 5, 4])
    document = made.document()
    (abstract,) = document.abstract
    assert (
        abstract.startswith("alpha was asked 8 questions; 8 answers") and "ompare" not in abstract
    )
    assert document.conclusion == (
        "alpha completed all of its 8 answers: none failed, none was cut short, none is empty.",
        "alpha, by itself: E2E 1.00 s; Text speed 4.00 chars/s; Stars, mean 4.50.",
    )
    chinese = made.document("zh")
    assert "alpha 的各项数值：总耗时 E2E 1.00 秒；文本速度 4.00 字符/秒；" in chinese.conclusion[1]
    assert document.uses == ()


def test_where_nobody_answered_nothing_is_compared(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=3)
    for model in (0, 1):
        for question in (0, 1):
            failing(made, model, question, "the key is not accepted")
    document = made.document()
    assert document.abstract == ("alpha, beta: no complete answer, 2 of 3 questions asked.",)
    assert document.conclusion[-1] == "There are no complete answers to conclude from."
    assert document.uses == ("No model gave an answer with a text: there is nothing to recommend.",)
    assert document.comparison == (), "no table without a figure"
    assert made.document("zh").uses == ("没有模型给出有正文的回答，无法推荐。",)


def test_a_model_that_never_loaded_is_told_with_its_reason(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=6)
    for question in range(6):
        made.answer(0, question)
    reason = "the worker process was killed by the system"
    made.events.append((1, ev.Failed("memory", reason)))
    document = made.document()
    assert document.abstract[0].startswith(
        "6 questions were put to alpha, beta; only alpha answered"
    )
    assert document.conclusion[:2] == (
        "alpha completed all of its 6 answers: none failed, none was cut short, none is empty.",
        f"beta gave no answer: {reason}.",
    )
    assert document.uses == (
        "Only alpha gave answers with a text: there is nothing to compare it with.",
    )
    _, beta = document.models
    assert beta.weaknesses == (f"the model failed: {reason}",)
    assert beta.traits == ("no question was put to it",)
    assert any(text.startswith("beta 没有回答：") for text in made.conclusion("zh"))


def test_a_model_that_was_not_asked_is_told(tmp_path: Path) -> None:
    made = Made(tmp_path, models=3, questions=6)
    for question in range(6):
        made.answer(0, question)
        made.answer(1, question)
    assert "gamma was not asked anything." in made.conclusion()
    assert "gamma 没有被提问。" in made.conclusion("zh")


def test_the_abstract_counts_the_questions_that_were_asked(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=200)
    for question in range(3):
        made.answer(0, question)
        made.answer(1, question)
    assert made.document().abstract[0].startswith("Compared on 3 of 200 questions: alpha, beta;")
    assert "在 200 题中的 3 道题上" in made.document("zh").abstract[0]


def test_models_without_a_common_question_have_no_first(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for question in range(8):
        made.answer(question % 2, question, 1.0 + question)
        failing(made, 1 - question % 2, question)
    document = made.document()
    costs = table(document, "Cost and speed")
    assert [row[-1].text for row in costs.rows] == ["4.00", "5.00"]
    assert not any(cell.best for row in costs.rows for cell in row)
    assert any(note.startswith("There is no question that all models ans") for note in costs.notes)
    assert all("E2E" not in text for model in document.models for text in model.strengths)
    (note,) = [n for n in table_notes(fold(made.read().events)) if "no question was" in n]
    assert translate(note, "zh") != note


def test_the_table_says_how_many_questions_its_times_are_of(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for question in range(8):
        made.answer(0, question)
        made.answer(1, question) if question < 7 else failing(made, 1, question)
    document = made.document()
    notes = table(document, "Cost and speed").notes
    wanted = "Times of answers are of the 7 questions that all models answered, undisturbed whe"
    assert any(note.startswith(wanted) and note.endswith("more by alpha.") for note in notes)
    (note,) = [n for n in table_notes(fold(made.read().events)) if "that all models" in n]
    assert note.endswith(": 7") and translate(note, "zh") != note


def test_a_question_that_one_left_empty_differs_most(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=2)
    made.answer(0, 0, text="a")
    made.answer(1, 0, text="abc")
    without_text(made, 0, 1)
    made.answer(1, 1)
    for lang, word in (("en", "one empty"), ("zh", "有空回答")):
        title = {"en": "Where they differ", "zh": "差异所在"}[lang]
        document = made.document(lang)
        assert [row[1].text for row in table(document, title).rows] == [word, "×3.00"]
        assert word in document.sections[1].difference


def test_where_all_is_thought_nothing_is_recommended(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=6)
    for model in (0, 1):
        for question in range(6):
            without_text(made, model, question)
    assert made.document().uses[0].startswith("No model gave an answer with a text")


def test_pasted_answers_have_no_row_of_dashes(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=6)
    made.header.models[1] |= {"engine": "pasted", "label": "ChatGPT (pasted)"}
    for question in range(6):
        made.answer(0, question)
        id_ = made.id(1, question)
        asked = ev.Asked(id_, f"q{question}", f"question {question}")
        done = ev.Answered(id_, "stop", 0, 4, "estimate")
        made.events += [(1, asked), (1, ev.Delta(id_, 1, "pasted")), (1, done)]
    costs = table(made.document(), "Cost and speed")
    assert [row[0].text for row in costs.rows] == ["alpha"]
    assert "–" not in [cell.text for row in costs.rows for cell in row]
    assert any("pasted by hand: ChatGPT (pasted)" in note for note in costs.notes)
    assert not any(note.startswith("~") for note in table_notes(fold(made.read().events)))


def test_votes_say_who_gave_them_and_how_far_they_agree(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    for question in range(8):
        pair = made.id(0, question), made.id(1, question)
        made.events.append((RUN, ev.Voted(f"q{question}", *pair, "left", "Ann")))
        if question < 4:
            made.events.append((RUN, ev.Voted(f"q{question}", *pair, "left", "Bob")))
    notes = table(made.document(), "Votes of people").notes
    assert notes[0] == "Voters: Ann (8 pairs), Bob (4 pairs)."
    made.votes(0, 1, ["right"] * 3)
    assert (
        "Krippendorff's alpha of the votes:" in table(made.document(), "Votes of people").notes[1]
    )


def judged(made: Made, choices: list[str], **more: Any) -> None:
    for question, choice in enumerate(choices):
        verdicts = [choice, choice]
        pair = made.id(0, question), made.id(1, question)
        told = ev.Judged(f"q{question}", *pair, choice, judge="J", verdicts=verdicts, **more)
        made.events.append((RUN, told))


def test_what_only_a_judge_says_is_said_to_be_a_judges(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    judged(made, ["right"] * 8)
    for lang, start, said in (
        ("en", "By the judge J alone: beta, clearly ahead of all others; no person said so", ""),
        ("zh", "仅按评审模型 J：beta 明显优于其余全部模型", "没有人工评判佐证"),
    ):
        assert said in sentence(made.document(lang).uses, start)
    made.votes(0, 1, ["left"] * 8)
    uses = made.document().uses
    assert uses[0].startswith("Where the quality of answers counts: alpha, clearly ahead")
    assert not any("By the judge" in text for text in uses)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_judge_whom_nobody_could_read_is_told(tmp_path: Path, lang: str) -> None:
    made = Made(tmp_path, questions=3).all_answered()
    judged(made, ["none"] * 3)
    said = {
        "en": "The judge J gave no verdict that could be read on 3 pairs of answers.",
        "zh": "评审模型 J 对 3 对回答的裁决都无法识别。",
    }
    assert said[lang] in made.conclusion(lang)


def test_columns_of_one_name_are_told_apart_everywhere(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.header.models[1] = dict(made.header.models[0])
    made.all_answered().stars(0, [5] * 8)
    made.stars(1, [3] * 8)
    document = made.document()
    sentence(
        document.conclusion, "Most stars: alpha with 5.00 on average, against 3.00 of alpha (2)"
    )
    for one in document.comparison:
        names = {"alpha", "alpha (2)"}
        assert names <= {row[0].text for row in one.rows} | {*one.head, one.rows[0][1].text} or (
            one.title.startswith("Where they differ")
        )


def test_a_length_is_written_alike_wherever_it_stands(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=2)
    made.answer(0, 0, text="x" * 300)
    made.answer(0, 1, text="x" * 431)
    made.answer(1, 0)
    made.answer(1, 1)
    document = made.document()
    form, every = table(document, "What the answers"), table(document, "Every figure")
    (length,) = [row[1].text for row in every.rows if row[0].text == "Answer length, chars"]
    assert form.rows[0][1].text == length == "365.5"
    assert "the longest answers: 365.5 characters" in document.models[0].traits[0]


def test_a_standard_measure_of_one_round_has_no_median(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=2).all_answered()
    for model, rounds in enumerate((1, 3)):
        measured = ev.Measured(256, 64, rounds=rounds, ttft_ms=400.0, tpot_ms=12.0)
        made.events.append((model, measured))
    row = table(made.document(), "Every figure").rows[0]
    assert [cell.detail for cell in row[1:]] == ["one round", "median of 3 rounds"]


def test_a_run_sets_services_apart_from_what_is_computed_here(tmp_path: Path) -> None:
    made = Made(tmp_path, models=3)
    for model, engine in ((1, "endpoint"), (2, "pasted")):
        made.header.models[model]["engine"] = engine
    board = fold(made.all_answered().read().events)
    local, services, pasted = results.figure_tables(board)
    assert [row[0] for row in local] == ["MODEL", "alpha"]
    assert [row[0] for row in services] == ["SERVICE", "beta"]
    assert [row[0] for row in pasted] == ["PASTED", "gamma"]
    assert "LOAD s" in local[0] and "LOAD s" not in services[0] and "E2E s" in services[0]


@pytest.mark.parametrize("reused", [41, 24])
def test_a_prompt_that_was_computed_before_is_not_compared(tmp_path: Path, reused: int) -> None:
    """The second of two equal columns had its prompts computed by the first."""
    made = Made(tmp_path)
    for question in range(8):
        made.answer(0, question, 1.0 + question / 100, prompt_tokens=42, reused=12)
        made.answer(1, question, 0.5 + question / 100, prompt_tokens=42, reused=reused)
    told = " ".join([*made.document().conclusion, *made.document().uses])
    assert ("a clear difference" in told) is (reused == 24)


def test_an_id_that_was_asked_twice_is_one_answer(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    made.events.append((0, ev.Asked(made.id(0, 0), "q1", "another")))
    conclusion = made.conclusion()
    assert "gave 6 of 7 answers" in sentence(conclusion, "alpha gave")
    assert "answers given 6/7 against 7/7" in sentence(conclusion, "Time to the end")


def test_a_reason_that_nobody_can_tell_is_said_once(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        for model in range(2):
            made.answer(model, q, contended=True, contended_by=("", "moonlight")[q % 2], lost=0.5)
    (table, *_) = [t for t in made.document().comparison if t.title.startswith("Cost and speed")]
    (note,) = [note for note in table.notes if note.startswith("*")]
    assert note.count("contended") == 1


def test_no_slow_model_measured_fewer_tokens_than_none(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    made.events += [(0, ev.Measured(-256, 0, 1)), (1, ev.Measured(100, 20, 1))]
    (table, *_) = [t for t in made.document().comparison if t.title.startswith("Cost and speed")]
    (note,) = [note for note in table.notes if "with fewer" in note]
    assert note.startswith("beta is slow")


def test_lengths_that_a_limit_made_are_no_difference(tmp_path: Path) -> None:
    made = Made(tmp_path, questions=3)
    for q in range(3):
        made.answer(0, q, finish="length" if q < 2 else "stop", text="long " * 9)
        made.answer(1, q, finish="length", text="short")
    (table,) = [t for t in made.document().comparison if t.title.startswith("Where they differ")]
    at = table.head.index("Longest to shortest")
    assert [row[at].text for row in table.rows] == ["×9.00", "–", "–"]
    assert table.notes[0].startswith("On 2 questions every answer was cut short")


def test_no_heading_stands_over_pictures_that_were_left_out(tmp_path: Path) -> None:
    document = Made(tmp_path).all_answered().document()
    assert document.charts
    assert "## Charts" in markdown.render(document, "pictures")
    without = markdown.render(document)
    assert "## Charts" not in without and "## Conclusion" in without


def test_what_was_said_before_the_start_is_no_trouble(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    told = "alpha: the first load writes 529 MB of disk and keeps 200 MB of it"
    made.events.insert(0, (RUN, ev.Note(told, source="setup")))
    made.events.append((RUN, ev.Note("the run was taken up again")))
    document = made.document()
    assert not any("of disk" in line for line in document.troubles)
    assert any("taken up again" in line for line in document.troubles)
    assert any(told in row[1].text for table in document.run for row in table.rows)

"""What two models did not have in common is said where they are compared."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.made_session import Made, made_apart, sentence
from tui import events as ev
from tui.board import fold
from tui.events import RUN
from tui.reports.report import build_report
from tui.run.result_notes import table_notes
from tui.run.results import json_document
from tui.text.translation import translate


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
    for model, made in enumerate(made_apart(tmp_path)):
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


def test_other_threads_are_another_measurement(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        made.answer(0, q, 1.0, threads=1 if q < 2 else 2)
        made.answer(1, q, 2.0, threads=2)
    text = sentence(made.conclusion(), "Fastest")
    assert "over 6 common questions" in text and "threads (alpha: 1, 2; beta: 2)" in text


def test_other_settings_are_said_where_answers_are_compared(tmp_path: Path) -> None:
    """Both think, one of them more, and only one has a system prompt and fewer tokens."""
    made = Made(tmp_path)
    made.header.models[0]["settings"] = {"think": "low"}
    made.header.models[1]["settings"] = {"think": "high", "max_new_tokens": 64, "system": "be wry"}
    made.all_answered().stars(0, [5] * 8)
    made.stars(1, [3] * 8)
    for text in (sentence(made.conclusion(), "Most stars"), sentence(made.conclusion(), "Time to")):
        assert "Beware: they were asked under other settings (alpha: tokens of an ans" in text
        assert "at most 128, thinking low; beta: system prompt be wry, " in text
    assert "思考：高" in sentence(made.conclusion("zh"), "人工评分最高")
    del made.header.models[0]["settings"], made.header.models[1]["settings"]
    assert not any("Beware" in text for text in made.conclusion())


def test_what_was_recorded_earlier_may_be_of_different_machines(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for model, head in enumerate(made.header.models):
        head |= {"engine": "recorded", "session": f"{model}.duibi"}
    for q in range(8):
        made.answer(0, q, 1.0, threads=0)
        made.answer(1, q, 2.0 + q / 9, threads=0)
    document = made.document()
    said = "they were recorded earlier, perhaps on different machines"
    assert said in sentence(document.conclusion, "Fastest")
    assert said in sentence(document.uses, "Where time counts")
    (table,) = [t for t in document.comparison if t.title.startswith("Recorded earlier")]
    assert not any(cell.best for row in table.rows for cell in row)
    assert not any("same machine" in note for note in table.notes), "nobody knows"
    made.header.models[1]["session"] = "0.duibi"
    assert said not in sentence(made.conclusion(), "Fastest")


def test_memory_of_many_answers_at_once_says_so(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        made.answer(0, q, batch=8, peak_private=3 * 10**9)
        made.answer(1, q, batch=1, peak_private=2 * 10**9)
    document = made.document()
    for said in (document.conclusion, document.uses):
        (text,) = [one for one in said if "emory" in one]
        assert text.endswith("Beware: answers decoded together (beta: 1; alpha: 8).")


def taken_up(folder: Path, on: str) -> Made:
    """Alpha answered before the run broke off, beta partly on the machine that it went on with."""
    made = Made(folder)
    made.header.host["cpu"] = {"model": "AMD EPYC", "cores": 2}
    for q in range(8):
        made.answer(0, q, 1.0)
    for q in range(8):
        if q == 3:
            made.events.append((RUN, ev.Resumed({"cpu": {"model": on, "cores": 2}})))
        made.answer(1, q, 2.0 + q / 9)
    return made


def test_a_run_that_went_on_elsewhere_is_of_two_machines(tmp_path: Path) -> None:
    made = taken_up(tmp_path, "Intel Xeon")
    document = made.document()
    said = "ran on different machines (alpha: AMD EPYC, 2 cores; beta: AMD EPYC, 2 cores / Intel"
    assert said in sentence(document.conclusion, "Fastest")
    assert said in sentence(document.uses, "Where time counts")
    (table,) = [t for t in document.comparison if t.title.startswith("Cost and speed")]
    assert not any(cell.best for row in table.rows for cell in row)
    rows = {row[0].text: row[1].text for row in document.run[0].rows}
    assert rows["Continued with"] == "Intel Xeon, 2 cores"
    notes = table_notes(fold(made.read().events))
    (note,) = [one for one in notes if "same processor" in one]
    assert note.endswith("AMD EPYC (2); Intel Xeon (2)") and translate(note, "zh") != note


def test_a_run_that_went_on_where_it_was_has_no_other_machine(tmp_path: Path) -> None:
    document = taken_up(tmp_path, "AMD EPYC").document()
    assert "machines" not in sentence(document.conclusion, "Fastest")
    assert "Continued with" not in {row[0].text for row in document.run[0].rows}


def test_a_machine_is_said_in_words(tmp_path: Path) -> None:
    made = Made(tmp_path).all_answered()
    made.header.host["cpu"] = {"model": "AMD EPYC", "cores": 4, "quota": 1.5}
    for lang, words in (("en", "4 cores, limited to the time of 1.5 cores"), ("zh", "4 核, 限用")):
        assert words in str(made.document(lang).run[0].rows)


def test_a_peak_that_holds_a_conversion_is_said_to(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.events.append((1, ev.Load("convert", 1, 2)))
    made.events += [(m, ev.Loaded(2.0, peak_private=10**9 * (m + 1))) for m in (0, 1)]
    document = made.all_answered().document()
    said = "the peak of beta holds the conversion of the file, which is done once"
    for told in (document.conclusion, document.uses):
        (memory,) = [text for text in told if "emory" in text]
        assert said in memory


@pytest.mark.parametrize("unlike", ["cut", "settings"])
def test_answers_that_are_not_alike_are_not_set_side_by_side_in_strengths(
    tmp_path: Path, unlike: str
) -> None:
    made = Made(tmp_path)
    if unlike == "settings":
        made.header.models[1]["settings"] = {"temperature": 0.7, "max_new_tokens": 32}
    for model in (0, 1):
        for q in range(8):
            cut = unlike == "cut" and q == 0
            made.answer(
                *(model, q, 1.0 + model),
                text="much longer" if model else "short",
                finish="length" if cut else "stop",
            )
        made.stars(model, [2 + model] * 8)
    for lang, name, longest in (("en", "E2E", "the longest"), ("zh", "总耗时 E2E", "最长")):
        document = made.document(lang)
        told = [text for m in document.models for text in (*m.strengths, *m.weaknesses, *m.traits)]
        assert not any(name in text or longest in text for text in told)
        assert name in document.words["st_note"]


def test_answers_whose_prompts_were_computed_before_are_not_simply_faster(tmp_path: Path) -> None:
    """The same model twice: the second one found most of its prompts computed."""
    made = Made(tmp_path)
    for q in range(8):
        prompt: dict[str, Any] = {"prompt_tokens": 30, "ttft_ms": 350.0}
        made.answer(0, q, 2.0 + q / 10, **prompt)
        made.answer(1, q, 1.0 + q / 10, **prompt | {"reused": 20, "ttft_ms": 50.0})
    document = made.document()
    reason = "prompt tokens that were not computed again (beta: 67%; alpha: 0%)"
    for start in ("Fastest", "Most text per second", "Where time counts"):
        assert reason in sentence([*document.uses, *document.conclusion], start)
    (table,) = [t for t in document.comparison if t.title.startswith("Cost and speed")]
    assert not any(cell.best for row in table.rows for cell in row)
    assert any("computed again (alpha 0%; beta 67%)" in note for note in table.notes)
    assert not any("E2E" in text for one in document.models for text in one.strengths)
    board = fold(made.read().events)
    assert any(note.endswith("better: alpha 0%, beta 67%") for note in table_notes(board))
    assert all("无需重新计算" in translate(n, "zh") for n in table_notes(board) if "again" in n)
    figures = [one["figures"]["e2e"] for one in json_document(board, "")["models"]]
    assert [round(one["reused_share"], 2) for one in figures] == [0, 0.67]


def test_a_beginning_in_common_is_no_condition_of_its_own(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for q in range(8):
        made.answer(0, q, 2.0, prompt_tokens=50, reused=20)
        made.answer(1, q, 1.0, prompt_tokens=40, reused=20)
    assert "computed again" not in sentence(made.conclusion(), "Fastest")
    assert not any("computed again" in note for note in table_notes(fold(made.read().events)))

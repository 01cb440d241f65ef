"""Screen, terminal table, JSON, CSV, Markdown and HTML show the figures that the file gives."""

import ast
import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tests.support import figures_again
from tests.support.figures_again import Again
from tui import events as ev
from tui.app.pane.header import speed_text
from tui.app.style import themes
from tui.app.style.appearance import Appearance
from tui.app.style.messages import Messages
from tui.board import fold
from tui.metrics import CONTENDERS
from tui.reports import html, markdown, rows
from tui.reports.cost_tables import build_cost_tables, glances_of
from tui.reports.document import Table
from tui.reports.merge import merge_sessions
from tui.reports.messages import ReportMessages, report_messages
from tui.reports.report import build_report
from tui.run import results
from tui.run.result_notes import table_notes
from tui.scoring.costs import METRICS_BY_ID, Metric
from tui.scoring.glance import FIGURES
from tui.sessions import reader
from tui.text.translation import translate

QUESTIONS = [{"id": f"q{i}", "category": "c", "turns": [f"{i}?"]} for i in range(4)]
LABELS = ["one@bf16", "two@int8", "three@int4"]
GLANCE = "Cost and speed at a glance (medians; memory: highest)"


def measured(tpot: float, **changed: Any) -> ev.Measured:
    told = ev.Measured(
        256, 64, rounds=3, ttft_ms=400.25, tpot_ms=tpot, prefill_tok_s=639.6,
        decode_tok_s=1000 / tpot, threads=2, load_s=2.5, file_cache=1.0,
        load_private=500_000_000, load_mapped=100_000_000,
        peak_private=310_000_000, peak_mapped=120_000_000,
    )  # fmt: skip
    return ev.Measured(**({f: getattr(told, f) for f in told.__slots__} | changed))


def answered(id_: int, e2e_ms: float, **more: Any) -> list[ev.Body]:
    figures = {"ttft_ms": 50.0, "tpot_ms": 20.0, "prefill_tok_s": 99.0, "decode_tok_s": 50.0}
    asked = ev.Asked(id_, f"q{id_ % 10}", "?", repeat=1)
    text = ev.Delta(id_, 9, "x" * 40)
    return [
        asked,
        ev.Started(id_),
        text,
        ev.Answered(id_, "stop", 9, 9, e2e_ms=e2e_ms, **(figures | more)),
    ]


def clean_session(folder: Path) -> Path:
    """Three models: measured twice, disturbed when it was measured, not measured at all."""
    extra: list[tuple[int, ev.Body]] = [
        (0, measured(9.0, peak_private=900_000_000)),
        (0, measured(12.5)),
        (0, measured(400.0, contended=True, contended_by="programs", lost=0.4)),
        (1, measured(7.0, contended=True, contended_by="stopped", lost=0.5)),
        (2, ev.Loaded(9.0, contended=True, peak_private=1_500_000_000, peak_mapped=3)),
    ]
    extra += [(0, body) for body in answered(90, 777.0, contended=True, contended_by="model")]
    extra += [(1, body) for body in answered(91, 3000.0, batch=4, peak_private=77)]
    header = recorded_header(LABELS, QUESTIONS)
    return record_session(folder, header, lambda m, q: "字" * (7 + 5 * m + 3 * q), extra)


def disturbed_session(folder: Path) -> Path:
    """Everything was disturbed, and one model has one answer only."""
    header = recorded_header(LABELS[:2], QUESTIONS[:1])
    marked = {"contended": True, "contended_by": "programs", "lost": 0.3}
    extra: list[tuple[int, ev.Body]] = [
        (1, ev.Failed("crashed", "it died")),
        *((0, body) for body in answered(91, 50.0, **marked)),
    ]
    return record_session(folder, header, lambda m, q: "" if m else "hi there", extra)


def unevenly_disturbed_session(folder: Path) -> Path:
    """One model has undisturbed answers, the other none: both go by all common questions."""
    marked = {"contended": True, "contended_by": "programs", "lost": 0.3}
    extra: list[tuple[int, ev.Body]] = []
    for question in range(3):
        timed = {} if question else marked
        extra += [(0, body) for body in answered(70 + question, 100.0 * 9**question, **timed)]
        extra += [(1, body) for body in answered(90 + question, 900.0 + question, **marked)]
    header = recorded_header(LABELS[:2], [])
    return record_session(folder, header, lambda m, q: "", extra)


def thinking_session(folder: Path) -> Path:
    """Two columns of one model's weights, the first of which thinks, and a service with a price."""
    header = recorded_header(["one@int8", "one@int8 (think=off)", "svc:big"], QUESTIONS)
    header.models[1] |= {"weights_of": 0, "settings": {"think": "off"}}
    price = {"input": 2.0, "output": 8.0, "cached_input": 0.5, "currency": "CNY"}
    header.models[2] |= {"engine": "endpoint", "dtype": "", "price": price}
    extra: list[tuple[int, ev.Body]] = [(model, measured(11.0)) for model in (0, 1)]
    for model, first in ((0, 70), (2, 80)):
        for number in range(3):
            id_, last = first + number, 700.0 + 100 * number
            thought = {"thought_tokens": 40 + number, "answer_ttft_ms": last, "reused": 5}
            asked, started, delta, end = answered(id_, 3 * last, **thought)
            reasoning = ev.Delta(id_, 40, "hm" * 99, reasoning=True)
            extra += [(model, body) for body in (asked, started, reasoning, delta, end)]
    extra += [(0, body) for body in answered(73, 99.0, thought_tokens=9, contended=True)]
    extra += [(2, ev.Asked(89, "q0", "?", repeat=1)), (2, ev.Failed("refused", "no", answer=89))]
    return record_session(folder, header, lambda m, q: "字" * (7 + 5 * m + 3 * q), extra)


def uneven_session(folder: Path) -> Path:
    """Each model failed at another question, and a person chose the slower of two answers."""
    extra: list[tuple[int, ev.Body]] = []
    for model in (0, 1):
        for question in range(4):
            id_ = 70 + 10 * model + question
            _, *answer = answered(id_, 1000.0 * 3**question + model)
            asked = ev.Asked(id_, f"q{question}", f"{question}?", repeat=1)
            failed = [ev.Failed("refused", "no", answer=id_)]
            extra += [(model, asked), *((model, b) for b in answer[:1])]
            extra += [(model, b) for b in (failed if question == 3 * model else answer[1:])]
    again = [ev.Asked(91, "q1", "1?", repeat=2), *answered(91, 5.0)[1:]]
    extra += [(0, body) for body in again]
    extra.append((ev.RUN, ev.Chosen(71)))
    return record_session(folder, recorded_header(LABELS[:2], []), lambda m, q: "", extra)


def repeated_session(folder: Path) -> Path:
    """Questions of one and of two turns, asked one to three times, of one model more often."""
    extra: list[tuple[int, ev.Body]] = []
    for model, times in ((0, 3), (1, 2)):
        for question in range(4):
            for turn in range(1 + question % 2):
                for repeat in range(1 if question == 2 else times):
                    id_ = 100 * (model + 1) + 30 * repeat + 10 * turn + question
                    _, *answer = answered(id_, 1000.0 * (1 + question + 7 * repeat + 5 * turn))
                    asked = ev.Asked(id_, f"q{question}", f"{question}?", turn=turn, repeat=repeat)
                    extra += [(model, body) for body in (asked, *answer)]
    return record_session(folder, recorded_header(LABELS[:2], []), lambda m, q: "", extra)


def interrupted_session(folder: Path) -> Path:
    """Answers that broke off and were asked for again, some of them cut short, one never given."""
    extra: list[tuple[int, ev.Body]] = []
    for model in (0, 1):
        for question in range(4):
            first, id_ = 20 * model + question, 50 + 20 * model + question
            end = ev.Failed("refused", "no", answer=first) if question else ev.Cancelled(first)
            asked = ev.Asked(first, f"q{question}", f"{question}?")
            if question < 3 - model:
                extra += [(model, body) for body in (asked, ev.Started(first), end)]
            _, *answer, done = answered(id_, 900.0 + question + 50 * model)
            assert isinstance(done, ev.Answered)
            done = replace(done, finish="stop" if question % 2 else "length")
            failed = ev.Failed("refused", "no", answer=id_)
            extra.append((model, replace(asked, answer=id_)))
            extra += [(model, b) for b in (*answer, failed if first == 23 else done)]
    return record_session(folder, recorded_header(LABELS[:2], []), lambda m, q: "", extra)


SESSIONS = [
    *(clean_session, disturbed_session, unevenly_disturbed_session, thinking_session),
    *(uneven_session, repeated_session, interrupted_session),
]


@pytest.fixture(params=SESSIONS)
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    make: Callable[[Path], Path] = request.param
    return make(tmp_path)


def test_the_script_shares_no_line_with_the_program() -> None:
    tree = ast.parse(Path(figures_again.__file__).read_text("utf-8"))
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert names <= {"json", "sys", "collections", "pathlib", "statistics", "typing"}


def approx_of(costs: dict[str, float] | None) -> Any:
    """The money in the form of JSON."""
    if costs is None:
        return None
    told = {name: pytest.approx(value) for name, value in costs.items()}
    return {"currency": "CNY", **told, "estimated": False}


def test_json_holds_them(path: Path) -> None:
    again, board = Again(path), fold(reader.read(path).events)
    made = results.json_document(board, str(path), True)["models"]
    for model, row in enumerate(made):
        wanted = again.figures(model)
        assert {name: one["value"] for name, one in row["figures"].items()} == pytest.approx(wanted)
        assert row["cost"] == approx_of(again.costs(model))
        assert row["peak_ram_bytes"] == pytest.approx((wanted["ram"] or 0) * 1e9)
        told = again.measured(model)
        assert (row["measured"] or {}).get("tpot_ms") == (told[-1]["tpot_ms"] if told else None)


def test_answers_given_and_cut_are_counted_alike(path: Path) -> None:
    again, recorded = Again(path), reader.read(path)
    board, document = fold(recorded.events), build_report([reader.read(path)], "en")
    table = {row[0]: row for _, *made in results.figure_tables(board) for row in made}
    sentences = "\n".join(document.conclusion)
    listed = json.loads(rows.to_jsonl(merge_sessions([recorded])).splitlines()[0]).keys()
    assert {"state", "finish"} <= listed
    for model, row in enumerate(results.json_document(board, str(path))["models"]):
        done, asked, cut = again.ends(model)
        given = [one for one in row["answers"] if one["state"] == "answered"]
        assert (len(given), len(row["answers"])) == (done, asked)
        assert sum(one["finish_reason"] != "stop" for one in given) == cut
        assert table[again.labels[model]][1] == f"{done}/{asked}"
        if not sentences.startswith("All "):
            said = re.escape(f"{again.labels[model]} gave {done} of {asked} answer")
            said += rf"s? \({cut} cut short"
            assert re.search(said, sentences), sentences


MONEY = ("COST", "COST/ANSWER", "COST/100 QUESTIONS")


def money_in(cell: str) -> float | None:
    """An amount as it is shown."""
    return None if cell in ("-", "–") else float(cell.lstrip("~¥"))


def about(amount: float | None) -> Any:
    """The same to the digits that are shown: three, or cents."""
    return amount if amount is None else pytest.approx(amount, rel=6e-3, abs=5e-3 * (amount > 1))


def digits(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def test_the_table_on_the_terminal_shows_them(path: Path) -> None:
    again, board = Again(path), fold(reader.read(path).events)
    told = {
        row[0]: dict(zip(head, row, strict=True))
        for head, *rows in results.figure_tables(board)
        for row in rows
    }
    for model, one in enumerate(board.models):
        wanted, cells = again.figures(model), told[one.label]
        for name, column, places in (
            *(("load", "LOAD s", 1), ("ttft", "TTFT ms", 0), ("prefill", "PREFILL tok/s", 1)),
            *(("tpot", "ms/tok", 1), ("decode", "tok/s", 1), ("e2e", "E2E s", 1)),
            *(("chars_s", "chars/s", 1), ("ram", "RAM GB", 2)),
            *(("thought", "THOUGHT tok", 0), ("answer_ttft", "ANSWER ms", 0)),
        ):
            if name in ("thought", "answer_ttft") and column not in cells:
                assert not any(again.figures(m)[name] for m in range(len(told)))
                continue
            shown_ = cells.get(column, "-").rstrip("*+")
            assert shown_ == digits(wanted[name], places), (model, name)
        money = again.costs(model) or {}
        for name, column in zip(("total", "per_answer", "per_100_questions"), MONEY, strict=True):
            assert money_in(cells.get(column, "-")) == about(money.get(name)), (model, column)
        parts = re.findall(r"[0-9.]+", cells.get("PRIVATE+MAPPED", "-"))
        assert sum(map(float, parts)) == pytest.approx(wanted["ram"] or 0.0, abs=0.011)


def shown(value: float | None) -> str:
    if value is None:
        return "–"
    places = 0 if value >= 100 or not value else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{places}f}"


def glance_tables(path: Path, lang: str = "en") -> list[Table]:
    merged, say = merge_sessions([reader.read(path)]), report_messages(lang)
    return build_cost_tables(merged, glances_of(merged), say)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_reports_show_them(path: Path, lang: str) -> None:
    again, document = Again(path), build_report([reader.read(path)], lang)
    *tables, every = glance_tables(path, lang)
    assert {*tables, every} <= set(document.comparison)
    say = report_messages(lang)
    plain = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown.render(document))
    page = html.render(document)
    shown_models = []
    for table in tables:
        ids = [metric_of(title, say) for title in table.head[2:]]
        for row in table.rows:
            model = again.labels.index(row[0].text)
            shown_models.append(model)
            wanted, money = again.figures(model), again.costs(model) or {}
            for name, cell in zip(ids, row[2:], strict=True):
                assert cell.text in plain and cell.text in page
                if name in MONEY_WORDS:
                    assert money_in(cell.text) == about(money.get(MONEY_WORDS[name]))
                    continue
                assert cell.text.strip("~*+") == shown(wanted[name]), (model, name)
                if name == "ram" and wanted[name]:
                    parts = [float(part) for part in cell.detail.split(" + ")]
                    assert sum(parts) == pytest.approx(wanted[name], abs=0.011)
            missing = wanted.keys() - set(ids)
            assert not any(wanted[name] for name in missing), "none is left out"
    assert sorted(shown_models) == list(range(len(again.labels)))


MONEY_WORDS = {"cost_answer": "per_answer", "cost_100": "per_100_questions"}


def metric_of(title: str, say: ReportMessages) -> str:
    """Which figure stands under a head."""
    ids = {
        say("of_unit", name=say(name), unit=unit_of(METRICS_BY_ID[name], say)): name
        for name in FIGURES
    }
    ids |= {say(name): name for name in MONEY_WORDS}
    return ids[title]


def unit_of(metric: Metric, say: ReportMessages) -> str:
    return say(f"unit_{metric.unit}") if metric.unit.startswith("chars") else metric.unit


def test_rows_hold_what_was_measured(path: Path) -> None:
    again, merged = Again(path), merge_sessions([reader.read(path)])
    listed = [json.loads(line) for line in rows.to_jsonl(merged).splitlines()]
    sheet = list(csv.DictReader(io.StringIO(rows.to_csv(merged), newline="")))
    assert len(listed) == len(sheet) == len(again.answers)
    for one, other in zip(listed, sheet, strict=True):
        told = again.measured(again.labels.index(one["model"]))
        assert (one["measured"] or {}).get("ttft_ms") == (told[-1]["ttft_ms"] if told else None)
        assert other.get("measured: tpot_ms", "") == (str(told[-1]["tpot_ms"]) if told else "")
        assert other["contended_by"] == (one["contended_by"] or "")
        ids = [id_ for id_, mine in again.answers.items() if is_of(one, mine, again)]
        mine = [again.answers[id_].get("figures", {}) for id_ in ids]
        for name in ("ttft_ms", "tpot_ms", "e2e_ms", "answer_ttft_ms", "thought_tokens"):
            assert (one[name] or 0) in [told.get(name, 0) for told in mine]
            assert other[name] == ("" if one[name] is None else repr(one[name]))
        costs = [again.money(id_) for id_ in ids]
        assert (one["cost"] is None) == (None in costs)
        assert any(one["cost"] == pytest.approx(amount) for amount in costs)
        assert other["cost"] == ("" if one["cost"] is None else repr(one["cost"]))


def is_of(row: dict[str, Any], answer: dict[str, Any], again: Again) -> bool:
    """Whether an answer of the file can be the one of a row."""
    same = again.labels[answer["model"]] == row["model"] and answer["text"] == row["text"]
    return bool(same and answer["asked"][1] == row["repeat"])


def test_the_screen_shows_them_where_there_is_no_answer(path: Path) -> None:
    board, again = fold(reader.read(path).events), Again(path)
    theme = themes.load(Path(themes.__file__).parents[3] / "themes" / "duibi-dark.toml")
    appearance = Appearance(theme, Messages("en"))
    for model in board.models:
        text = speed_text(model, None, appearance)
        told = again.measured(model.index)
        assert bool(text) == bool(told)
        for one in told:
            numbers = [float(number) for number in re.findall(r"[0-9.]+[0-9]|[0-9]", text)]
            assert pytest.approx(one["decode_tok_s"], abs=0.51) in numbers, text


def test_what_limits_a_figure_is_said_with_it(tmp_path: Path) -> None:
    table, *_ = glance_tables(clean_session(tmp_path))
    cells = {
        row[0].text: dict(zip((h.rpartition(",")[0] for h in table.head), row, strict=True))
        for row in table.rows
    }
    assert cells["one@bf16"]["TPOT"].text == "12.5", "the newest that was not disturbed"
    assert cells["two@int8"]["TPOT"].text == "7.00*"
    assert not any(row["TPOT"].best for row in cells.values()), "a disturbed one is not compared"
    assert cells["two@int8"]["E2E"].text.endswith("+") and cells["two@int8"]["Load"].detail == ""
    assert cells["three@int4"]["Peak RAM"].text == "1.50", "loading counts"
    notes = "\n".join(table.notes)
    assert "256 tokens of prompt, 64 of answer" in notes and "three@int4 was not measured" in notes
    assert "*: contended" in notes and "decoded with 4 questions" in notes
    assert "its process was stopped for a while" in notes and "a while, at worst" not in notes


def test_the_terminal_says_where_a_load_found_its_files_and_who_was_not_measured(
    tmp_path: Path,
) -> None:
    header = recorded_header(LABELS, QUESTIONS)
    extra: list[tuple[int, ev.Body]] = [
        (0, ev.Loaded(9.0, file_cache=0.0)),
        (1, ev.Loaded(2.0, file_cache=1.0)),
        (0, measured(9.0)),
        (1, measured(9.0)),
    ]
    path = record_session(tmp_path, header, lambda m, q: "hello", extra)
    notes = table_notes(fold(reader.read(path).events))
    assert "LOAD read the files from the disk: one@bf16" in notes
    assert "LOAD found the files in memory: two@int8" in notes
    assert "not measured by itself, all is of its answers: three@int4" in notes
    for note in notes:
        assert translate(note, "zh") != note, note


def test_threads_are_told_with_the_figures(tmp_path: Path) -> None:
    header = recorded_header(LABELS[:1], QUESTIONS)
    same = record_session(tmp_path, header, lambda m, q: "hi there")
    assert "All times were taken on 2 threads." in glance_tables(same)[0].notes
    extra = [(0, measured(9.0, threads=1))]
    other = glance_tables(record_session(tmp_path, header, lambda m, q: "hi there", extra))
    (told,) = [note for note in other[0].notes if note.startswith("Threads of one@bf16: ")]
    assert told.count(" on 1") == told.count(" on 2") == 1 and "TPOT, " in told.split(" on 1")[0]


def test_every_figure_has_those_of_the_standard_measure_and_of_the_answers(tmp_path: Path) -> None:
    *_, table = glance_tables(clean_session(tmp_path))
    rows = {(row[0].text, row[0].detail): row[1:] for row in table.rows}
    standard = rows["TPOT, ms", "standard measure"]
    assert [cell.text for cell in standard] == ["12.5", "7.00*", "–"]
    assert standard[0].detail == "median of 3 rounds"
    page = html.render(build_report([reader.read(clean_session(tmp_path / "again"))], "en"))
    for told in ("standard measure", "of the answers"):
        assert f'<th scope="row">TPOT, ms<span class="detail">{told}</span></th>' in page
    assert rows["TPOT, ms", "of the answers"][2].text != "–"
    assert "Peak RAM, GB" not in {name for name, _ in rows}, "one name for one figure"
    assert ("Peak RAM while answering, GB", "") in rows


def test_where_all_is_disturbed_every_figure_is_marked_and_there(tmp_path: Path) -> None:
    header = recorded_header(LABELS[:1], [])
    marked = {"contended": True, "contended_by": "programs", "lost": 0.3}
    extra = [(0, body) for body in answered(91, 50.0, **marked)]
    *_, table = glance_tables(record_session(tmp_path, header, lambda m, q: "", extra))
    cells = {row[0].text: row[1] for row in table.rows}
    assert cells["E2E, s"].text == "0.050*" and cells["E2E, s"].detail == "0.050–0.050, n 1"


def test_an_empty_answer_has_no_seconds_and_no_length(tmp_path: Path) -> None:
    header = recorded_header(LABELS[:2], QUESTIONS)
    path = record_session(tmp_path, header, lambda m, q: "" if q < 2 and not m else "ab" * 40)
    (here, every), again = glance_tables(path), Again(path)
    at = [name.rpartition(",")[0] for name in here.head]
    for name, id_ in (("E2E", "e2e"), ("Text speed", "chars_s")):
        assert here.rows[0][at.index(name)].text == shown(again.figures(0)[id_])
    rows = {row[0].text: row[1:] for row in every.rows}
    assert rows["Answer length, chars"][0].detail == "80–80, n 2"
    document = build_report([reader.read(path)], "en")
    assert "gave 4 of 4 answers (0 cut short, 2 empty" in document.conclusion[0]
    (empty,) = [s for s in document.troubles if "empty: it ended without any text" in s]
    assert "answers: 2" in empty
    (fastest,) = [s for s in document.conclusion if "to the end of an answer" in s]
    assert "over 2 common questions" in fast_words(fastest)
    assert "empty answers: two@int8 0/4, one@bf16 2/4" in fastest


def fast_words(sentence: str) -> str:
    return sentence.partition(". Beware")[0]


def test_a_conversion_is_said_to_be_part_of_the_load(tmp_path: Path) -> None:
    header = recorded_header(LABELS[:2], QUESTIONS)
    extra: list[tuple[int, ev.Body]] = [
        (0, ev.Load("convert")),
        (1, ev.Load("convert", 5, 10)),
        (1, ev.Loaded(9.0)),
    ]
    (table, *_) = glance_tables(record_session(tmp_path, header, lambda m, q: "x", extra))
    (note,) = [note for note in table.notes if "conversion" in note]
    assert note.startswith("two@int8: load and peak memory hold")


def test_services_stand_apart(tmp_path: Path) -> None:
    header = recorded_header(["a@bf16", "openai:gpt-4o"], QUESTIONS)
    header.models[1].update(engine="endpoint", dtype="")
    here, there, every = glance_tables(record_session(tmp_path, header, lambda m, q: "hello"))
    assert here.title == GLANCE and [row[0].text for row in here.rows] == ["a@bf16"]
    assert there.title.startswith("Services") and [r[0].text for r in there.rows] == [
        "openai:gpt-4o"
    ]
    assert not any(cell.best for table in (here, there) for row in table.rows for cell in row)
    assert "queue" in "\n".join(there.notes)
    assert len(every.head) == 3


def test_threads_that_differ_are_not_compared(tmp_path: Path) -> None:
    extra: list[tuple[int, ev.Body]] = [(0, measured(9.0)), (1, measured(12.0, threads=1))]
    header = recorded_header(LABELS[:2], QUESTIONS)
    path = record_session(tmp_path, header, lambda m, q: "hello", extra)
    table, *_ = glance_tables(path)
    at = [name.rpartition(",")[0] for name in table.head].index("TPOT")
    assert not any(row[at].best for row in table.rows)
    assert "same number of threads" in "\n".join(table.notes)
    glances = glances_of(merge_sessions([reader.read(path)]))
    assert [g.figures["tpot"].threads for g in glances.values()] == [{2}, {1}]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_reason_has_words(lang: str) -> None:
    say = report_messages(lang)
    assert all(say.knows(f"contended_{by}") for by in CONTENDERS)

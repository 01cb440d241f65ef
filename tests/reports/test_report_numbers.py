"""Every figure of a report is computed again here, from the file's bytes alone."""

import csv
import io
import itertools
import json
import math
import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pytest
import sacrebleu

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import events as ev
from tui.events import RUN
from tui.reports import html, markdown, rows
from tui.reports.charts import speed_points
from tui.reports.document import Document
from tui.reports.merge import merge_sessions
from tui.reports.paper_tables import MAX_COLUMNS
from tui.reports.report import build_report
from tui.sessions import reader

QUESTIONS = [{"id": f"q{i}", "category": f"类别{i}", "turns": [f"第 {i} 题？"]} for i in range(8)]
DIMENSIONS = ("语言理解", "回答逻辑", "幽默感", "输出流畅性")
NAMES = dict(zip(DIMENSIONS, ("Understanding", "Logic", "Humour", "Fluency"), strict=True))


def labels(n: int) -> list[str]:
    return [f"model{i}@int{4 + i}" for i in range(n)]


def text(model: int, question: int) -> str:
    return f"模型 {model} 的回答。" * (2 + (model * 3 + question * 5) % 11)


def stars(answer: int, dimension: str) -> int:
    return 1 + (answer * 7 + DIMENSIONS.index(dimension) * 3) % 5


@pytest.fixture(scope="module", params=[2, 6])
def path(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    n = request.param
    extra: list[tuple[int, ev.Body]] = [
        (RUN, ev.Rated(a, d, stars(a, d))) for a in range(8 * n) for d in DIMENSIONS
    ]
    extra += [
        (RUN, ev.Voted(f"q{q}", q, 8 + q, ("left", "right", "tie", "left")[q % 4]))
        for q in range(8)
    ]
    spoilt = ev.Answered(
        900,
        "length",
        10,
        7,
        ttft_ms=9e5,
        tpot_ms=9e4,
        e2e_ms=9e6,
        prefill_tok_s=0.1,
        decode_tok_s=0.1,
        chars_s=0.1,
        contended=True,
    )
    extra += [(0, ev.Asked(900, "q0", "第 0 题？", repeat=1)), (0, ev.Started(900))]
    extra += [(0, ev.Delta(900, 7, "受干扰。")), (0, spoilt)]
    folder = tmp_path_factory.mktemp("recorded")
    return record_session(folder, recorded_header(labels(n), QUESTIONS), text, extra)


@cache
def document_of(path: Path, lang: str = "en") -> Document:
    """The report of a session, built once for all tests."""
    return build_report([reader.read(path)], lang)


class Again:
    """The same figures, from the lines of the file and nothing of the report's code."""

    def __init__(self, path: Path) -> None:
        self.figures: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self.lengths: dict[int, list[int]] = defaultdict(list)
        self.loads: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self.stars: dict[tuple[int, str], list[int]] = defaultdict(list)
        texts: dict[int, str] = defaultdict(str)
        owner: dict[int, int] = {}
        self.questions: dict[int, str] = {}
        for line in path.read_bytes().decode().split("\n")[:-1]:
            _, _, model, kind, payload = json.loads(line.rpartition("\t")[0])
            if kind == "asked":
                owner[payload["answer"]] = model
                self.questions[payload["answer"]] = payload["question"]
            elif kind == "delta":
                texts[payload["answer"]] += payload.get("text", "")
            elif kind == "answered":
                self.figures[model].append(payload)
                self.lengths[model].append(len(texts[payload["answer"]]))
            elif kind == "loaded":
                self.loads[model].append(payload)
            elif kind == "rated":
                self.stars[owner[payload["answer"]], payload["dimension"]].append(payload["stars"])

    def text_speed(self, model: int) -> float:
        """Characters over seconds of the answers without contention, which all models have."""
        both = zip(self.figures[model], self.lengths[model], strict=True)
        kept = [(p["e2e_ms"], length) for p, length in both if not p.get("contended")]
        return float(sum(length for _, length in kept) / sum(ms for ms, _ in kept) * 1000)

    def values(self, model: int, metric: str) -> tuple[list[float], int]:
        """The values of a metric, and how many were left out."""
        of_load: dict[str, Callable[[dict[str, Any]], float]] = {
            "Checkpoint": lambda p: p["checkpoint_bytes"] / 1e9,
            "Weights in memory": lambda p: p["weights_bytes"] / 1e9,
        }
        timed = {
            "TTFT": "ttft_ms",
            "TPOT": "tpot_ms",
            "Prefill": "prefill_tok_s",
            "Decode": "decode_tok_s",
            "Text speed": "chars_s",
            "Text speed, answer by answer": "chars_s",
            "E2E": "e2e_ms",
        }
        sizes = {
            "Peak private memory while answering": ("peak_private",),
            "Peak mapped memory while answering": ("peak_mapped",),
            "Peak RAM": ("peak_private", "peak_mapped"),
            "Peak RAM while answering": ("peak_private", "peak_mapped"),
        }
        if metric == "Load":
            clean = [p["load_s"] for p in self.loads[model] if not p.get("contended")]
            return clean, len(self.loads[model]) - len(clean)
        if metric in of_load:
            return [of_load[metric](p) for p in self.loads[model]], 0
        if metric in sizes:
            names = sizes[metric]
            sums = (sum(p.get(name, 0) for name in names) for p in self.figures[model])
            return [found / 1e9 for found in sums if found], 0
        if metric == "Answer length, tok":
            return self.by_question(model, [p["output_tokens"] for p in self.figures[model]]), 0
        if metric == "Answer length, chars":
            return self.by_question(model, self.lengths[model]), 0
        kept = [p for p in self.figures[model] if not p.get("contended") and timed[metric] in p]
        by = 1000 if metric == "E2E" else 1
        return [p[timed[metric]] / by for p in kept], sum(
            p.get("contended", False) for p in self.figures[model]
        )

    def by_question(self, model: int, values: list[int]) -> list[float]:
        """Of each question the mean of its answers."""
        found: dict[str, list[int]] = defaultdict(list)
        for payload, value in zip(self.figures[model], values, strict=True):
            found[self.questions[payload["answer"]]].append(value)
        return [fmean(one) for one in found.values()]


def shown(value: float, name: str = "") -> str:
    if name.startswith("Answer"):
        return f"{value:.1f}".removesuffix(".0")
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def tables(path: Path) -> dict[str, list[list[str]]]:
    """The tables of the Markdown report by title, parsed by hand."""
    found: dict[str, list[list[str]]] = {}
    title = ""
    for line in markdown.render(document_of(path)).split("\n"):
        if line.startswith("### "):
            title = line[4:]
        elif line.startswith("| ") and not set(line) <= set("|-: "):
            cells = [re.sub(r"\\(.)|\*\*", r"\1", c).strip() for c in line.strip("|").split(" | ")]
            found.setdefault(title, []).append(cells)
    for table in found.values():
        # A table of many columns stands there with its rows as columns.
        if table[0][0] == "Model" and table[0][1] in labels(9) and len(table) > MAX_COLUMNS:
            table[:] = map(list, zip(*table, strict=True))
    return found


def test_every_cost_figure(path: Path) -> None:
    again, table = Again(path), tables(path)["Every figure: median, range, number of values"]
    n = len(table[0]) - 1
    seen = 0
    for row in table[1:]:
        name = row[0] if row[0].startswith("Answer") else row[0].rpartition(",")[0]
        for model in range(n):
            values, left_out = again.values(model, name)
            middle, low, high = (shown(f(values), name) for f in (median, min, max))
            answers = len(again.figures[model])
            repeated = name.startswith("Answer") and answers > len(values)
            n_values = f"{len(values)} from {answers} answers" if repeated else len(values)
            wanted = f"{middle} ({low}–{high}, n {n_values}" + (
                f"; {left_out} contended left out)" if left_out else ")"
            )
            assert row[1 + model] == wanted, (name, model)
            seen += 1
    assert seen == 14 * n


def test_the_glance_shows_medians_and_peaks_and_marks_the_best(path: Path) -> None:
    again, table = (
        Again(path),
        tables(path)["Cost and speed at a glance (medians; memory: highest)"],
    )
    names = [name.rpartition(",")[0] for name in table[0]]
    for model, row in enumerate(table[1:]):
        assert row[0] == labels(9)[model]
        for name, cell in zip(names[2:], row[2:], strict=True):
            if name == "Text speed":
                assert cell == shown(again.text_speed(model))
                continue
            values, _ = again.values(model, name)
            text = cell.partition(" ")[0]
            assert text == shown(max(values) if "Peak" in name else median(values)), name


def starred(values: list[int]) -> str:
    mean = sum(values) / len(values)
    return f"{mean:.2f} ({('★' * round(mean)).ljust(5, '☆')} n {len(values)})"


def test_stars_are_means_with_their_numbers(path: Path) -> None:
    again, table = Again(path), tables(path)["Stars per model and dimension (1 to 5)"]
    assert table[0][1:5] == ["Understanding", "Logic", "Humour", "Fluency"]
    for model, row in enumerate(table[1:]):
        everything = []
        for dimension, cell in zip(DIMENSIONS, row[1:5], strict=True):
            values = again.stars[model, dimension]
            everything += values
            assert cell == starred(values)
        assert row[5] == starred(everything)
        assert row[6] == shown(again.text_speed(model)), "the same as at a glance"


def test_votes_are_counted(path: Path) -> None:
    (row,) = tables(path)["Votes of people, pair by pair"][1:]
    # left 4, right 2, tie 2; R: binom.test(4, 6)
    assert row == [*labels(2), "4", "2", "2", "67% (22%–96%)", "0.69", "no clear difference"]


class Text(HTMLParser):
    """The cells of an HTML report's tables."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("td", "th"):
            self.cells.append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._open:
            self.cells[-1] += f" {data}"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_html_and_markdown_show_the_same_figures(path: Path, lang: str) -> None:
    document = document_of(path, lang)
    parser = Text()
    parser.feed(html.render(document))
    cells = {" ".join(cell.split()) for cell in parser.cells}
    for table in (*document.run, *document.comparison):
        for row in table.rows:
            for cell in row:
                assert " ".join(f"{cell.text} {cell.detail}".split()) in cells
    plain = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown.render(document))
    for table in document.comparison:
        for row in table.rows:
            assert all(cell.text in plain for cell in row)


def test_rows_hold_the_figures_as_measured(path: Path) -> None:
    again, merged = Again(path), merge_sessions([reader.read(path)])
    listed = [json.loads(line) for line in rows.to_jsonl(merged).splitlines()]
    table = list(csv.DictReader(io.StringIO(rows.to_csv(merged), newline="")))
    assert len(listed) == len(table) == sum(map(len, again.figures.values()))
    for model, figures in again.figures.items():
        mine = [row for row in listed if row["model"] == labels(9)[model]]
        assert sorted(row["e2e_ms"] for row in mine) == sorted(p["e2e_ms"] for p in figures)
    for one, other in zip(listed, table, strict=True):
        assert other["text"] == one["text"] and float(other["ttft_ms"]) == one["ttft_ms"]
        assert other["contended"] == ("true" if one["contended"] else "false")
        assert [other[f"stars: {NAMES[d]}"] for d in one["stars"]] == [
            str(s) for s in one["stars"].values()
        ]


def test_a_csv_is_headed_in_the_language_asked_for(path: Path) -> None:
    merged = merge_sessions([reader.read(path)])
    for lang, wanted in (("en", ("model", "stars: Logic")), ("zh", ("模型", "星级：回答逻辑"))):
        table = list(csv.reader(io.StringIO(rows.to_csv(merged, lang).lstrip("\ufeff"))))
        assert set(wanted) <= set(table[0]), table[0]
    assert not [head for head in table[0] if re.search("[a-z]_[a-z]", head)]
    values = {cell for row in table[1:] for cell in row}
    assert not values & {"answered", "stop", "tokenizer", "usage", "estimate", "model", "programs"}


def flips_p(gaps: list[float]) -> float:
    """Of a mean of zero, every combination of signs written out."""
    signs = list(itertools.product((1, -1), repeat=len(gaps)))
    sums = [abs(sum(s * g for s, g in zip(one, gaps, strict=True))) for one in signs]
    return sum(s >= abs(sum(gaps)) - 1e-9 for s in sums) / len(sums)


def test_conclusion_names_the_fastest_and_how_sure_that_is(path: Path) -> None:
    again = Again(path)
    n = len(again.figures)
    sentences = document_of(path).conclusion
    medians = {labels(n)[m]: median(again.values(m, "E2E")[0]) for m in range(n)}
    (fast,) = [s for s in sentences if s.startswith("Fastest")]
    best, other = re.findall(r"model\d@int\d", fast)[:2]
    assert f"{best}, median {shown(medians[best])} s, against {shown(medians[other])} s" in fast
    assert medians[best] <= medians[other]
    assert "over 8 common questions" in fast
    times = [again.values(labels(n).index(label), "E2E")[0] for label in (best, other)]
    gaps = [math.log(a / b) for a, b in zip(*times, strict=True)]
    p = flips_p(gaps)
    if n == 2:
        assert f"×{math.exp(sum(gaps) / 8):.3g}" in fast and f"p = {p:.2g}" in fast
        assert ("a clear difference" in fast) == (p <= 0.05)
    else:
        # 15 pairs: even 8 of 8 would be p = 0.12.
        assert "no verdict from 8 questions, it takes 10 at least" in fast
    assert sentences[0].startswith(f"{labels(n)[0]} gave 9 of 9 answers (1 cut")


def test_speed_over_the_answer_is_tokens_over_time() -> None:
    steady = [(i * 50_000, 1) for i in range(100)]
    assert [y for _, y in speed_points([steady])] == pytest.approx([20.0] * 6)
    slowing = [(i * 50_000 if i < 50 else 2_500_000 + (i - 50) * 100_000, 1) for i in range(100)]
    found = speed_points([slowing])
    assert found[0][1] == pytest.approx(20) and found[-1][1] == pytest.approx(10)
    in_pairs = [(i * 100_000, 2) for i in range(50)]
    assert [y for _, y in speed_points([in_pairs])] == pytest.approx([20.0] * 6)
    assert speed_points([]) == [] and speed_points([[(0, 1)]]) == []


def test_the_judge_is_shown_with_its_weaknesses(tmp_path: Path) -> None:
    given = [
        # choice, what each order said, stars of the left and the right answer
        ("left", ["left", "left"], 5, 1),
        ("tie", ["left", "right"], 4, 2),
        ("right", ["right", "right"], 5, 4),
        ("none", ["none", "left"], 1, 2),
    ]
    extra: list[tuple[int, ev.Body]] = []
    for q, (choice, said, left, right) in enumerate(given):
        kin = q == 0
        extra += [
            (RUN, ev.Rated(q, "语言理解", left)),
            (RUN, ev.Rated(8 + q, "语言理解", right)),
            (RUN, ev.Judged(f"q{q}", q, 8 + q, choice, "judge", said, ["r", "r"], kin)),
        ]
    path = record_session(tmp_path, recorded_header(labels(2), QUESTIONS), text, extra)
    document = document_of(path)
    (table,) = [t for t in document.comparison if t.title.startswith("Verdicts")]
    assert [cell.text for cell in table.rows[0][2:5]] == ["1", "1", "1"]
    gaps = [len(text(0, 0)) - len(text(1, 0)), len(text(1, 2)) - len(text(0, 2))]
    assert table.notes[0].startswith("1 of 3 verdicts changed with the order of the answers (33%)")
    assert "not counted: 1." in table.notes[0]
    longer = sum(gap > 0 for gap in gaps)
    assert f"median {median(gaps):+.0f} characters, longer in {longer};" in table.notes[1]
    assert table.notes[2].endswith(f"decided on question 2 ({', '.join(labels(2))}).")
    assert "1 of 3 pairs the same preference, 1 the opposite" in table.notes[3]
    # People preferred the left one thrice, the judge once: as by chance.
    assert table.notes[3].endswith("kappa 0.00.")
    assert table.notes[4].startswith("Beware: the judge judge is of the family of")


def test_what_was_said_of_a_question_stands_under_it(tmp_path: Path) -> None:
    extra: list[tuple[int, ev.Body]] = [
        (RUN, ev.Voted("q1", 1, 9, "left")),
        (RUN, ev.Voted("q1", 1, 9, "right")),
        (RUN, ev.Voted("q2", 2, 10, "bad")),
        (RUN, ev.Judged("q1", 1, 9, "tie", "j", ["left", "right"], ["because A", "x" * 999])),
        (RUN, ev.Judged("q2", 2, 10, "none", "j", ["none", "left"], ["", ""])),
    ]
    path = record_session(tmp_path, recorded_header(labels(2), QUESTIONS), text, extra)
    sections = document_of(path).sections
    a, b = labels(2)
    assert sections[0].verdicts == ()
    vote, verdict, *reasons = sections[1].verdicts
    assert vote == f"Vote: {b} is better than {a}.", "the newest vote"
    lengths = f"{a} {len(text(0, 1))} chars, {b} {len(text(1, 1))} chars"
    tie = f"{a} and {b} are equally good"
    assert verdict == f"Judge j: {tie} ({lengths}; changed with the order, so a tie)."
    assert reasons[0] == f"Its words with {a} shown first: because A"
    assert reasons[1].startswith(f"Its words with {b} shown first: xxx") and len(reasons[1]) < 450
    assert sections[2].verdicts[0] == f"Vote: {a} and {b} are both bad."
    assert len(sections[2].verdicts) == 2 and "does not count" in sections[2].verdicts[1]


def test_the_figures_under_an_answer_are_its_own(path: Path) -> None:
    again = Again(path)
    n = len(again.figures)
    for q, section in enumerate(document_of(path).sections):
        for model, card in enumerate(section.turns[0].cards):
            # Of the first model's first question the newest answer is the spoilt one.
            p = again.figures[model][8 if (q, model) == (0, 0) else q]
            length = again.lengths[model][8 if (q, model) == (0, 0) else q]
            wanted = [
                f"{p['output_tokens']} tok",
                f"{length} chars",
                f"TTFT {shown(p['ttft_ms'])} ms",
                f"TPOT {shown(p['tpot_ms'])} ms",
                f"{shown(p['decode_tok_s'])} tok/s",
                f"E2E {shown(p['e2e_ms'] / 1000)} s",
            ]
            assert card.lines[0] == " · ".join(wanted)
    assert n == len(card_labels(path))


def card_labels(path: Path) -> set[str]:
    sections = document_of(path).sections
    return {card.label for section in sections for card in section.turns[0].cards}


def test_sentences_on_stars_and_speed_hold(path: Path) -> None:
    again = Again(path)
    n = len(again.figures)
    sentences = document_of(path).conclusion
    said = {s.split(":")[0]: s for s in sentences}
    pairs = 4 * n * (n - 1) // 2
    wanted = f"In none of 4 dimensions are the stars clearly different (p corrected for all {pairs}"
    assert sum(s.startswith(wanted) for s in sentences) == 1
    totals = []
    for m in range(n):
        seconds, speeds = (again.values(m, name)[0] for name in ("E2E", "Text speed"))
        chars = sum(a * b for a, b in zip(seconds, speeds, strict=True))
        totals.append((chars / sum(seconds), labels(n)[m]))
    (fastest, label), (second, other) = sorted(totals)[-1], sorted(totals)[-2]
    text = said["Most text per second"]
    assert (
        f"{label} with {shown(fastest)} chars/s, against {shown(second)} chars/s of {other}" in text
    )


def test_checks_and_overlap_are_counted_again(tmp_path: Path) -> None:
    questions = [
        q
        | {"checks": [{"contains": "模型 1"}, {"length": [30, 90]}], "reference": "模型 0 的回答。"}
        for q in QUESTIONS
    ]
    path = record_session(tmp_path, recorded_header(labels(2), questions), text)
    found = tables(path)
    table = found["Checks by program: passed of all"]
    totals = [0, 0]
    for q, row in enumerate(table[1:-1]):
        for model in range(2):
            said = text(model, q)
            passed = ("模型 1" in said) + (30 <= len(said) <= 90)
            totals[model] += passed
            assert row[1 + model] == f"{passed}/2"
    assert table[-1] == ["All", f"{totals[0]}/16", f"{totals[1]}/16"]
    for model, row in enumerate(
        found["Overlap with the reference answers (never used to rank)"][1:]
    ):
        scores = [
            (
                sacrebleu.sentence_bleu(text(model, q), ["模型 0 的回答。"], tokenize="zh").score,
                sacrebleu.sentence_chrf(text(model, q), ["模型 0 的回答。"]).score,
            )
            for q in range(8)
        ]
        bleu, chrf = (median(column) for column in zip(*scores, strict=True))
        assert row[1:] == [f"{bleu:.1f} (n 8)", f"{chrf:.1f} (n 8)"]

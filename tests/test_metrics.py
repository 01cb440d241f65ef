"""The figures of an answer against values computed by hand, and the texts that quote them."""

import csv
import io
import json
from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import events as ev
from tui import metrics
from tui.board import fold
from tui.metrics import FORMULAS, AnswerMetrics, answer_metrics
from tui.reports import html, markdown, rows
from tui.reports.merge import merge_sessions
from tui.reports.report import build_report
from tui.run.results import json_document
from tui.sessions import reader

ROOT = Path(__file__).parent.parent
S = 1_000_000_000


def figures(**changed: int | None) -> AnswerMetrics:
    """Half a second to the first of 5 tokens, two seconds in all."""
    given: dict[str, int | None] = {
        "start_ns": 7 * S,
        "first_ns": 7 * S + S // 2,
        "end_ns": 9 * S,
        "prompt_tokens": 120,
        "reused": 20,
        "output_tokens": 5,
        "characters": 30,
    }
    return answer_metrics(**(given | changed))  # type: ignore[arg-type]


def test_the_figures_of_an_answer() -> None:
    # TPOT = (2000 - 500) / 4, prefill = (120 - 20) / 0.5 s, text = 30 / 2 s.
    assert figures() == AnswerMetrics(
        ttft_ms=500.0,
        tpot_ms=375.0,
        e2e_ms=2000.0,
        prefill_tok_s=200.0,
        decode_tok_s=1000 / 375,
        chars_s=15.0,
    )
    assert figures(reused=0).prefill_tok_s == 240.0


def test_one_token_has_no_time_per_further_token() -> None:
    one = figures(output_tokens=1)
    assert (one.tpot_ms, one.decode_tok_s) == (None, None)
    assert (one.ttft_ms, one.e2e_ms, one.prefill_tok_s, one.chars_s) == (500, 2000, 200, 15)
    assert figures(output_tokens=0).tpot_ms is None


def test_no_time_gives_no_speed() -> None:
    still = figures(first_ns=7 * S, end_ns=7 * S)
    assert (still.ttft_ms, still.e2e_ms) == (0.0, 0.0)
    assert (still.tpot_ms, still.prefill_tok_s, still.decode_tok_s, still.chars_s) == (None,) * 4
    at_once = figures(end_ns=7 * S + S // 2)
    assert (at_once.tpot_ms, at_once.decode_tok_s) == (None, None)


def test_a_prompt_that_was_reused_whole_has_no_prefill_speed() -> None:
    assert figures(reused=120).prefill_tok_s is None
    assert figures(prompt_tokens=0, reused=0).prefill_tok_s is None
    assert figures(reused=119).prefill_tok_s == 2.0


def test_an_answer_without_a_token_has_only_its_whole_time() -> None:
    assert figures(first_ns=None, output_tokens=0, characters=0) == AnswerMetrics(
        None, None, 2000.0, None, None, None
    )


def test_an_answer_without_visible_text_has_a_text_speed_of_zero() -> None:
    assert figures(characters=0).chars_s == 0.0


def test_rounded_figures_have_three_digits_of_times_and_two_of_rates() -> None:
    made = figures(end_ns=9 * S + 123_456_789, output_tokens=4).rounded()
    # TPOT = (2123.456789 - 500) / 3 = 541.152263, decode = 1000 / that, text = 30 / 2.123456789 s.
    assert made == AnswerMetrics(500.0, 541.152, 2123.457, 200.0, 1.85, 14.13)
    assert figures(first_ns=None).rounded() == figures(first_ns=None)


@pytest.mark.parametrize(
    ("ttft", "e2e", "tokens", "wanted"),
    [(100, 1100, 11, 100.0), (100, 1100, 2, 1000.0), (100, 1100, 1, None), (100, 100, 9, None)],
)
def test_time_per_output_token(ttft: int, e2e: int, tokens: int, wanted: float | None) -> None:
    tpot = metrics.tpot_ms(ttft, e2e, tokens)
    assert tpot == wanted
    assert metrics.decode_tok_s(tpot) == (None if wanted is None else 1000 / wanted)


def without_white_space(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(("lang", "name"), [("en", "README.md"), ("zh", "README.zh.md")])
def test_the_readmes_quote_the_formulas(lang: str, name: str) -> None:
    text = without_white_space((ROOT / name).read_text("utf-8"))
    assert not [f for f in FORMULAS[lang].values() if without_white_space(f) not in text]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_reports_footnotes_quote_the_formulas(lang: str, tmp_path: Path) -> None:
    assert FORMULAS["en"].keys() == FORMULAS["zh"].keys()
    questions = [{"id": "one", "turns": ["?"]}]
    path = record_session(tmp_path, recorded_header(["a"], questions), lambda *_: "text")
    document = build_report([reader.read(path)], lang)
    for formula in FORMULAS[lang].values():
        assert formula in document.footnotes[0]
    for render in (html.render, markdown.render):
        text = without_white_space(render(document))
        for formula in FORMULAS[lang].values():
            assert without_white_space(formula) in text


def test_every_export_carries_the_reused_prompt_tokens(tmp_path: Path) -> None:
    questions = [{"id": "one", "turns": ["?"]}]
    reusing = ev.Answered(9, "stop", 120, 5, ttft_ms=500.0, prefill_tok_s=200.0, reused=20)
    extra: list[tuple[int, ev.Body]] = [
        (0, ev.Asked(9, "one", "?", repeat=1)),
        (0, ev.Started(9)),
        (0, reusing),
    ]
    path = record_session(
        tmp_path, recorded_header(["a"], questions), lambda *_: "text", extra=extra
    )
    session = reader.read(path)
    merged = merge_sessions([session])
    exports = {
        "run --json": json_document(fold(session.events), "")["models"][0]["answers"],
        "JSONL": [json.loads(line) for line in rows.to_jsonl(merged).splitlines()],
        "CSV": list(csv.DictReader(io.StringIO(rows.to_csv(merged), newline=""))),
    }
    for name, answers in exports.items():
        assert [int(answer["reused"]) for answer in answers] == [0, 20], name
        names = list(answers[0])
        assert names.index("reused") == names.index("accepted") + 1, name

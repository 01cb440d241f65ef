"""Costs with their spreads, and overlap with references."""

from statistics import median
from typing import Any

import pytest

from tui import events as ev
from tui.board import Answer
from tui.scoring.costs import METRICS, compute_costs
from tui.scoring.overlap import compute_overlap


def answer(id_: int, state: str = "answered", **figures: Any) -> Answer:
    made = ev.Answered(id_, "stop", **figures) if state == "answered" else None
    return Answer(id_, 0, "q", 0, "?", 0, state=state, chunks=["字" * id_], figures=made)


def test_contended_values_are_left_out_of_times_only_and_counted() -> None:
    answers = [
        answer(1, ttft_ms=100.0, output_tokens=5, peak_private=10**9),
        answer(2, ttft_ms=300.0, output_tokens=9, peak_private=2 * 10**9),
        answer(3, ttft_ms=9000.0, output_tokens=7, contended=True),
        answer(4, ttft_ms=None, output_tokens=1),
        answer(5, state="failed"),
        answer(6, state="cancelled"),
    ]
    loads = [ev.Loaded(2.0, checkpoint_bytes=10**9), ev.Loaded(4.0)]
    places = {id(a): (a.id, 0) for a in answers}
    found = compute_costs([*loads, ev.Loaded(9.0, contended=True)], answers, places)
    assert found.keys() == {metric.id for metric in METRICS}
    ttft = found["ttft"]
    assert (ttft.n, ttft.median, ttft.low, ttft.high, ttft.contended) == (2, 200, 100, 300, 1)
    assert (found["tokens"].n, found["tokens"].median) == (4, median([5, 9, 7, 1]))
    assert (found["chars"].n, found["chars"].high) == (4, 4)
    assert (found["load"].n, found["load"].median, found["load"].contended) == (2, 3, 1)
    assert (found["checkpoint"].n, found["checkpoint"].median) == (1, 1)
    assert (found["private"].n, found["private"].high) == (2, 2)
    assert (found["tpot"].n, found["tpot"].median) == (0, None)
    alone = compute_costs((), [answers[2]], places)["ttft"]
    assert (alone.n, alone.median, alone.contended, alone.is_contended) == (1, 9000, 0, True)


def test_overlap_knows_chinese_and_misleads_as_told() -> None:
    same = compute_overlap("同济大学位于上海。", ["同济大学位于上海。"])
    assert same.bleu == pytest.approx(100) and same.chrf == pytest.approx(100)
    assert compute_overlap("同济大学在上海市。", ["同济大学位于上海。"]).bleu > 20, (
        "zh tokenisation"
    )
    reference = "The cat sat on the mat and looked at the small grey bird outside"
    negated = compute_overlap(reference.replace("sat", "never sat"), [reference])
    paraphrase = compute_overlap("A feline rested there, watching a little sparrow", [reference])
    assert negated.bleu > 60 > 20 > paraphrase.bleu
    assert compute_overlap("", ["x"]).bleu == 0

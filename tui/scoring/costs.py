"""What a model costs: each figure with its number of values, median and range.

The formulas are those of `tui.metrics`. Values measured while another model computed on the
same cores (contended) are left out and counted, where there are others. A question gives one
value: the mean over its answers.
"""

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import TypeVar

from tui.board import Answer
from tui.events import Answered, Loaded

Measured = TypeVar("Measured", Loaded, Answered)

GB = 1e9
"""Bytes in the GB that figures are given in."""

Place = tuple[Hashable, int]
"""What an answer is to: a question, and a turn of it."""
Places = Mapping[int, Place]
"""The places of answers by their identity (`id`)."""


def mean(values: Sequence[float]) -> float:
    """Their arithmetic mean, also where their sum is no float any more."""
    try:
        return fmean(values)
    except OverflowError:
        return math.fsum(value / len(values) for value in values)


def question_means(values: Iterable[tuple[Place, float]]) -> list[float]:
    """One value of each question: the mean over its turns, of each turn the mean of its answers.
    So a question that was asked ten times counts as one asked once."""
    by_question: dict[Hashable, dict[int, list[float]]] = {}
    for (question, turn), value in values:
        by_question.setdefault(question, {}).setdefault(turn, []).append(value)
    return [mean([mean(found) for found in turns.values()]) for turns in by_question.values()]


@dataclass(frozen=True, slots=True)
class Spread:
    """``n`` values with their median and range (None where there are none), which are the means
    (`question_means`) of ``answers`` answers, or of as many loads. Of these ``contended`` counts
    those that were left out, ``estimated`` those that rest on an estimated number of tokens,
    ``batched`` those that were taken while several answers of the model were decoded together.
    ``is_contended``: there were no others than contended ones, and the figures are theirs."""

    n: int
    median: float | None
    low: float | None
    high: float | None
    answers: int = 0
    contended: int = 0
    estimated: int = 0
    batched: int = 0
    is_contended: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that models are compared by. ``direction`` is -1 where less is better, 1 where
    more is, 0 where neither; ``is_timed`` figures are spoilt by contention, ``is_token_based``
    ones are only as exact as the number of tokens in the answer."""

    id: str
    unit: str
    direction: int
    is_timed: bool = False
    is_token_based: bool = False


PEAK_RAM = Metric("ram", "GB", -1)
"""Private and mapped memory together at their highest, whatever the model did."""
TEXT_SPEED = Metric("chars_s", "chars/s", 1, is_timed=True)
"""The sum of characters over the sum of time, of the questions that all models answered."""

METRICS = (
    Metric("load", "s", -1, is_timed=True),
    Metric("import", "s", -1, is_timed=True),
    Metric("read", "s", -1, is_timed=True),
    Metric("prepare", "s", -1, is_timed=True),
    Metric("checkpoint", "GB", -1),
    Metric("weights", "GB", -1),
    Metric("load_ram", "GB", -1),
    Metric("answer_ram", "GB", -1),
    Metric("private", "GB", 0),
    Metric("mapped", "GB", 0),
    Metric("ttft", "ms", -1, is_timed=True),
    Metric("answer_ttft", "ms", -1, is_timed=True),
    Metric("tpot", "ms", -1, is_timed=True, is_token_based=True),
    Metric("prefill", "tok/s", 1, is_timed=True),
    Metric("decode", "tok/s", 1, is_timed=True, is_token_based=True),
    Metric("answer_chars_s", "chars/s", 1, is_timed=True),
    Metric("e2e", "s", -1, is_timed=True),
    Metric("tokens", "tok", 0, is_token_based=True),
    Metric("thought", "tok", 0, is_token_based=True),
    Metric("chars", "chars", 0),
)

"""Those with a spread: over loads, or over answers."""

METRICS_BY_ID = {metric.id: metric for metric in (*METRICS, PEAK_RAM, TEXT_SPEED)}

_OF_LOAD: dict[str, Callable[[Loaded], float | None]] = {
    # For pasted answers nothing is loaded.
    "load": lambda loaded: loaded.load_s or None,
    "import": lambda loaded: loaded.import_s or None,
    "read": lambda loaded: loaded.read_s or None,
    "prepare": lambda loaded: loaded.prepare_s or None,
    "load_ram": lambda loaded: (loaded.peak_private + loaded.peak_mapped) / GB or None,
    "checkpoint": lambda loaded: loaded.checkpoint_bytes / GB or None,
    "weights": lambda loaded: loaded.weights_bytes / GB or None,
}


def answer_ttft(figures: Answered) -> float | None:
    """Milliseconds until the answer behind a thought began; None of an answer without a thought,
    whose TTFT says it."""
    return figures.answer_ttft_ms if figures.thought_tokens else None


_OF_ANSWER: dict[str, Callable[[Answered, Answer], float | None]] = {
    "answer_ram": lambda figures, _: (figures.peak_private + figures.peak_mapped) / GB or None,
    "private": lambda figures, _: figures.peak_private / GB or None,
    "mapped": lambda figures, _: figures.peak_mapped / GB or None,
    "ttft": lambda figures, _: figures.ttft_ms,
    "answer_ttft": lambda figures, _: answer_ttft(figures),
    "tpot": lambda figures, _: figures.tpot_ms,
    "prefill": lambda figures, _: figures.prefill_tok_s,
    "decode": lambda figures, _: figures.decode_tok_s,
    "answer_chars_s": lambda figures, answer: figures.chars_s if answer.has_text else None,
    "e2e": lambda figures, answer: (
        figures.e2e_ms / 1000 if answer.has_text and figures.e2e_ms is not None else None
    ),
    "tokens": lambda figures, answer: figures.output_tokens if answer.has_text else None,
    "thought": lambda figures, _: figures.thought_tokens or None,
    "chars": lambda _, answer: len(answer.text) if answer.has_text else None,
}


def _spread(values: Iterable[float]) -> Spread:
    """Number, median and range of ``values``."""
    found = sorted(values)
    if not found:
        return Spread(0, None, None, None)
    return Spread(len(found), median(found), found[0], found[-1])


def compute_costs(
    loads: Sequence[Loaded],
    answers: Sequence[Answer],
    places: Places,
    common: Collection[int] = (),
) -> dict[str, Spread]:
    """The spread of each of `METRICS`, from every load and every complete answer; times only from
    the ``common`` answers (`tui.scoring.glance.common_answers`), if there are any.

    Failed and cancelled answers have no figures and do not count, nor do empty ones where a
    figure is one of text; memory of 0 bytes means that it was not measured (a model that is
    held elsewhere).
    """
    done = [(a.figures, a) for a in answers if a.figures is not None and a.state == "answered"]
    table: dict[str, Spread] = {}
    for metric in METRICS:
        if of_load := _OF_LOAD.get(metric.id):
            told = [
                (load, (number, 0), v)
                for number, load in enumerate(loads)
                if (v := of_load(load)) is not None
            ]
            table[metric.id] = _of_clean(metric, told)[0]
            continue
        of_answer = _OF_ANSWER[metric.id]
        timed = [pair for pair in done if id(pair[1]) in common] if metric.is_timed else []
        values = [
            (figures, places[id(a)], v)
            for figures, a in timed or done
            if (v := of_answer(figures, a)) is not None
        ]
        found, kept = _of_clean(metric, values)
        left_out = sum(
            f.contended and of_answer(f, a) is not None
            for f, a in done
            if timed and id(a) not in common
        )
        guessed = sum(f.token_source == "estimate" for f in kept) if metric.is_token_based else 0
        batched = sum(f.batch > 1 for f in kept) if metric.is_timed else 0
        table[metric.id] = replace(
            found, contended=found.contended + left_out, estimated=guessed, batched=batched
        )
    return table


def _of_clean(
    metric: Metric, values: Sequence[tuple[Measured, Place, float]]
) -> tuple[Spread, list[Measured]]:
    """The spread of the values that were measured without contention, of all where there are no
    others, and what they are of."""
    clean = [one for one in values if not (metric.is_timed and one[0].contended)]
    kept = clean or values
    found = replace(
        _spread(question_means((place, value) for _, place, value in kept)),
        answers=len(kept),
        contended=len(values) - len(kept),
        is_contended=bool(values) and not clean,
    )
    return found, [one for one, _, _ in kept]

"""What is printed of two models where they are compared, who is first by it, and whether a test
over questions bears it out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median

from tui.board import Answer
from tui.metrics import chars_s
from tui.reports import evidence
from tui.reports.certainty import POINTS, RATIO, STARS, Scale, ratio_of
from tui.reports.document import format_figure
from tui.reports.merge import MergedSessions
from tui.scoring import rank
from tui.scoring.rank import Comparison

Headline = Callable[[Comparison], tuple[str, str]]
"""The two printed values of a comparison."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What models are compared in: the ``key`` of its sentence and the one of its ``name``, how
    differences are written, and the values of its headline with the key of their ``unit``.
    ``direction`` is -1 where less is better. ``is_averaged`` says whether several answers to one
    question stand behind a value of a headline."""

    key: str
    name: str
    scale: Scale
    headline: Headline
    direction: int = 1
    is_timed: bool = False
    unit: str = ""
    is_averaged: Callable[[Comparison], bool] = lambda _: False

    def gap(self, found: Comparison) -> float:
        """The difference of the printed values, above 0 where the left one is ahead; 0 where one of
        them is not known."""
        left, right = self.headline(found)
        try:
            gap = float(left.rstrip("%")) - float(right.rstrip("%"))
        except ValueError:
            return 0.0
        return self.direction * gap

    def is_borne_out(self, found: Comparison) -> bool:
        """Whether the printed values and the test point to the same side."""
        return self.gap(found) * self.direction * found.lead > 0

    def rank(self, comparisons: Sequence[Comparison], labels: Sequence[str]) -> list[str]:
        """The models by their printed values (`tui.scoring.rank.rank_models`)."""
        return rank.rank_models(comparisons, labels, self.gap)

    def ring(self, comparisons: Sequence[Comparison]) -> list[str]:
        """As `tui.scoring.rank.find_ring`, by the printed values."""
        return rank.find_ring(comparisons, self.gap)

    def clear_leader(self, comparisons: Sequence[Comparison], labels: Sequence[str]) -> str:
        """The model that is ahead of every other one by values that a test bears out; empty if
        there is none."""
        if not comparisons:
            return ""
        leader, *others = self.rank(comparisons, labels)
        for other in others:
            one = rank.find_comparison(comparisons, leader, other)
            if one is None or one.verdict not in ("better", "worse"):
                return ""
            if self.gap(one) <= 0 or not self.is_borne_out(one):
                return ""
        return leader if others else ""


def mean_stars(found: Comparison) -> tuple[str, str]:
    """The mean stars of both."""
    left, right = (f"{fmean(side):.2f}" for side in zip(*found.pairs, strict=True))
    return left, right


def _mean_passed(found: Comparison) -> tuple[str, str]:
    left, right = (f"{fmean(side):.0%}" for side in zip(*found.pairs, strict=True))
    return left, right


def _questions_won(found: Comparison) -> tuple[str, str]:
    return str(found.score.wins), str(found.score.losses)


STARS_TOPIC = Topic("c_stars", "c_stars_topic", STARS, mean_stars)
CHECKS_TOPIC = Topic("c_checks", "checks", POINTS, _mean_passed)
VOTES_TOPIC = Topic("c_votes", "c_votes_topic", POINTS, _questions_won)


def time_topic(merged: MergedSessions) -> Topic:
    """Seconds to the end of an answer: medians over questions."""
    return Topic(
        *("c_fast", "c_fast_topic", RATIO, _median_seconds),
        direction=-1,
        is_timed=True,
        unit="unit_s",
        is_averaged=partial(_has_several_answers, merged),
    )


def text_speed_topic(merged: MergedSessions) -> Topic:
    """Characters over seconds of the answers that are compared."""
    headline = partial(_text_speeds, merged)
    return Topic("c_chars", "c_chars_topic", RATIO, headline, is_timed=True, unit="unit_chars/s")


def _median_seconds(found: Comparison) -> tuple[str, str]:
    sides = zip(*found.pairs, strict=True)
    left, right = (format_figure(median(map(_seconds_of, side))) for side in sides)
    return left, right


def _seconds_of(log: float) -> float:
    """What stands in the tables: the way over a logarithm shall not change a digit."""
    return float(f"{ratio_of(log):.12g}")


def _has_several_answers(merged: MergedSessions, found: Comparison) -> bool:
    return any(len(side) > found.n for side in evidence.compared_answers(merged, found))


def _text_speeds(merged: MergedSessions, found: Comparison) -> tuple[str, str]:
    left, right = map(text_speed, evidence.compared_answers(merged, found))
    return format_figure(left), format_figure(right)


def text_speed(answers: Sequence[Answer]) -> float | None:
    """Their characters over their seconds, in sum."""
    timed = [(a, a.figures.e2e_ms) for a in answers if a.figures and a.figures.e2e_ms is not None]
    return chars_s(sum(len(a.text) for a, _ in timed), sum(ms for _, ms in timed))

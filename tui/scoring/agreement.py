"""Agreement: of a judge with people, of people among themselves, and what it corrects.

- Kappa: J. Cohen, "A Coefficient of Agreement for Nominal Scales" (1960).
- Alpha: K. Krippendorff, "Content Analysis", 4th ed. (2019), ch. 12.
- Corrected share: C. Lee et al., "How to Correctly Report LLM-as-a-Judge Evaluations",
  arXiv 2511.21140 (2025), after W. J. Rogan and B. Gladen (1978).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tui.board import Board
from tui.board.judgements import MAX_STARS
from tui.events import Judged
from tui.scoring.paired import Z_95
from tui.scoring.rank import QuestionPairs

JUDGE_CHOICES = ("left", "right", "tie")
MIN_CALIBRATION = 20
"""Questions that a person and the judge both decided, from which on a share is corrected."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Over ``n`` pairs with both: ``same`` preference, ``opposite``, the rest tied for one
    of the two. ``kappa`` is agreement beyond chance, None where chance alone would always
    agree."""

    n: int
    same: int
    opposite: int
    kappa: float | None


def compute_agreement(boards: Iterable[tuple[Board, Iterable[Judged]]]) -> Agreement:
    """Compare each readable verdict with what people said of the two answers, over sessions."""
    seen = []
    for board, judged in boards:
        for event in judged:
            person = person_choice(board, event.left, event.right)
            if event.choice in JUDGE_CHOICES and person:
                seen.append((person, event.choice))
    same = sum(person == judge for person, judge in seen)
    opposite = sum({*pair} == {"left", "right"} for pair in seen)
    return Agreement(len(seen), same, opposite, cohen_kappa(seen))


def person_choice(board: Board, left: int, right: int) -> str:
    """Which of two answers people prefer, by their votes, else by their stars in common
    dimensions: ``left``, ``right``, ``tie``, or empty if nobody said."""
    points = []
    for (_, _, a, b), choice in board.ballots.items():
        if {a, b} == {left, right} and choice in (*JUDGE_CHOICES, "bad"):
            mine = {"left": 1, "right": -1}.get(choice, 0)
            points.append(mine if a == left else -mine)
    if not points:
        one, other = (_ratings(board, id_) for id_ in (left, right))
        points = [one[key] - other[key] for key in one.keys() & other.keys()]
    if not points:
        return ""
    return "left" if sum(points) > 0 else "right" if sum(points) < 0 else "tie"


def _ratings(board: Board, id_: int) -> Mapping[tuple[str, str], int]:
    answer = board.answers.get(id_)
    given = answer.ratings if answer is not None else {}
    return {key: stars for key, stars in given.items() if 1 <= stars <= MAX_STARS}


def cohen_kappa(seen: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of pairs of labels; None without any, and where chance always agrees."""
    n = len(seen)
    if not n:
        return None
    observed = sum(a == b for a, b in seen) / n
    first, second = Counter(a for a, _ in seen), Counter(b for _, b in seen)
    chance = sum(first[label] * second[label] for label in first) / (n * n)
    return None if chance >= 1 else (observed - chance) / (1 - chance)


Distance = Callable[[int, int], float]


def krippendorff_alpha(units: Iterable[Sequence[int]], is_ordinal: bool) -> float | None:
    """Krippendorff's alpha over the values that raters gave to each unit, in no order; of ordered
    levels or of mere names. None without two raters of a unit, and where all values are equal."""
    rated = [values for values in units if len(values) > 1]
    counts = Counter(value for values in rated for value in values)
    n = sum(counts.values())
    if len(counts) < 2:
        return None
    distance = _ordinal_distance(counts) if is_ordinal else lambda a, b: float(a != b)
    observed = math.fsum(
        distance(a, b) / (len(values) - 1) for values in rated for a in values for b in values
    )
    expected = math.fsum(counts[a] * counts[b] * distance(a, b) for a in counts for b in counts)
    return 1 - (n - 1) * observed / expected


def _ordinal_distance(counts: Mapping[int, int]) -> Distance:
    def distance(a: int, b: int) -> float:
        low, high = min(a, b), max(a, b)
        between = sum(count for level, count in counts.items() if low <= level <= high)
        return 0.0 if a == b else float((between - (counts[a] + counts[b]) / 2) ** 2)

    return distance


@dataclass(frozen=True, slots=True)
class CorrectedShare:
    """The share of decided questions that people would give to the first model, with its 95 %
    interval; from ``n`` questions that people and the judge both decided."""

    share: float
    interval: tuple[float, float]
    n: int


def correct_share(judge: QuestionPairs, people: QuestionPairs) -> CorrectedShare | None:
    """The judge's share of wins of the first of two models, corrected by how often the judge
    agrees with people; None below `MIN_CALIBRATION` common questions, and where the judge is no
    better than chance.

    Both hold the points of the two models by question. Plug-in interval of Lee et al., section 3.
    """
    told = {q: a > b for q, (a, b) in judge.items() if a != b}
    true = {q: a > b for q, (a, b) in people.items() if a != b}
    common = told.keys() & true.keys()
    won = [told[q] for q in common if true[q]]
    lost = [not told[q] for q in common if not true[q]]
    if len(common) < MIN_CALIBRATION or not won or not lost:
        return None
    p, q1, q0 = (fmean(x) for x in ([*told.values()], won, lost))
    if q0 + q1 <= 1:
        return None
    n, m1, m0 = len(told), len(won), len(lost)
    z2 = Z_95 * Z_95
    share = _clamp((p + q0 - 1) / (q0 + q1 - 1))
    # With pseudo-counts (A. Agresti, B. A. Coull, 1998), so that shares of 0 and 1 have a width.
    p, n_ = (n * p + z2 / 2) / (n + z2), n + z2
    q1, m1_ = (m1 * q1 + 1) / (m1 + 2), m1 + 2
    q0, m0_ = (m0 * q0 + 1) / (m0 + 2), m0 + 2
    slope = q0 + q1 - 1
    if slope <= 0:
        return None
    centre = _clamp((p + q0 - 1) / slope)
    of_q0, of_q1 = q0 * (1 - q0) / m0_, q1 * (1 - q1) / m1_
    variance = (p * (1 - p) / n_ + (1 - centre) ** 2 * of_q0 + centre**2 * of_q1) / slope**2
    centre += 2 * z2 * (centre * of_q1 - (1 - centre) * of_q0)
    half = Z_95 * math.sqrt(variance)
    return CorrectedShare(share, (_clamp(centre - half), _clamp(centre + half)), len(common))


def _clamp(share: float) -> float:
    return min(1.0, max(0.0, share))

"""Pairwise comparison of models: win counts, confidence intervals, paired bootstrap.

- Wilson score interval for a share of n: E. B. Wilson, "Probable Inference, the Law of
  Succession, and Statistical Inference", JASA 22 (1927).
- Paired bootstrap over questions: B. Efron, R. Tibshirani, "An Introduction to the
  Bootstrap" (1993), ch. 8; percentile interval.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

Z_95 = 1.959963984540054
"""Quantile of the normal distribution for a two-sided interval of 95 %."""
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Duel:
    """One comparison of two models on a question; ``result`` is ``left``, ``right``,
    ``tie`` or ``bad`` (both are: a tie that says something else)."""

    question: str
    left: str
    right: str
    result: str


@dataclass(frozen=True, slots=True)
class DuelScore:
    """Of one model against another, or against all."""

    wins: int = 0
    ties: int = 0
    losses: int = 0

    @property
    def n(self) -> int:
        """All comparisons."""
        return self.wins + self.ties + self.losses

    @property
    def share(self) -> float | None:
        """Wins among the decided comparisons; None where none was decided."""
        decided = self.wins + self.losses
        return self.wins / decided if decided else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of `share`."""
        return wilson_interval(self.wins, self.wins + self.losses)

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` where the interval leaves out one half, else ``unclear``."""
        low, high = self.interval
        return "better" if low > 0.5 else "worse" if high < 0.5 else "unclear"


def wilson_interval(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """The Wilson score interval of ``successes`` in ``n``; (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * (share * (1 - share) / n + z2 / (4 * n * n)) ** 0.5
    # At the ends rounding would leave the true bound of 0 or 1 by an ulp.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    return low, 1.0 if successes == n else min(1.0, centre + half)


def pairwise_scores(duels: Iterable[Duel]) -> dict[tuple[str, str], DuelScore]:
    """The score of each model against each other it met; both directions are there."""
    counts: dict[tuple[str, str], list[int]] = {}
    for duel in duels:
        mine = counts.setdefault((duel.left, duel.right), [0, 0, 0])
        theirs = counts.setdefault((duel.right, duel.left), [0, 0, 0])
        place = {"left": 0, "right": 2}.get(duel.result, 1)
        mine[place] += 1
        theirs[2 - place] += 1
    return {pair: DuelScore(*found) for pair, found in counts.items()}


def overall_scores(duels: Iterable[Duel]) -> dict[str, DuelScore]:
    """The score of each model against all others together."""
    totals: dict[str, DuelScore] = {}
    for (model, _), score in pairwise_scores(duels).items():
        old = totals.get(model, DuelScore())
        totals[model] = DuelScore(
            old.wins + score.wins, old.ties + score.ties, old.losses + score.losses
        )
    return totals


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """The mean difference (left - right) of a score per question, with its interval over
    ``n`` questions (None with fewer than two)."""

    n: int
    mean: float
    interval: tuple[float, float] | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def paired_bootstrap(
    left: Mapping[str, float],
    right: Mapping[str, float],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> MeanDifference | None:
    """Compare two models by a score per question, paired over the questions both have.

    The questions are drawn again with replacement, seeded, so that the same data give the
    same interval. None where they share no question.
    """
    gaps = [left[q] - right[q] for q in sorted(left.keys() & right.keys())]
    if not gaps:
        return None
    if len(gaps) < 2:
        return MeanDifference(1, gaps[0], None)
    drawn = random.Random(seed)
    means = sorted(fmean(drawn.choices(gaps, k=len(gaps))) for _ in range(resamples))
    cut = round(resamples * 0.025)
    return MeanDifference(len(gaps), fmean(gaps), (means[cut], means[-cut - 1]))


def rank_models(scores: Mapping[str, DuelScore], models: Sequence[str]) -> list[str]:
    """The models by their share of decided comparisons, best first; those without come last."""

    def key(model: str) -> float:
        share = scores[model].share if model in scores else None
        return 1.0 if share is None else -share

    return sorted(models, key=key)


def points_by_question(
    duels: Iterable[Duel], a: str, b: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Per question the mean points of two models against each other: 1 for a win, 0.5 for
    a tie; for `paired_bootstrap`."""
    found: dict[str, list[float]] = {}
    for duel in duels:
        if {duel.left, duel.right} == {a, b}:
            mine = {"left": 1.0, "right": 0.0}.get(duel.result, 0.5)
            found.setdefault(duel.question, []).append(mine if duel.left == a else 1 - mine)
    left = {question: fmean(values) for question, values in found.items()}
    return left, {question: 1 - value for question, value in left.items()}

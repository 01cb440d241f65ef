"""Pairwise comparison of models over the questions that both have.

All pairs of one table are compared together (`compare_pairs`): which of two leads, how sure that
is (`tui.scoring.paired`), and whether the leads go round in a ring.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import TypeVar

from tui.scoring import paired
from tui.scoring.costs import mean

Samples = Mapping[str, Mapping[Hashable, float]]
"""Of one model: question -> part of it (a turn, a dimension) -> value."""
Key = TypeVar("Key", bound=Hashable)
QuestionPairs = dict[str, tuple[float, float]]
"""Of two models: question -> the values of both, over the parts that both have."""


@dataclass(frozen=True, slots=True)
class Duel:
    """One comparison of two models on a question; ``result`` is ``left``, ``right``,
    ``tie`` or ``bad`` (both are: a tie that says something else)."""

    question: str
    left: str
    right: str
    result: str


@dataclass(frozen=True, slots=True)
class Score:
    """Questions won, tied and lost by one model, against another one or against all."""

    wins: int = 0
    ties: int = 0
    losses: int = 0

    @property
    def n(self) -> int:
        """All questions."""
        return self.wins + self.ties + self.losses

    @property
    def share(self) -> float | None:
        """Wins among the decided questions; None where none was decided."""
        decided = self.wins + self.losses
        return self.wins / decided if decided else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `share`."""
        return paired.share_interval(self.wins, self.wins + self.losses)

    def __add__(self, other: "Score") -> "Score":
        return Score(self.wins + other.wins, self.ties + other.ties, self.losses + other.losses)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models over their common questions.

    ``pairs`` holds the two values of each of ``questions``; ``p`` is corrected for the ``among``
    pairs of models of the same table. ``by_wins``: only who won a question counts, not by how
    much. ``verdict`` is ``better`` or ``worse`` (said of ``left``), ``unclear``, or ``few``: so
    few questions that none could be given.
    """

    left: str
    right: str
    questions: tuple[str, ...]
    pairs: tuple[tuple[float, float], ...]
    p: float
    among: int
    by_wins: bool
    verdict: str

    @property
    def n(self) -> int:
        """Common questions."""
        return len(self.pairs)

    @property
    def gaps(self) -> list[float]:
        """Left minus right, per question."""
        return [left - right for left, right in self.pairs]

    @property
    def gap(self) -> float:
        """The mean of `gaps`."""
        return fmean(self.gaps)

    @property
    def deviation(self) -> float:
        """The standard deviation of `gaps`; 0 for fewer than two."""
        return stdev(self.gaps) if self.n > 1 else 0.0

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of `gap`, not corrected for other pairs."""
        return paired.mean_interval(self.gaps)

    @property
    def score(self) -> Score:
        """The questions as wins, ties and losses of the left one."""
        return _score(self.gaps)

    @property
    def lead(self) -> float:
        """Above 0 where the left one leads, below where the right one does."""
        return self.score.wins - self.score.losses if self.by_wins else self.gap

    def flipped(self) -> "Comparison":
        """The same, seen from the right one."""
        verdict = {"better": "worse", "worse": "better"}.get(self.verdict, self.verdict)
        pairs = tuple((right, left) for left, right in self.pairs)
        return replace(self, left=self.right, right=self.left, pairs=pairs, verdict=verdict)


Lead = Callable[[Comparison], float]
"""Above 0 where the left one leads, below where the right one does."""


def _score(gaps: Sequence[float]) -> Score:
    wins, losses = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    return Score(wins, len(gaps) - wins - losses, losses)


def pair_samples(left: Samples, right: Samples) -> QuestionPairs:
    """The mean of both over the parts of each question that both have."""
    found = {}
    for question in left.keys() & right.keys():
        parts = left[question].keys() & right[question].keys()
        if parts:
            one, other = ([side[question][part] for part in parts] for side in (left, right))
            found[question] = (mean(one), mean(other))
    return found


def pair_models(samples: Mapping[str, Samples]) -> dict[tuple[str, str], QuestionPairs]:
    """Every two models that have a question in common, by name."""
    names = list(samples)
    found = {
        (a, b): pair_samples(samples[a], samples[b])
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    }
    return {models: pairs for models, pairs in found.items() if pairs}


def pair_duels(duels: Iterable[Duel]) -> dict[tuple[str, str], QuestionPairs]:
    """Every two models that met, with their mean points on each question: 1 for a win, 0.5 for a
    tie. Several comparisons on one question count once."""
    points: dict[tuple[str, str], dict[str, list[float]]] = {}
    for duel in duels:
        left = {"left": 1.0, "right": 0.0}.get(duel.result, 0.5)
        models, mine = (duel.left, duel.right), left
        if (duel.right, duel.left) in points:
            models, mine = (duel.right, duel.left), 1 - left
        points.setdefault(models, {}).setdefault(duel.question, []).append(mine)
    return {
        models: {q: (fmean(p), 1 - fmean(p)) for q, p in by_question.items()}
        for models, by_question in points.items()
    }


def compare_pairs(
    pairs: Mapping[tuple[str, str], QuestionPairs], by_wins: bool = False
) -> list[Comparison]:
    """Compare every two models of one table: by the mean of their differences, or ``by_wins``."""
    return compare_tables({"": pairs}, by_wins)[""]


def compare_tables(
    tables: Mapping[Key, Mapping[tuple[str, str], QuestionPairs]], by_wins: bool = False
) -> dict[Key, list[Comparison]]:
    """`compare_pairs` of several tables, as of dimensions: all pairs of all tables are corrected
    together."""
    test = _wins_p if by_wins else paired.sign_flip_p
    rows = [
        (key, models, sorted(pairs.items()))
        for key, table in tables.items()
        for models, pairs in table.items()
    ]
    gaps = [[left - right for _, (left, right) in pairs] for _, _, pairs in rows]
    corrected = paired.holm([test(one) for one in gaps])
    found: dict[Key, list[Comparison]] = {key: [] for key in tables}
    for (key, models, pairs), mine, p in zip(rows, gaps, corrected, strict=True):
        found[key].append(
            Comparison(
                *models,
                tuple(question for question, _ in pairs),
                tuple(both for _, both in pairs),
                p,
                len(rows),
                by_wins,
                _verdict(mine, p, len(rows), by_wins),
            )
        )
    return found


def _wins_p(gaps: Sequence[float]) -> float:
    score = _score(gaps)
    return paired.binomial_p(score.wins, score.losses)


def _verdict(gaps: Sequence[float], p: float, among: int, by_wins: bool) -> str:
    if len(gaps) < paired.least_questions(among):
        return "few"
    low, high = _bounds(gaps, by_wins)
    # Both have to agree: an interval that holds zero beside a verdict would contradict it.
    if p > paired.ALPHA or low <= 0 <= high:
        return "unclear"
    return "better" if low > 0 else "worse"


def _bounds(gaps: Sequence[float], by_wins: bool) -> tuple[float, float]:
    if by_wins:
        low, high = _score(gaps).interval
        return low - 0.5, high - 0.5
    return paired.mean_interval(gaps) or (0.0, 0.0)


def find_comparison(comparisons: Iterable[Comparison], a: str, b: str) -> Comparison | None:
    """The comparison of two models, seen from ``a``; None if they never met."""
    for found in comparisons:
        if (found.left, found.right) == (a, b):
            return found
        if (found.left, found.right) == (b, a):
            return found.flipped()
    return None


def rank_models(
    comparisons: Sequence[Comparison], models: Sequence[str], lead: Lead = lambda c: c.lead
) -> list[str]:
    """The models by how many others they lead, less how many lead them (A. H. Copeland, 1951),
    then by their leads in sum; those that met nobody come last."""
    met = {model for c in comparisons for model in (c.left, c.right)}
    seen = [one for c in comparisons for one in (c, c.flipped())]

    def key(model: str) -> tuple[bool, float, float]:
        leads = [lead(c) for c in seen if c.left == model]
        return model not in met, -sum((x > 0) - (x < 0) for x in leads), -sum(leads)

    return sorted(models, key=key)


def overall_scores(comparisons: Iterable[Comparison]) -> dict[str, Score]:
    """The score of each model against all others together."""
    found: dict[str, Score] = {}
    for c in comparisons:
        for side in (c, c.flipped()):
            found[side.left] = found.get(side.left, Score()) + side.score
    return found


def find_ring(comparisons: Iterable[Comparison], lead: Lead = lambda c: c.lead) -> list[str]:
    """The shortest ring of models each of which leads the next one, and the last the first;
    empty where the leads give an order."""
    leads: dict[str, list[str]] = {}
    for c in comparisons:
        if by := lead(c):
            first, second = (c.left, c.right)[:: 1 if by > 0 else -1]
            leads.setdefault(first, []).append(second)
    rings = (_way_back(model, leads) for model in leads)
    return min((ring for ring in rings if ring), key=len, default=[])


def _way_back(start: str, leads: Mapping[str, Sequence[str]]) -> list[str]:
    """The shortest way from a model along leads to itself."""
    ways, seen = [[start]], {start}
    for way in ways:
        for other in leads.get(way[-1], ()):
            if other == start:
                return way
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return []

"""Ratings from pairwise comparisons, if there are enough of them to fit.

R. A. Bradley, M. E. Terry, "Rank Analysis of Incomplete Block Designs" (1952), fitted with D. R.
Hunter's MM algorithm (Annals of Statistics 32, 2004); a tie is half a win for both. Where a group
of models never lost to the rest the ratings run away (L. R. Ford, 1957): then there are none.
Intervals are by questions: the delete-one jackknife with Student's quantile (B. Efron, "The
Jackknife, the Bootstrap and Other Resampling Plans", 1982).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tui.scoring import paired
from tui.scoring.rank import Comparison

MIN_QUESTIONS = 6
"""On which each pair of models that met has to have met."""
_NO_SPREAD = 1e-6
"""Points of a rating. Where all questions say the same, nothing says how sure it is."""
_TOLERANCE = 1e-12
_MAX_ROUNDS = 10_000

Wins = dict[tuple[str, str], float]
"""How often the first beat the second; a tie is half a win."""


@dataclass(frozen=True, slots=True)
class Rating:
    """On Elo's scale (400 points: odds of ten to one), 1000 on average; ``interval`` is None
    where a single question holds the models together, and where all say the same."""

    value: float
    interval: tuple[float, float] | None


def why_no_ratings(comparisons: Sequence[Comparison]) -> str:
    """Why no ratings can be fitted: ``few`` (a pair met on less than `MIN_QUESTIONS`), ``apart``
    (some model cannot be compared with some other in both directions), or empty."""
    if not comparisons or any(c.n < MIN_QUESTIONS for c in comparisons):
        return "few"
    return "" if _is_connected(_count_wins(comparisons), _models(comparisons)) else "apart"


def fit_ratings(comparisons: Sequence[Comparison]) -> dict[str, Rating]:
    """The ratings by model.

    Raises:
        ValueError: none can be fitted (`why_no_ratings`).
    """
    if why := why_no_ratings(comparisons):
        raise ValueError(why)
    models = _models(comparisons)
    ratings = _fit(_count_wins(comparisons), models, dict.fromkeys(models, 1.0))
    intervals = _jackknife(comparisons, models, ratings)
    found = _on_elo_scale(ratings)
    return {model: Rating(found[model], intervals.get(model)) for model in models}


def _models(comparisons: Iterable[Comparison]) -> list[str]:
    return list(dict.fromkeys(model for c in comparisons for model in (c.left, c.right)))


def _count_wins(comparisons: Iterable[Comparison], without: str | None = None) -> Wins:
    wins: Wins = {}
    for c in comparisons:
        for question, (left, right) in zip(c.questions, c.pairs, strict=True):
            if question != without:
                points = 1.0 if left > right else 0.0 if left < right else 0.5
                for models, mine in (((c.left, c.right), points), ((c.right, c.left), 1 - points)):
                    wins[models] = wins.get(models, 0.0) + mine
    return wins


def _is_connected(wins: Wins, models: Sequence[str]) -> bool:
    """Whether each model beat or tied each other one, or one that did, and so on."""
    return all(len(_reachable(model, wins)) == len(models) for model in models)


def _reachable(model: str, wins: Wins) -> set[str]:
    found, todo = {model}, [model]
    while todo:
        current = todo.pop()
        for (a, b), count in wins.items():
            if a == current and b not in found and count > 0:
                found.add(b)
                todo.append(b)
    return found


def _fit(wins: Wins, models: Sequence[str], start: Mapping[str, float]) -> dict[str, float]:
    """The strengths, up to a common factor."""
    strength = dict(start)
    won = {model: math.fsum(n for (a, _), n in wins.items() if a == model) for model in models}
    for _ in range(_MAX_ROUNDS):
        weight = dict.fromkeys(models, 0.0)
        for (a, b), n in wins.items():
            met = n / (strength[a] + strength[b])
            weight[a] += met
            weight[b] += met
        new = {model: won[model] / weight[model] for model in models}
        mean = math.exp(fmean(math.log(value) for value in new.values()))
        new = {model: value / mean for model, value in new.items()}
        change = max(abs(new[m] / strength[m] - 1) for m in models)
        strength = new
        if change < _TOLERANCE:
            break
    return strength


def _on_elo_scale(strength: Mapping[str, float]) -> dict[str, float]:
    logs = {model: 400 * math.log10(value) for model, value in strength.items()}
    mean = fmean(logs.values())
    return {model: 1000 + value - mean for model, value in logs.items()}


def _jackknife(
    comparisons: Sequence[Comparison], models: Sequence[str], ratings: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    questions = sorted({question for c in comparisons for question in c.questions})
    without: list[dict[str, float]] = []
    for question in questions:
        wins = _count_wins(comparisons, question)
        if not _is_connected(wins, models):
            return {}
        without.append(_on_elo_scale(_fit(wins, models, ratings)))
    n, whole = len(questions), _on_elo_scale(ratings)
    found = {}
    for model in models:
        values = [fitted[model] for fitted in without]
        mean = fmean(values)
        error = math.sqrt((n - 1) / n * math.fsum((value - mean) ** 2 for value in values))
        if error < _NO_SPREAD:
            continue
        half = paired.t_quantile(paired.ALPHA, n - 1) * error
        found[model] = (whole[model] - half, whole[model] + half)
    return found

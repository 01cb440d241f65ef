"""Ratings from pairwise votes, if there are enough votes to fit them.

R. A. Bradley, M. E. Terry, "Rank Analysis of Incomplete Block Designs" (1952), as evalica
computes it (an optional dependency). With few votes, or where a group of models never lost
to the rest, the ratings collapse or run away (L. R. Ford, 1957): then there are none.
"""

import math
from collections.abc import Mapping, Sequence

from tui.scoring.rank import Duel, DuelScore, pairwise_scores

MIN_VOTES = 20
"""Of each pair that met."""


def why_no_ratings(duels: Sequence[Duel]) -> str:
    """Why no ratings can be fitted: ``few`` (a pair met less than `MIN_VOTES` times), ``apart``
    (some model cannot be compared with some other in both directions), or empty."""
    scores = pairwise_scores(duels)
    models = {model for pair in scores for model in pair}
    if len(models) < 2 or any(score.n < MIN_VOTES for score in scores.values()):
        return "few"
    return "" if all(_reachable(m, scores) >= models for m in models) else "apart"


def _reachable(model: str, scores: Mapping[tuple[str, str], DuelScore]) -> set[str]:
    """The models that ``model`` beat or tied, or that those did, and so on; with itself."""
    found, todo = {model}, [model]
    while todo:
        current = todo.pop()
        for (a, b), score in scores.items():
            if a == current and b not in found and score.wins + score.ties:
                found.add(b)
                todo.append(b)
    return found


def fit_ratings(duels: Sequence[Duel]) -> dict[str, float]:
    """Ratings on Elo's scale (400 points: odds of ten to one), 1000 on average.

    Raises:
        ImportError: evalica is not installed.
        ValueError: no ratings can be fitted (`why_no_ratings`).
    """
    import evalica  # type: ignore[import-not-found,unused-ignore]

    if why := why_no_ratings(duels):
        raise ValueError(why)
    winners = {"left": evalica.Winner.X, "right": evalica.Winner.Y}
    result = evalica.bradley_terry(
        [duel.left for duel in duels],
        [duel.right for duel in duels],
        [winners.get(duel.result, evalica.Winner.Draw) for duel in duels],
    )
    logs = {str(model): 400 * math.log10(score) for model, score in result.scores.items()}
    mean = math.fsum(logs.values()) / len(logs)
    return {model: 1000 + value - mean for model, value in logs.items()}

"""Agreement of a person's stars with a judge's verdicts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from tui.board import Answer
from tui.events import Judged
from tui.scoring.stars import newest_verdicts

JUDGE_CHOICES = ("left", "right", "tie")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Over ``n`` pairs with both: ``same`` preference, ``opposite``, the rest tied for one
    of the two. ``kappa`` is Cohen's (1960): agreement beyond chance, None where chance
    alone would always agree."""

    n: int
    same: int
    opposite: int
    kappa: float | None


def compute_agreement(judged: Iterable[Judged], answers: Mapping[int, Answer]) -> Agreement:
    """Compare each readable verdict with the mean stars of the two answers."""
    seen = []
    for event in newest_verdicts(judged):
        left, right = (_stars(answers.get(id_)) for id_ in (event.left, event.right))
        if event.choice in JUDGE_CHOICES and left is not None and right is not None:
            person = "left" if left > right else "right" if right > left else "tie"
            seen.append((person, event.choice))
    same = sum(person == judge for person, judge in seen)
    opposite = sum({*pair} == {"left", "right"} for pair in seen)
    return Agreement(len(seen), same, opposite, _kappa(seen))


def _stars(answer: Answer | None) -> float | None:
    return fmean(answer.stars.values()) if answer is not None and answer.stars else None


def _kappa(seen: list[tuple[str, str]]) -> float | None:
    n = len(seen)
    if not n:
        return None
    observed = sum(a == b for a, b in seen) / n
    chance = sum(
        sum(a == c for a, _ in seen) * sum(b == c for _, b in seen) / (n * n) for c in JUDGE_CHOICES
    )
    return None if chance >= 1 else (observed - chance) / (1 - chance)

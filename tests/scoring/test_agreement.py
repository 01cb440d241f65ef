"""Kappa, Krippendorff's alpha, and shares corrected by agreement."""

import random

import pytest

from tui.scoring.agreement import cohen_kappa, correct_share, krippendorff_alpha
from tui.scoring.rank import QuestionPairs

# The data of K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C:
# four observers, twelve units, values missing.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
UNITS = [[v for v in unit if v is not None] for unit in zip(*OBSERVERS, strict=True)]


def test_alpha_is_krippendorffs() -> None:
    # By the package krippendorff 0.9.0: alpha(OBSERVERS, level_of_measurement=...)
    assert krippendorff_alpha(UNITS, False) == pytest.approx(0.743421052631579, abs=1e-9)
    assert krippendorff_alpha(UNITS, True) == pytest.approx(0.8153875037548814, abs=1e-9)


def test_alpha_where_it_is_not_defined() -> None:
    assert krippendorff_alpha([], True) is None
    assert krippendorff_alpha([[1], [2]], True) is None, "nothing was rated twice"
    assert krippendorff_alpha([[3, 3], [3, 3]], True) is None, "no variation"
    assert krippendorff_alpha([[1, 1], [5, 5], [3, 3]], True) == 1
    systematic = krippendorff_alpha([[1, 5], [5, 1], [1, 5], [5, 1]], True)
    assert systematic is not None and systematic < 0


def test_kappa_is_that_of_statsmodels() -> None:
    # statsmodels 0.15.0: cohens_kappa([[20, 5, 1], [10, 15, 2], [2, 3, 9]]).kappa
    table = [[20, 5, 1], [10, 15, 2], [2, 3, 9]]
    seen = [("lrt"[i], "lrt"[j]) for i in range(3) for j in range(3) for _ in range(table[i][j])]
    observed, n = 44, 67
    chance = (26 * 32 + 27 * 23 + 14 * 12) / n**2
    found = cohen_kappa(seen)
    assert found == pytest.approx((observed / n - chance) / (1 - chance), abs=1e-12)
    assert found == pytest.approx(0.4626917712691771, abs=1e-9)
    assert cohen_kappa([("a", "a")] * 3) is None and cohen_kappa([]) is None


def made(noise: random.Random, n: int, share: float, q1: float, q0: float) -> list[QuestionPairs]:
    """Points of the judge on ``n`` questions, and of people on the first half of them."""
    judge: QuestionPairs = {}
    people: QuestionPairs = {}
    for i in range(n):
        true = noise.random() < share
        told = (noise.random() < q1) if true else (noise.random() >= q0)
        judge[str(i)] = (1.0, 0.0) if told else (0.0, 1.0)
        if i < n // 2:
            people[str(i)] = (1.0, 0.0) if true else (0.0, 1.0)
    return [judge, people]


def test_a_biased_judge_is_corrected_and_the_interval_holds_the_truth() -> None:
    noise = random.Random(2)
    inside, shares = 0, []
    for _ in range(300):
        found = correct_share(*made(noise, 160, 0.4, 0.95, 0.7))
        assert found is not None and found.n == 80
        shares.append(found.share)
        inside += found.interval[0] <= 0.4 <= found.interval[1]
    # The judge alone says 0.4 * 0.95 + 0.6 * 0.3 = 0.56.
    assert sum(shares) / 300 == pytest.approx(0.4, abs=0.02)
    assert inside >= 276, "95 % of 300 is 285"


def test_a_share_is_not_corrected_from_too_little() -> None:
    noise = random.Random(1)
    assert correct_share(*made(noise, 38, 0.5, 0.9, 0.9)) is None, "19 in common"
    assert correct_share(*made(noise, 60, 0.5, 0.9, 0.9)) is not None
    assert correct_share(*made(noise, 60, 0.5, 0.4, 0.4)) is None, "no better than chance"
    assert correct_share(*made(noise, 60, 1.0, 0.9, 0.9)) is None, "people never chose the other"

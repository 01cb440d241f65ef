"""Tests over paired questions: what a difference of two models is worth.

The unit is a question: repeats, turns and dimensions of one question are averaged first
(E. Miller, "Adding Error Bars to Evals", arXiv 2411.00640, 2024). Question sets are small, so
nothing here rests on the central limit theorem or the bootstrap (S. Bowyer et al., arXiv
2503.01747, 2025):

- a mean difference has Student's paired t interval and an exact sign-flip p (R. A. Fisher, "The
  Design of Experiments", 1935, section 21);
- counts of wins and losses have an exact binomial p and C. J. Clopper and E. S. Pearson's
  interval (Biometrika 26, 1934);
- all pairs of one table are corrected together (S. Holm, Scand. J. Statistics 6, 1979).
"""

import math
import operator
import random
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from statistics import NormalDist, fmean, stdev

ALPHA = 0.05
"""Level of a verdict, and of intervals."""
EXACT_UP_TO = 14
"""Questions up to which every combination of signs is gone through."""
DRAWS = 10_000
"""Combinations that are drawn above that."""
SEED = 1935
"""Of those draws, so that the same data give the same p."""
POWER = 0.8
"""How often a real difference is to be found, where a number of questions is recommended."""
MOST_QUESTIONS = 10_000
"""Above this number of questions nothing is recommended."""

Z_95 = NormalDist().inv_cdf(1 - ALPHA / 2)
"""Quantile of the normal distribution for a two-sided interval of 95 %."""

_BLOCK = 8
"""Differences whose signed sums are looked up together."""


def t_probability(t: float, df: int) -> float:
    """P(-t <= T <= t) of Student's distribution with ``df`` degrees of freedom.

    The finite sums of M. Abramowitz and I. Stegun, "Handbook of Mathematical Functions", 26.7.3
    and 26.7.4.
    """
    angle = math.atan2(t, math.sqrt(df))
    cosine = math.cos(angle)
    odd = df % 2
    term, total = (cosine if odd else 1.0), 0.0
    for i in range(odd + 1, df, 2):
        total += term
        term *= cosine * cosine * i / (i + 1)
    total *= math.sin(angle)
    return (2 / math.pi) * (angle + total) if odd else total


@cache
def t_quantile(alpha: float, df: int) -> float:
    """The t that a two-sided test at level ``alpha`` has to pass."""
    low, high = 0.0, 2.0
    while t_probability(high, df) < 1 - alpha:
        low, high = high, high * 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_probability(middle, df) < 1 - alpha else (low, middle)
    return (low + high) / 2


def mean_interval(gaps: Sequence[float], alpha: float = ALPHA) -> tuple[float, float] | None:
    """Student's interval of the mean of independent differences; None for fewer than two."""
    if len(gaps) < 2:
        return None
    mean, half = fmean(gaps), half_width(stdev(gaps), len(gaps), alpha)
    return mean - half, mean + half


def half_width(deviation: float, n: int, alpha: float = ALPHA) -> float:
    """Half of Student's interval: the smallest mean difference that ``n`` questions can show."""
    return t_quantile(alpha, n - 1) * deviation / math.sqrt(n)


def sign_flip_p(gaps: Sequence[float]) -> float:
    """Two-sided p of a mean of zero, if each difference could as well have the other sign.

    Exact (all 2^n signs) up to `EXACT_UP_TO` differences; above, of `DRAWS` drawn combinations,
    with the observed one counted among them (B. Phipson, G. K. Smyth, 2010).
    """
    # A report asks of the same differences for its tables, its conclusion and its advice.
    return _sign_flip_p(tuple(gaps)) if gaps else 1.0


@lru_cache(maxsize=256)
def _sign_flip_p(gaps: tuple[float, ...]) -> float:
    # Sums that differ only by rounding are equal.
    bound = abs(math.fsum(gaps)) - 1e-9 * math.fsum(map(abs, gaps))
    if len(gaps) <= EXACT_UP_TO:
        # The mirror image of each combination is as far from zero: the first sign can stay.
        sums = _signed_sums(gaps[1:], gaps[0])
        return sum(abs(s) >= bound for s in sums) / len(sums)
    drawn, totals = random.Random(SEED), [0.0] * DRAWS
    for start in range(0, len(gaps), _BLOCK):
        sums = _signed_sums(gaps[start : start + _BLOCK])
        # A byte chooses the signs of a block; in a short one its upper bits choose nothing.
        sums *= 256 // len(sums)
        totals = list(map(operator.add, totals, map(sums.__getitem__, drawn.randbytes(DRAWS))))
    return (sum(abs(total) >= bound for total in totals) + 1) / (DRAWS + 1)


def _signed_sums(gaps: Sequence[float], start: float = 0.0) -> list[float]:
    """``start`` with every combination of signs of ``gaps`` added."""
    sums = [start]
    for gap in gaps:
        sums = [s + gap for s in sums] + [s - gap for s in sums]
    return sums


def binomial_p(wins: int, losses: int) -> float:
    """Exact two-sided p of ``wins`` against ``losses`` between equals; ties do not count."""
    n, k = wins + losses, max(wins, losses)
    return min(1.0, 2 * _upper_tail(k, n, 0.5))


@cache
def share_interval(wins: int, n: int, alpha: float = ALPHA) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share of ``n``; (0, 1) for n = 0."""
    low, high = 0.0, 1.0
    if wins > 0:
        low = _bisect(lambda share: _upper_tail(wins, n, share) < alpha / 2)
    if wins < n:
        high = 1 - _bisect(lambda share: _upper_tail(n - wins, n, share) < alpha / 2)
    return low, high


def _bisect(is_below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def _upper_tail(k: int, n: int, share: float) -> float:
    """P(X >= k) of a binomial variable."""
    if k <= 0 or share >= 1:
        return 1.0
    if share <= 0:
        return 0.0
    if k <= n * share:
        return 1 - _upper_tail(n - k + 1, n, 1 - share)
    whole = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    term = math.exp(whole + k * math.log(share) + (n - k) * math.log1p(-share))
    odds, total = share / (1 - share), 0.0
    for i in range(k, n + 1):
        total += term
        # Above the mode the terms only become smaller.
        if term < total * 1e-17:
            break
        term *= (n - i) / (i + 1) * odds
    return min(1.0, total)


def holm(ps: Sequence[float]) -> list[float]:
    """Each p corrected for all of them; in the order given."""
    found, running = [1.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        running = max(running, (len(ps) - rank) * ps[i])
        found[i] = min(1.0, running)
    return found


def least_questions(pairs: int) -> int:
    """How many questions a verdict needs at least where ``pairs`` are corrected together: with
    fewer, even differences of one sign have a p above the level."""
    return 1 + math.ceil(math.log2(max(pairs, 1) / ALPHA))


def questions_for_gap(gap: float, deviation: float, pairs: int = 1) -> int | None:
    """How many questions would show a mean difference as large as ``gap`` in `POWER` of all runs,
    if differences keep their standard ``deviation``; None above `MOST_QUESTIONS`.

    The usual n of a paired t test, by the normal quantiles with Guenther's correction (W. C.
    Guenther, The American Statistician 35, 1981).
    """
    if not gap:
        return None
    z = NormalDist().inv_cdf(1 - ALPHA / (2 * pairs))
    root = (z + NormalDist().inv_cdf(POWER)) * deviation / abs(gap)
    return _whole(root * root + z * z / 2, pairs)


def questions_for_share(share: float, pairs: int = 1) -> int | None:
    """How many decided questions would show such a share of wins in `POWER` of all runs; None
    above `MOST_QUESTIONS` (J. L. Fleiss, "Statistical Methods for Rates and Proportions", 2nd ed.,
    1981, with correction for continuity)."""
    if share == 0.5:
        return None
    z = NormalDist().inv_cdf(1 - ALPHA / (2 * pairs))
    spread = math.sqrt(share * (1 - share))
    gap = abs(share - 0.5)
    n = ((z / 2 + NormalDist().inv_cdf(POWER) * spread) / gap) ** 2
    return _whole(n / 4 * (1 + math.sqrt(1 + 2 / (n * gap))) ** 2, pairs)


def _whole(n: float, pairs: int) -> int | None:
    return max(math.ceil(n), least_questions(pairs)) if n <= MOST_QUESTIONS else None


def wins_needed(n: int, pairs: int = 1) -> int | None:
    """How many of ``n`` decided questions one side has to win for a verdict; None if even all
    are too few."""
    return next(
        (k for k in range(n // 2 + 1, n + 1) if binomial_p(k, n - k) * pairs <= ALPHA), None
    )

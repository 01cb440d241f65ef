"""Intervals and p of small samples, against scipy and published values."""

import itertools
import random
from statistics import fmean, stdev

import pytest
from scipy import stats

from benchmarks.support import sign_flips
from tui.scoring import paired


@pytest.mark.parametrize("df", [1, 2, 3, 5, 6, 7, 11, 30, 99, 400])
@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.05 / 15, 1e-4])
def test_quantiles_of_t_are_those_of_scipy(df: int, alpha: float) -> None:
    wanted = stats.t.ppf(1 - alpha / 2, df)
    assert paired.t_quantile(alpha, df) == pytest.approx(wanted, rel=1e-9)
    assert paired.t_probability(wanted, df) == pytest.approx(1 - alpha, rel=1e-12)


@pytest.mark.parametrize("n", [2, 6, 8, 30, 200])
def test_mean_interval_is_that_of_scipy(n: int) -> None:
    noise = random.Random(n)
    gaps = [noise.gauss(0.3, 1) for _ in range(n)]
    wanted = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
    found = paired.mean_interval(gaps)
    assert found is not None
    assert found == pytest.approx((wanted.low, wanted.high), rel=1e-9)
    assert paired.mean_interval(gaps[:1]) is None
    assert fmean(gaps) - found[0] == pytest.approx(paired.half_width(stdev(gaps), n), rel=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9, 14])
def test_sign_flips_are_exact(n: int) -> None:
    noise = random.Random(n)
    gaps = [float(noise.choice([-2, -1, 0, 1, 1, 2, 3])) for _ in range(n)]
    # Every combination of signs, written out.
    sums = [
        abs(sum(s * g for s, g in zip(signs, gaps, strict=True)))
        for signs in itertools.product((1, -1), repeat=n)
    ]
    wanted = sum(s >= abs(sum(gaps)) for s in sums) / len(sums)
    assert paired.sign_flip_p(gaps) == pytest.approx(wanted, abs=1e-12)
    if n > 1:
        flips = stats.permutation_test(
            (gaps,), lambda x: fmean(x), permutation_type="samples", n_resamples=10**6
        )
        assert paired.sign_flip_p(gaps) == pytest.approx(flips.pvalue, rel=1e-9)


def test_above_that_signs_are_drawn_the_same_ones_each_time() -> None:
    noise = random.Random(3)
    for n in (15, 30, 100):
        gaps = [noise.gauss(0.25, 1) for _ in range(n)]
        found = paired.sign_flip_p(gaps)
        assert found == paired.sign_flip_p(gaps)
        # The t test is close for normal differences of this number.
        assert found == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue, abs=0.025)
    assert paired.sign_flip_p([1.0] * 40) == pytest.approx(1 / (paired.DRAWS + 1))
    assert paired.sign_flip_p([]) == 1


@pytest.mark.parametrize(
    ("wins", "losses"),
    [(0, 0), (4, 0), (5, 0), (6, 0), (7, 1), (12, 15), (1, 13_999), (9_000, 5_000), (512, 500)],
)
def test_binomial_is_that_of_scipy(wins: int, losses: int) -> None:
    n = wins + losses
    if n:
        wanted = stats.binomtest(wins, n)
        interval = wanted.proportion_ci(0.95, "exact")
        assert paired.binomial_p(wins, losses) == pytest.approx(wanted.pvalue, rel=1e-9)
        found = paired.share_interval(wins, n)
        assert found == pytest.approx((interval.low, interval.high), abs=1e-9)
    else:
        assert paired.binomial_p(0, 0) == 1 and paired.share_interval(0, 0) == (0, 1)


def test_holm_is_that_of_statsmodels() -> None:
    # statsmodels 0.15.0: multipletests([.01, .04, .03, .005, .5, .04], method="holm")[1]
    found = paired.holm([0.01, 0.04, 0.03, 0.005, 0.5, 0.04])
    assert found == pytest.approx([0.05, 0.12, 0.12, 0.03, 0.5, 0.12], rel=1e-9)
    assert paired.holm([]) == []


def test_the_least_number_of_questions_is_the_first_that_can_pass() -> None:
    assert paired.least_questions(1) == 6
    for pairs in (1, 3, 6, 10, 15):
        n = paired.least_questions(pairs)
        assert paired.sign_flip_p([1.0] * n) * pairs <= paired.ALPHA
        assert paired.sign_flip_p([1.0] * (n - 1)) * pairs > paired.ALPHA


def test_wins_needed_is_the_first_number_that_passes() -> None:
    assert [paired.wins_needed(n) for n in (5, 6, 8, 9, 12, 30)] == [None, 6, 8, 8, 10, 21]
    assert paired.wins_needed(8, 6) == 8 and paired.wins_needed(7, 6) is None


def test_the_recommended_number_finds_the_gap_in_four_of_five_runs() -> None:
    needed = paired.questions_for_gap(0.5, 1.0)
    # statsmodels 0.15.0: TTestPower().solve_power(effect_size=0.5, alpha=0.05, power=0.8) is 33.37
    assert needed == 34
    noise = random.Random(5)
    runs = [[noise.gauss(0.5, 1) for _ in range(needed)] for _ in range(400)]
    found = sum(stats.ttest_1samp(run, 0).pvalue <= 0.05 for run in runs)
    assert 290 <= found <= 350
    for share in (0.6, 0.7, 0.8, 0.9):
        n = paired.questions_for_share(share)
        assert n is not None
        passing = [k for k in range(n + 1) if stats.binomtest(k, n).pvalue <= 0.05]
        assert 0.78 <= stats.binom.pmf(passing, n, share).sum() <= 0.9
    assert paired.questions_for_gap(0, 1) is None and paired.questions_for_share(0.5) is None
    assert paired.questions_for_gap(1e-300, 1) is None
    assert paired.questions_for_gap(1.0, 0) == 6, "never fewer than a verdict needs"


@pytest.mark.parametrize("n", [0, 1, 2, 7, 14, 15, 16, 20, 23, 30])
def test_the_simulation_flips_signs_as_the_program_does(n: int) -> None:
    noise = random.Random(n)
    for gaps in ([noise.gauss(0.3, 1) for _ in range(n)], [float(noise.randint(-2, 3))] * n):
        assert sign_flips.sign_flip_p(gaps) == pytest.approx(paired.sign_flip_p(gaps), abs=1e-12)

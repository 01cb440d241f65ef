"""Wins, intervals, resampling and ratings."""

import random

import pytest

from tui.scoring import bradley_terry, rank
from tui.scoring.rank import Duel, DuelScore


def duels(*results: str, left: str = "a", right: str = "b") -> list[Duel]:
    return [Duel(f"q{i}", left, right, result) for i, result in enumerate(results)]


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Values of R's prop.test(x, n, correct = FALSE)$conf.int
    [
        (5, 6, 0.4365, 0.9699),
        (10, 10, 0.7225, 1.0),
        (0, 10, 0.0, 0.2775),
        (50, 100, 0.4038, 0.5962),
    ],
)
def test_wilson_interval(successes: int, n: int, low: float, high: float) -> None:
    found = rank.wilson_interval(successes, n)
    assert found == pytest.approx((low, high), abs=1e-4)
    assert 0 <= found[0] <= found[1] <= 1


def test_score_counts_both_ways_and_bad_is_a_tie() -> None:
    scores = rank.pairwise_scores(duels("left", "right", "tie", "bad", "left"))
    assert scores["a", "b"] == DuelScore(2, 2, 1)
    assert scores["b", "a"] == DuelScore(1, 2, 2)
    assert scores["a", "b"].share == pytest.approx(2 / 3)


def test_few_votes_are_unclear_and_many_are_not() -> None:
    assert rank.pairwise_scores(duels(*["left"] * 3))["a", "b"].verdict == "unclear"
    assert rank.pairwise_scores(duels(*["left"] * 9))["a", "b"].verdict == "better"
    assert rank.pairwise_scores(duels(*["left"] * 9))["b", "a"].verdict == "worse"
    assert rank.pairwise_scores(duels(*["tie"] * 9))["a", "b"].share is None


def test_order_puts_the_best_first_and_the_unknown_last() -> None:
    overall = rank.overall_scores([*duels("right", "right"), *duels("left", left="c", right="b")])
    assert rank.rank_models(overall, ["a", "b", "c", "d"]) == ["c", "b", "a", "d"]


def test_bootstrap_is_seeded_paired_and_honest() -> None:
    noise = random.Random(1)
    left = {f"q{i}": 3 + noise.random() for i in range(30)}
    right = {q: v - 0.5 for q, v in left.items()} | {"only here": 9.0}
    found = rank.paired_bootstrap(left, right)
    assert found is not None and found == rank.paired_bootstrap(left, right)
    assert found.n == 30 and found.mean == pytest.approx(0.5)
    assert found.is_clear, "each question differs by the same: pairing takes the noise out"
    unpaired = {q: noise.random() for q in left}
    unclear = rank.paired_bootstrap(unpaired, {q: noise.random() for q in left})
    assert unclear is not None and not unclear.is_clear
    one = rank.paired_bootstrap({"q": 2}, {"q": 1})
    assert one is not None and one.interval is None and not one.is_clear
    assert rank.paired_bootstrap({"q": 2}, {"p": 1}) is None


def test_bootstrap_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    noise = random.Random(7)
    covered = 0
    for seed in range(100):
        left = {str(i): noise.gauss(0.3, 1) for i in range(40)}
        found = rank.paired_bootstrap(left, dict.fromkeys(left, 0.0), seed, resamples=400)
        assert found is not None and found.interval is not None
        covered += found.interval[0] <= 0.3 <= found.interval[1]
    assert covered >= 86


def test_points_of_duels() -> None:
    found = rank.points_by_question([*duels("left", "tie"), Duel("q0", "b", "a", "left")], "a", "b")
    assert found == ({"q0": 0.5, "q1": 0.5}, {"q0": 0.5, "q1": 0.5})


def test_no_ratings_without_enough_votes_or_without_a_way_back() -> None:
    assert bradley_terry.why_no_ratings(duels("left", "right")) == "few"
    assert bradley_terry.why_no_ratings(duels(*["left"] * 25)) == "apart"
    assert bradley_terry.why_no_ratings(duels(*["left"] * 20, *["right"] * 10)) == ""


def test_ratings_recover_the_odds() -> None:
    pytest.importorskip("evalica")
    found = bradley_terry.fit_ratings(duels(*["left"] * 100, *["right"] * 10))
    assert found["a"] - found["b"] == pytest.approx(400, abs=1)
    assert sum(found.values()) == pytest.approx(2000)

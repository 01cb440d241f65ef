"""Pairing, verdicts, orders and rings, and ratings."""

import random

import evalica
import pytest

from tui.scoring import bradley_terry, rank
from tui.scoring.rank import Comparison, Duel, Samples, Score


def duels(*results: str, left: str = "a", right: str = "b") -> list[Duel]:
    return [Duel(f"q{i}", left, right, result) for i, result in enumerate(results)]


def compare(*given: list[Duel]) -> list[Comparison]:
    return rank.compare_pairs(rank.pair_duels([d for one in given for d in one]), by_wins=True)


def test_score_counts_both_ways_and_bad_is_a_tie() -> None:
    (found,) = compare(duels("left", "right", "tie", "bad", "left"))
    assert found.score == Score(2, 2, 1) and found.flipped().score == Score(1, 2, 2)
    assert found.score.share == pytest.approx(2 / 3)
    assert rank.overall_scores([found]) == {"a": Score(2, 2, 1), "b": Score(1, 2, 2)}


def test_repeats_of_a_question_are_one_unit() -> None:
    (found,) = compare([Duel("q", "a", "b", "left")] * 9 + [Duel("p", "b", "a", "left")])
    assert found.score == Score(1, 0, 1) and found.questions == ("p", "q")
    (even,) = compare([Duel("q", "a", "b", "left"), Duel("q", "b", "a", "left")])
    assert even.score == Score(0, 1, 0)


@pytest.mark.parametrize(
    ("results", "verdict"),
    [
        (["left"] * 5, "few"),
        (["left"] * 6, "better"),
        (["right"] * 6, "worse"),
        (["left"] * 5 + ["tie"], "unclear"),
        (["left"] * 7 + ["right"], "unclear"),  # p = 0.07
        (["left"] * 8 + ["right"], "better"),  # p = 0.039
        (["tie"] * 9, "unclear"),
    ],
)
def test_verdicts_of_votes_are_exact(results: list[str], verdict: str) -> None:
    (found,) = compare(duels(*results))
    assert found.verdict == verdict
    assert {"better": "worse", "worse": "better"}.get(verdict, verdict) == found.flipped().verdict


def test_three_models_need_more_than_two() -> None:
    six = ["left"] * 6
    found = compare(duels(*six), duels(*six, right="c"), duels(*six, left="b", right="c"))
    assert {c.verdict for c in found} == {"few"} and found[0].p == pytest.approx(3 / 32)
    seven = ["left"] * 7
    found = compare(duels(*seven), duels(*seven, right="c"), duels(*seven, left="b", right="c"))
    assert {c.verdict for c in found} == {"better"}


def test_only_common_parts_of_common_questions_are_compared() -> None:
    left: Samples = {
        "q1": {"logic": 5.0, "humour": 1.0},
        "q2": {"logic": 4.0},
        "q3": {"logic": 1.0},
    }
    right: Samples = {
        "q1": {"logic": 3.0},
        "q2": {"humour": 5.0},
        "q3": {"logic": 2.0, "humour": 5.0},
    }
    assert rank.pair_samples(left, right) == {"q1": (5.0, 3.0), "q3": (1.0, 2.0)}
    assert rank.pair_models({"a": left, "b": {"q9": {"logic": 1.0}}}) == {}


def test_pairing_takes_the_noise_of_questions_out() -> None:
    noise = random.Random(1)
    left: Samples = {f"q{i:02}": {0: noise.uniform(1, 5)} for i in range(12)}
    right: Samples = {q: {0: v[0] - 0.5 + noise.uniform(-0.2, 0.2)} for q, v in left.items()}
    (found,) = rank.compare_pairs(rank.pair_models({"a": left, "b": right}))
    assert found.verdict == "better" and found.gap == pytest.approx(0.5, abs=0.1)
    assert found.p == pytest.approx(2 / 2**12) and found.interval is not None
    (few,) = rank.compare_pairs(rank.pair_models({"a": left, "b": dict(list(right.items())[:5])}))
    assert few.verdict == "few"


def test_an_outlier_alone_is_no_verdict() -> None:
    pairs = {f"q{i}": (x, 0.0) for i, x in enumerate([0.1, 0.1, 0.1, 0.1, 0.1, 90.0])}
    (found,) = rank.compare_pairs({("a", "b"): pairs})
    assert found.p == pytest.approx(2 / 64), "all signs are the same"
    assert found.interval is not None and found.interval[0] < 0 and found.verdict == "unclear"


def test_order_puts_the_best_first_and_the_unknown_last() -> None:
    found = compare(duels("right", "right"), duels("left", left="c", right="b"))
    assert rank.rank_models(found, ["d", "a", "b", "c"]) == ["c", "b", "a", "d"]
    assert rank.find_ring(found) == []
    assert rank.find_comparison(found, "a", "c") is None


def test_a_ring_is_found_whichever_way_the_pairs_are_written() -> None:
    found = compare(
        duels("left"), duels("left", left="b", right="c"), duels("right", left="a", right="c")
    )
    ring = rank.find_ring(found)
    assert sorted(ring) == ["a", "b", "c"]
    at = ring.index("a")
    assert [*ring[at:], *ring[:at]] == ["a", "b", "c"]
    back = rank.find_ring(found, lambda c: -c.lead)
    assert [*back[(at := back.index("a")) :], *back[:at]] == ["a", "c", "b"]


def test_no_ratings_without_enough_votes_or_without_a_way_back() -> None:
    assert bradley_terry.why_no_ratings(compare(duels("left", "right"))) == "few"
    assert bradley_terry.why_no_ratings(compare(duels(*["left"] * 25))) == "apart"
    assert bradley_terry.why_no_ratings(compare(duels(*["left"] * 6, "right"))) == ""
    with pytest.raises(ValueError, match="apart"):
        bradley_terry.fit_ratings(compare(duels(*["left"] * 25)))


def test_ratings_recover_the_odds() -> None:
    found = bradley_terry.fit_ratings(compare(duels(*["left"] * 100, *["right"] * 10)))
    assert found["a"].value - found["b"].value == pytest.approx(400, abs=1e-6)
    assert found["a"].value + found["b"].value == pytest.approx(2000)


def test_ties_alone_do_not_say_how_sure_a_rating_is() -> None:
    ties = [Duel(f"q{i}", "a", "b", "tie") for i in range(8)]
    found = bradley_terry.fit_ratings(rank.compare_pairs(rank.pair_duels(ties), by_wins=True))
    assert {one.value for one in found.values()} == {1000} and found["a"].interval is None


def test_ratings_are_those_of_evalica() -> None:
    noise = random.Random(4)
    strength = {"a": 3.0, "b": 2.0, "c": 1.0, "d": 0.5}
    given = []
    for i in range(60):
        for left, right in (("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("a", "c")):
            share = strength[left] / (strength[left] + strength[right])
            result = noise.choices(["left", "right", "tie"], [share, 1 - share, 0.2])[0]
            given.append(Duel(f"q{i:02}", left, right, result))
    winners = {"left": evalica.Winner.X, "right": evalica.Winner.Y, "tie": evalica.Winner.Draw}
    scores = evalica.bradley_terry(
        [d.left for d in given],
        [d.right for d in given],
        [winners[d.result] for d in given],
        tolerance=1e-14,
        limit=10_000,
    ).scores
    found = bradley_terry.fit_ratings(compare(given))
    for one, other in (("a", "b"), ("a", "c"), ("b", "d")):
        odds = 10 ** ((found[one].value - found[other].value) / 400)
        assert odds == pytest.approx(scores[one] / scores[other], rel=1e-9)
    assert [*found] == ["a", "b", "c", "d"]
    for rating in found.values():
        assert rating.interval is not None
        low, high = rating.interval
        assert low < rating.value < high < low + 400


def test_a_question_that_holds_the_models_together_takes_the_interval() -> None:
    found = bradley_terry.fit_ratings(compare(duels(*["left"] * 7, "right")))
    assert found["a"].interval is None and found["a"].value > found["b"].value

"""How often equal models are called different, and how often a real difference is found.

``python -m benchmarks.false_verdicts [--runs N]`` plays sessions whose right answer is known and
prints, by number of questions, the share in which a verdict was given. Stars, times, votes, a
judge and repeats of equal models: at most 6 % everywhere (5 % and the noise of the simulation).
Signs are flipped by numpy (`benchmarks.support.sign_flips`), which takes minutes and not hours.
"""

import argparse
import math
import random
from collections.abc import Callable

from benchmarks.support import sign_flips
from tui.scoring import paired, rank
from tui.scoring.rank import Comparison, Duel, QuestionPairs

QUESTIONS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 15, 20, 25, 30)
BOUND = 0.06
Draw = Callable[[random.Random, int, float], list[Comparison]]
"""The comparisons of one session of ``n`` questions whose models differ by an effect (0: not)."""


def stars(noise: random.Random, n: int, effect: float) -> list[Comparison]:
    """Stars of 1 to 5 on a question that is hard or easy for both."""
    pairs: QuestionPairs = {}
    for q in range(n):
        ease = noise.gauss(3.3, 0.9)
        pairs[f"{q:03}"] = (_star(noise, ease + effect), _star(noise, ease))
    return rank.compare_pairs({("a", "b"): pairs})


def _star(noise: random.Random, mean: float) -> float:
    return float(min(5, max(1, round(noise.gauss(mean, 0.9)))))


def times(noise: random.Random, n: int, effect: float) -> list[Comparison]:
    """Seconds an answer takes: skewed, by the length of the answer."""
    pairs: QuestionPairs = {}
    for q in range(n):
        length = noise.gauss(5, 1)
        both = [length + noise.gauss(0, 0.5) + (effect if i == 0 else 0) for i in (0, 1)]
        pairs[f"{q:03}"] = (both[0], both[1])
    return rank.compare_pairs({("a", "b"): pairs})


def votes(noise: random.Random, n: int, effect: float) -> list[Comparison]:
    """One vote a question, every fifth a tie."""
    return _vote(noise, n, effect)


def repeated_votes(noise: random.Random, n: int, effect: float) -> list[Comparison]:
    """Five votes a question that mostly say the same."""
    return _vote(noise, n, effect, repeats=5)


def _vote(
    noise: random.Random, n: int, effect: float, repeats: int = 1, ties: float = 0.2
) -> list[Comparison]:
    """``repeats`` duels a question, of which a share of ``ties`` has no winner."""
    duels = []
    for q in range(n):
        opinion = noise.random() < 0.5 + effect
        for _ in range(repeats):
            is_left = opinion if repeats == 1 or noise.random() < 0.85 else not opinion
            result = "tie" if noise.random() < ties else "left" if is_left else "right"
            duels.append(Duel(f"{q:03}", "a", "b", result))
    return rank.compare_pairs(rank.pair_duels(duels), by_wins=True)


def judge(noise: random.Random, n: int, effect: float) -> list[Comparison]:
    """Verdicts in both orders of a judge that prefers the first place in a third of all pairs;
    those count as ties."""
    return _vote(noise, n, effect, ties=1 / 3)


def repeated_stars(noise: random.Random, n: int, effect: float) -> list[Comparison]:
    """Five answers a question, alike within the question and the model."""
    samples: dict[str, dict[str, dict[object, float]]] = {"a": {}, "b": {}}
    for q in range(n):
        ease = noise.gauss(3.3, 0.9)
        for model in samples:
            own = ease + noise.gauss(0, 0.8) + (effect if model == "a" else 0)
            values = [_star(noise, own) for _ in range(5)]
            samples[model][f"{q:03}"] = {"d": math.fsum(values) / 5}
    return rank.compare_pairs(rank.pair_models(samples))


def four_models(noise: random.Random, n: int, effect: float) -> list[Comparison]:
    """Stars of four models: six pairs in one table, one of the models better by the effect."""
    samples: dict[str, dict[str, dict[object, float]]] = {m: {} for m in "abcd"}
    for q in range(n):
        ease = noise.gauss(3.3, 0.9)
        for model in samples:
            mean = ease + (effect if model == "a" else 0)
            samples[model][f"{q:03}"] = {"d": _star(noise, mean)}
    return rank.compare_pairs(rank.pair_models(samples))


KINDS: dict[str, tuple[Draw, float]] = {
    "stars": (stars, 0.8),
    "times": (times, math.log(1.5)),
    "votes": (votes, 0.3),
    "judge": (judge, 0.3),
    "stars, 5 repeats": (repeated_stars, 0.8),
    "votes, 5 repeats": (repeated_votes, 0.3),
    "stars, 4 models": (four_models, 0.8),
}
"""Name -> how a session is drawn, and the real difference that power is shown for."""


def verdict_rate(draw: Draw, n: int, effect: float, runs: int, seed: int = 1) -> float:
    """The share of sessions in which at least one pair got a verdict."""
    noise = random.Random(f"{seed} {n} {effect}")
    found = (draw(noise, n, effect) for _ in range(runs))
    return sum(any(c.verdict in ("better", "worse") for c in one) for one in found) / runs


def main() -> None:
    """Print both tables; the exit code is 1 if a rate of equal models is above the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4000, help="sessions of each number")
    parser.add_argument("--kind", choices=[*KINDS], help="only this one")
    args = parser.parse_args()
    worst = 0.0
    paired.sign_flip_p = sign_flips.sign_flip_p
    for title, is_equal in (("equal models", True), ("a real difference", False)):
        print(f"verdicts in % of {args.runs} sessions, {title}")
        print(f"{'questions':>18}" + "".join(f"{n:>6}" for n in QUESTIONS))
        for name in [args.kind] if args.kind else KINDS:
            draw, effect = KINDS[name]
            effect = 0 if is_equal else effect
            rates = [verdict_rate(draw, n, effect, args.runs) for n in QUESTIONS]
            worst = max(worst, *rates) if is_equal else worst
            print(f"{name:>18}" + "".join(f"{100 * rate:6.1f}" for rate in rates), flush=True)
        print()
    print(f"most false verdicts: {100 * worst:.1f} % (bound {100 * BOUND:.0f} %)")
    raise SystemExit(worst > BOUND)


if __name__ == "__main__":
    main()

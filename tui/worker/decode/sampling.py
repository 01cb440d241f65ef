"""How tokens are to be chosen: what was asked, over what a model brings. Imports no torch."""

import math
from dataclasses import dataclass
from typing import Any


class NonFiniteLogitsError(Exception):
    """The model computed NaN or infinity."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are chosen, every default filled in.

    ``top_k`` 0 and ``top_p`` 1.0 switch that filter off; ``seed`` None takes a new one
    for each answer.
    """

    greedy: bool = True
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 50
    repetition_penalty: float = 1.0
    seed: int | None = None
    logprobs: int = 0
    """How many likeliest tokens are told of each step."""

    def to_json(self) -> dict[str, Any]:
        """What has an effect: a greedy answer has no temperature."""
        shown: dict[str, Any] = {"greedy": self.greedy}
        if not self.greedy:
            shown |= {
                "temperature": self.temperature,
                "top_p": self.top_p,
                "top_k": self.top_k,
            }
        shown["repetition_penalty"] = self.repetition_penalty
        if self.seed is not None:
            shown["seed"] = self.seed
        return shown


def resolve_sampling(defaults: dict[str, Any], requested: dict[str, Any]) -> SamplingParams:
    """What was asked, then the model's own defaults, then those of `generate`
    (transformers' GenerationConfig: top_k 50, everything else neutral, greedy unless
    ``do_sample``). A temperature of 0 means greedy; one above 0 that is asked for without
    saying how to choose means sampling.

    Raises:
        ValueError: a value no sampler can work with.
    """
    given = {name: value for name, value in requested.items() if value is not None}
    values = {name: value for name, value in defaults.items() if value is not None} | given
    greedy = given.get("greedy")
    if greedy is None:
        greedy = not (given.get("temperature") or defaults.get("do_sample", False))
    temperature = float(values.get("temperature", 1.0))
    made = SamplingParams(
        greedy=bool(greedy) or temperature == 0,
        temperature=temperature,
        top_p=float(values.get("top_p", 1.0)),
        top_k=int(values.get("top_k", 50)),
        repetition_penalty=float(values.get("repetition_penalty", 1.0)),
        seed=None if given.get("seed") is None else int(given["seed"]),
        logprobs=int(given.get("logprobs", 0)),
    )
    numbers = (made.temperature, made.top_p, made.repetition_penalty)
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("sampling settings must be finite numbers")
    if made.temperature < 0 or made.repetition_penalty <= 0 or made.top_k < 0:
        raise ValueError("temperature and top_k must not be negative, a penalty above 0")
    if not 0 < made.top_p <= 1:
        raise ValueError("top_p must be above 0 and at most 1")
    return made

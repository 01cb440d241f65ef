"""Choosing the next token as `generate` of transformers does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)


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


class Sampler:
    """Picks ids one by one; remembers them where the repetition penalty needs them."""

    def __init__(
        self, sampling: SamplingParams, prompt: Sequence[int], limit: int, device: Any
    ) -> None:
        self._greedy, self._told = sampling.greedy, sampling.logprobs
        self.likeliest: list[tuple[int, float]] = []
        """The newest id and then the likeliest ones, each with the logarithm of its probability,
        before any penalty or temperature; empty where nobody asked."""
        # The order in which GenerationMixin._get_logits_processor puts them.
        found: list[Any] = []
        if sampling.repetition_penalty != 1.0:
            found.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
        if not sampling.greedy:
            if sampling.temperature != 1.0:
                found.append(TemperatureLogitsWarper(sampling.temperature))
            if sampling.top_k:
                found.append(TopKLogitsWarper(top_k=sampling.top_k))
            if sampling.top_p < 1.0:
                found.append(TopPLogitsWarper(top_p=sampling.top_p))
        self._processors = LogitsProcessorList(found)
        self._length = len(prompt)
        self._ids = torch.zeros((1, len(prompt) + limit + 1), dtype=torch.long, device=device)
        self._ids[0, : self._length] = torch.tensor(prompt, device=device)
        self._generator = torch.Generator(device=device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            # A generator takes 64 bits; a seed may be any integer.
            self._generator.manual_seed(sampling.seed & 0x7FFF_FFFF_FFFF_FFFF)

    def __call__(self, logits: torch.Tensor) -> int:
        """The next id for logits of shape (1, vocabulary).

        Raises:
            NonFiniteLogitsError: the highest of them is not a number, or infinite.
        """
        # In float32 as `generate` does: the highest of bfloat16 logits is often shared.
        scores = logits.to(torch.float32)
        best = int(scores.argmax(-1))
        # argmax takes a NaN for the highest.
        if not math.isfinite(float(scores[0, best])):
            raise NonFiniteLogitsError
        logs = torch.log_softmax(scores[0], -1) if self._told else None
        if self._processors:
            scores = self._processors(self._ids[:, : self._length], scores)
            if self._greedy:
                best = int(scores.argmax(-1))
        if not self._greedy:
            chances = torch.nn.functional.softmax(scores, dim=-1)
            best = int(torch.multinomial(chances, 1, generator=self._generator))
        if logs is not None:
            top = logs.topk(min(self._told, len(logs)))
            pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
            self.likeliest = [(best, float(logs[best])), *pairs]
        return self._remember(best)

    def force(self, token: int) -> int:
        """Take ``token``, whatever the model says."""
        self.likeliest = []
        return self._remember(token)

    def _remember(self, token: int) -> int:
        self._ids[0, self._length] = token
        self._length += 1
        return token

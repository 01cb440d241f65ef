"""Choosing the next token as `generate` of transformers does."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tui.worker.decode.sampling import NonFiniteLogitsError, SamplingParams


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
        best = _highest(scores)
        # argmax takes a NaN for the highest.
        if not math.isfinite(float(scores[0, best])):
            raise NonFiniteLogitsError
        logs = torch.log_softmax(scores[0], -1) if self._told else None
        if self._processors:
            scores = self._processors(self._ids[:, : self._length], scores)
            if self._greedy:
                best = _highest(scores)
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


def _highest(scores: torch.Tensor) -> int:
    """The first of the highest of scores (1, vocabulary). torch looks at one after another: of
    150,000 that takes it 0.1 ms, NumPy a tenth."""
    row = scores[0]
    return int(row.numpy().argmax() if row.device.type == "cpu" else row.argmax())

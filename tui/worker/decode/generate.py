"""The ids of one answer, one by one."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from tui.worker.control import Control
from tui.worker.decode.attention import new_kv_cache
from tui.worker.decode.sampler import Sampler
from tui.worker.decode.sampling import SamplingParams


def generate_ids(
    model: Any,
    device: str,
    prompt: Sequence[int],
    sampling: SamplingParams,
    max_new_tokens: int,
    control: Control,
) -> Iterator[int]:
    """Generated ids, at most ``max_new_tokens``, the stop id among them; it does not stop at one.

    Raises:
        ForwardAborted: the answer was cancelled, also in the middle of a forward pass.
        NonFiniteLogitsError: see `Sampler`.
    """
    choose = Sampler(sampling, prompt, max_new_tokens, device)
    cache = new_kv_cache(model)
    given = torch.tensor([list(prompt)], dtype=torch.long, device=device)
    step = torch.empty((1, 1), dtype=torch.long, device=device)
    for number in range(max_new_tokens):
        if control.threads:
            apply_threads(control)
        out = model(input_ids=given, past_key_values=cache, use_cache=True, logits_to_keep=1)
        control.check()
        token = choose(out.logits[:, -1])
        yield token
        if number == 0:
            given = step
        step.fill_(token)


def apply_threads(control: Control) -> int:
    """Only here, in the computing thread: OpenMP keeps the number per thread."""
    wanted, control.threads = control.threads, 0
    if wanted:
        torch.set_num_threads(wanted)
    return int(torch.get_num_threads())

"""What belongs to one answer: its ids one by one, and its events."""

import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from tui.checkpoints.errors import CheckpointError
from tui.events import Delta, Failed, TimedBody
from tui.host.errors import first_line
from tui.worker.control import Control
from tui.worker.decode.attention import new_kv_cache
from tui.worker.decode.sampler import NonFiniteLogitsError, Sampler, SamplingParams


def failure_event(error: Exception, answer: int = -1) -> Failed:
    """One line and a next step for anything that went wrong while loading or computing."""
    match error:
        case CheckpointError():
            return Failed(error.cause, error.message, error.next_step, answer)
        case NonFiniteLogitsError():
            return Failed(
                "nan",
                "the model computed NaN or infinity instead of a token",
                "try @fp32, or @bf16 instead of @fp16; the checkpoint may be damaged",
                answer,
            )
    text = first_line(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in text:
        return Failed(
            "out_of_memory",
            "not enough memory: " + text,
            "close other programs, or take a smaller dtype or model",
            answer,
        )
    traceback.print_exception(error)
    sys.stderr.flush()
    name = type(error).__name__
    return Failed("crashed", f"{name}: {text}", "the log has the details", answer)


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


def delta_events(
    answer: int, now: int, reasoning: str, text: str, is_thought: bool, n: int = 1
) -> Iterator[TimedBody]:
    """One event for ``n`` ids, of which ``is_thought`` says whether they belong to a thought; two
    where they end the reasoning and begin the answer."""
    if reasoning or is_thought:
        yield now, Delta(answer, n, reasoning, reasoning=True)
    if text or not (reasoning or is_thought):
        yield now, Delta(answer, 0 if reasoning or is_thought else n, text)

"""What belongs to one answer: its prompt, its tokens one by one, its figures."""

import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from tui.events import Answered, Body, Delta, Failed
from tui.metrics import answer_metrics
from tui.worker.decode.attention import new_kv_cache
from tui.worker.decode.sampler import (
    NonFiniteLogitsError,
    Sampler,
    SamplingParams,
    resolve_sampling,
)
from tui.worker.load.families.base import CheckpointError
from tui.worker.loaded_model import LoadedModel
from tui.worker.process.control import Control
from tui.worker.process.measure import PeakMemory
from tui.worker_protocol import DecodeRequest

TimedBody = tuple[int, Body]
_DEFAULT_MAX_NEW_TOKENS = 4096
"""New tokens at most where neither the request nor the checkpoint sets a bound."""


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """A request against a checkpoint: the prompt's ids, turns left out of it, new tokens at
    most, and how they are chosen."""

    ids: list[int]
    dropped_turns: int
    max_new_tokens: int
    sampling: SamplingParams

    @property
    def max_length(self) -> int:
        """Tokens of prompt and answer at most."""
        return len(self.ids) + self.max_new_tokens


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
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
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


def plan_answer(loaded: LoadedModel, request: DecodeRequest) -> AnswerPlan:
    """Fit a request into the context.

    Raises:
        CheckpointError: it does not fit, or is no conversation.
    """
    checkpoint = loaded.checkpoint
    # The codec fits the conversation into the checkpoint's own context: what is above
    # the bound counts as taken.
    reserved = max(0, checkpoint.context - loaded.context) if loaded.context else 0
    prompt = checkpoint.tokenizer.encode_chat(
        request.messages, max(0, request.max_new_tokens) + reserved
    )
    room = loaded.context - len(prompt.ids) if loaded.context else _DEFAULT_MAX_NEW_TOKENS
    limit = min(request.max_new_tokens, room) if request.max_new_tokens > 0 else room
    if not prompt.ids or limit < 1:
        raise CheckpointError(
            "too_long",
            f"the prompt of {len(prompt.ids)} tokens leaves no room in a context of "
            f"{loaded.context}",
            "ask a shorter question",
        )
    sampling = resolve_sampling(checkpoint.sampling_defaults, request.sampling)
    return AnswerPlan(prompt.ids, prompt.dropped_turns, limit, sampling)


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
        Stop: the answer was cancelled, also in the middle of a forward pass.
        BadLogits: see `Sampler`.
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


def delta_events(answer: int, now: int, reasoning: str, text: str) -> Iterator[TimedBody]:
    """One event for an id, two where it ends the reasoning and begins the answer."""
    if reasoning:
        yield now, Delta(answer, 1, reasoning, reasoning=True)
    if text or not reasoning:
        yield now, Delta(answer, 0 if reasoning else 1, text)


def answered_event(
    answer: int,
    finish: str,
    *,
    start_ns: int,
    first_ns: int,
    end_ns: int,
    prompt_tokens: int,
    output_tokens: int,
    characters: int,
    peak: PeakMemory,
    major_faults: int,
    reused: int = 0,
    batch: int = 1,
    guessed: int = 0,
    accepted: int = 0,
    contended: bool = False,
) -> Answered:
    """The figures of a complete answer by the formulas of `tui.metrics`, rounded.

    The stop id took a step like any other, so it counts as a generated token, as in
    `generate_ids`. ``reused``: prompt tokens whose keys and values were not computed again.
    """
    metrics = answer_metrics(
        start_ns=start_ns,
        first_ns=first_ns,
        end_ns=end_ns,
        prompt_tokens=prompt_tokens,
        reused=reused,
        output_tokens=output_tokens,
        characters=characters,
    )
    return Answered(
        answer,
        finish,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        **asdict(metrics.rounded()),
        peak_private=peak.private,
        peak_mapped=peak.mapped,
        majflt=major_faults,
        threads=torch.get_num_threads(),
        batch=batch,
        guessed=guessed,
        accepted=accepted,
        reused=reused,
        contended=contended,
    )

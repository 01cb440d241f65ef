"""The events of one answer, whatever computes it. Imports no torch."""

import sys
import traceback
from collections.abc import Iterator

from tui.checkpoints.errors import CheckpointError
from tui.events import Delta, Failed, TimedBody
from tui.host.errors import UserError, first_line
from tui.worker.decode.sampling import NonFiniteLogitsError
from tui.worker_protocol import LOG_STEP


def failure_event(error: Exception, answer: int = -1) -> Failed:
    """One line and a next step for anything that went wrong while loading or computing."""
    match error:
        case CheckpointError():
            return Failed(error.cause, error.message, error.next_step, answer)
        case UserError():
            return Failed("unsupported", error.message, error.next_step, answer)
        case NonFiniteLogitsError():
            return Failed(
                "nan",
                "the model computed NaN or infinity instead of a token",
                "try @fp32, or @bf16 instead of @fp16; the checkpoint may be damaged",
                answer,
            )
    text = first_line(error)
    # torch's own error is told by its name: where there is no torch this runs too.
    is_full = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if is_full or "allocate memory" in text:
        return Failed(
            "out_of_memory",
            "not enough memory: " + text,
            "close other programs, or take a smaller dtype or model",
            answer,
        )
    traceback.print_exception(error)
    sys.stderr.flush()
    name = type(error).__name__
    return Failed("crashed", f"{name}: {text}", LOG_STEP, answer)


def delta_events(
    answer: int, now: int, reasoning: str, text: str, is_thought: bool, n: int = 1
) -> Iterator[TimedBody]:
    """One event for ``n`` ids, of which ``is_thought`` says whether they belong to a thought; two
    where they end the reasoning and begin the answer."""
    if reasoning or is_thought:
        yield now, Delta(answer, n, reasoning, reasoning=True)
    if text or not (reasoning or is_thought):
        yield now, Delta(answer, 0 if reasoning or is_thought else n, text)

"""One answer as its engine makes it, into the record."""

import time
from collections.abc import Callable
from dataclasses import replace

from tui import events as ev
from tui.engines.base import Engine, Request
from tui.run.answer_queue import AnswerTask
from tui.run.core_allocator import CoreAllocation


def stream_answer(
    engine: Engine,
    request: Request,
    task: AnswerTask,
    use: CoreAllocation,
    emit: Callable[[ev.Body, AnswerTask, int], None],
) -> ev.Body:
    """Ask ``engine`` and give each event and its time to ``emit``; the event that ended the
    answer."""
    told = False
    last: ev.Body | None = None
    for t_ns, body in engine.answer([request]):
        if isinstance(body, ev.Answered) and use.contended:
            body = replace(body, contended=True, contended_by="model")
        emit(body, task, t_ns)
        if isinstance(body, ev.Answered | ev.Failed | ev.Cancelled):
            last = body
        # A cancel that came before the engine knew the answer is told again.
        if task.is_cancelled and not told:
            told = True
            engine.cancel([task.answer])
    if last is None:
        last = ev.Failed("crashed", "the answer broke off", "ask again", task.answer)
        emit(last, task, time.monotonic_ns())
    return last

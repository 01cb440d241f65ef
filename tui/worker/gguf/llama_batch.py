"""Answers that llama.cpp makes, as the events of `tui.worker.decode.batch.DecodeBatch`.

Each answer has a thread that waits in llama.cpp; its pieces come through one queue, which is
looked at every `SEND_TOKENS_S`: each look takes a core from the threads that compute. An answer
that is cancelled is told of at once, and left by llama.cpp after what it computes then. llama.cpp
computes all of them at once, those that a person waits for and the others: they share one batch.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tui.events import Answered, Cancelled, Logprobs, Note, Started, TimedBody
from tui.text import repetition
from tui.text.thought import ThoughtFormat
from tui.text.token_logprobs import read_logprobs
from tui.worker.control import Control, ForwardAborted
from tui.worker.decode.answer_events import delta_events, failure_event
from tui.worker.decode.answer_row import AnswerRow
from tui.worker.decode.request import AnswerPlan, plan_answer
from tui.worker.decode.sampling import NonFiniteLogitsError
from tui.worker.gguf.llama_server import LlamaServer, failure_reason
from tui.worker.gguf.prompt_waits import PromptClock, TokenGaps
from tui.worker.gguf.slots import Slots
from tui.worker.loaded_model import LoadedModel
from tui.worker.lost_cores import CoreUsage, StopWatcher, read_usage
from tui.worker.measure import PeakMemory
from tui.worker_protocol import SEND_TOKENS_S, DecodeRequest

_SEEDS = 1 << 32


@dataclass(slots=True, eq=False, kw_only=True)
class _Row(AnswerRow):
    """An answer that llama.cpp makes, in a ``slot`` of its."""

    slot: int
    uses_held: bool
    """Whether what the slot holds of an earlier prompt may be used."""
    is_background: bool = False
    computing: list[threading.Thread] = field(default_factory=list)
    """Threads that wait in llama.cpp for it."""
    output_tokens: int = 0
    finish: str = ""
    is_left: bool = False
    is_full: bool = False
    """Whether it has all tokens it may have, while llama.cpp would go on."""
    pieces: list[int] = field(default_factory=list)
    """For each piece of text a number that stands for it."""
    raw: list[str] = field(default_factory=list)
    """The text as it came, while a thought may have to be ended."""
    part: int = 0
    """How often llama.cpp was asked to go on with it."""
    given: list[int] = field(default_factory=list)
    """What stands behind the prompt where it went on last."""
    earlier_tokens: int = 0
    """Tokens that it had there."""
    gaps: TokenGaps = field(default_factory=TokenGaps)
    prompts_ns: int = 0
    """What the clock of prompts showed at its newest token."""

    @property
    def is_computing(self) -> bool:
        """Whether llama.cpp may still hold it."""
        return any(thread.is_alive() for thread in self.computing)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """What llama.cpp told of a row; ``told`` is None at the end."""

    row: _Row
    part: int
    t_ns: int
    told: Any


class LlamaBatch:
    """See `DecodeBatch`."""

    can_batch = True

    def __init__(
        self,
        loaded: LoadedModel,
        control: Control,
        peak: PeakMemory,
        loop_stop: bool,
        watcher: StopWatcher,
    ) -> None:
        self._loaded, self._control, self._peak, self._watcher = loaded, control, peak, watcher
        self._server: LlamaServer = loaded.model
        self._loop_stop = loop_stop
        self._rows: list[_Row] = []
        self._leaving: list[_Row] = []
        """Rows that are over, of which llama.cpp may not know yet."""
        self._inbox: queue.SimpleQueue[_Pieces] = queue.SimpleQueue()
        self._woken = threading.Event()
        """What is in the inbox is not to wait: the first of an answer, its end, an order."""
        self._numbers: dict[str, int] = {}
        self._slots = Slots(self._server.slots)
        self._prompt_clock = PromptClock()
        self._is_checked = False
        """Whether its logits were looked at."""
        self._pace_ns = 0.0
        """Of the newest answer that had tokens without prompts beside them."""
        self._full_at = 0
        self.deferred: DecodeRequest | None = None
        """A request for which there was no room: enter it again."""

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_full(self) -> bool:
        """Whether there was no room for a request, and nobody has left since."""
        return 0 < self._full_at <= len(self._rows)

    def mark_contended(self) -> None:
        """Mark the rows that nobody waits for as contended: what a person asked computes beside
        them."""
        if all(row.is_background for row in self._rows):
            return
        for row in self._rows:
            if row.is_background:
                row.contended_by = "question"

    def admit(self, request: DecodeRequest) -> Iterator[TimedBody]:
        """Give a request to llama.cpp; it is then part of the batch."""
        self.deferred = None
        try:
            yield from self._admit(request)
        except ForwardAborted:
            self._control.end(request.answer)
            yield time.monotonic_ns(), Cancelled(request.answer)
        except Exception as error:
            self._control.end(request.answer)
            yield time.monotonic_ns(), failure_event(error, request.answer)

    def _admit(self, request: DecodeRequest) -> Iterator[TimedBody]:
        self._control.begin(request.answer)
        planned = plan_answer(self._loaded, request)
        self._leaving = [row for row in self._leaving if row.is_computing]
        held = sum(row.plan.max_length for row in (*self._rows, *self._leaving))
        if self._rows and held + planned.max_length > self._server.pool:
            self.deferred, self._full_at = request, len(self._rows)
            return
        if not self._rows:
            self._wait_for_leaving()
            threads, self._control.threads = self._control.threads, 0
            self._server.adapt(threads or self._server.threads, planned.max_length)
        self._full_at = 0
        if not self._rows:
            self._peak.reset()
        checkpoint = self._loaded.checkpoint
        busy = {one.slot for one in (*self._rows, *self._leaving)}
        slot, uses_held = self._slots.take(
            planned.ids, busy, not planned.is_measure, planned.column
        )
        row = _Row(
            id=request.answer,
            plan=planned,
            slot=slot,
            uses_held=uses_held,
            splitter=checkpoint.new_splitter(planned.opens_thought),
            usage_before=self._usage(),
            threads=self._server.threads,
            is_background=request.background,
        )
        ids, threads = len(planned.ids), self._server.threads
        began = Started(row.id, ids, planned.dropped_turns, threads, len(self._rows) + 1)
        yield row.start_ns, began
        if planned.note:
            yield time.monotonic_ns(), Note(planned.note, row.id)
        self._rows.append(row)
        for each in self._rows:
            each.max_batch = max(each.max_batch, len(self._rows))
        self.mark_contended()
        if planned.opens_thought and planned.think_tokens == 0:
            yield from self._end_thought(row, time.monotonic_ns())
        else:
            self._start(row)

    def _wait_for_leaving(self) -> None:
        """Until llama.cpp computes nothing."""
        for thread in (one for row in self._leaving for one in row.computing):
            thread.join()
        self._leaving.clear()

    def step(self) -> Iterator[TimedBody]:
        """What llama.cpp made since; waits a moment where that is nothing."""
        for row in [row for row in self._rows if self._control.cancelled((row.id,))]:
            self._drop(row)
            yield time.monotonic_ns(), Cancelled(row.id)
        if not self._rows:
            return
        self._woken.wait(SEND_TOKENS_S)
        self._woken.clear()
        with contextlib.suppress(queue.Empty):
            while found := self._inbox.get_nowait():
                self._control.steps += 1
                self._follow_prompt(found)
                if not found.row.is_left and found.part == found.row.part:
                    yield from self._take(found)

    def wake(self) -> None:
        """Called by another thread: end a step that waits."""
        self._woken.set()

    def _start(self, row: _Row) -> None:
        """Have llama.cpp go on with what a row has."""
        order = _order(row.plan, self._loaded.checkpoint.thought)
        order["prompt"] = [*row.plan.ids, *row.given]
        order["id_slot"] = row.slot
        # Behind a thought that was ended, the slot holds this row's own beginning.
        order["cache_prompt"] = row.uses_held or bool(row.computing)
        order["n_predict"] = row.max_tokens - row.output_tokens
        thread = threading.Thread(
            target=self._compute, args=(row, row.part, order), name="answer", daemon=True
        )
        row.computing.append(thread)
        thread.start()

    def _end_thought(self, row: _Row, t_ns: int) -> Iterator[TimedBody]:
        """Leave what llama.cpp writes, and have it go on behind the end of the thought."""
        checkpoint = self._loaded.checkpoint
        assert checkpoint.thought is not None
        ending, raw = checkpoint.thought.ending, "".join(row.raw)
        row.thought_cut, row.part = True, row.part + 1
        row.given = self._server.tokenise(raw + ending, special=True)
        row.earlier_tokens = row.output_tokens = row.output_tokens + len(checkpoint.thought_ending)
        parts = row.split(ending, row.output_tokens, False, is_forced=True)
        yield from delta_events(row.id, t_ns, *parts, len(checkpoint.thought_ending))
        self._start(row)

    def _compute(self, row: _Row, part: int, order: dict[str, Any]) -> None:
        """Runs in a thread of its own."""

        def take(told: Any) -> bool:
            self._inbox.put(_Pieces(row, part, time.monotonic_ns(), told))
            if not isinstance(told, dict) or "error" in told or not row.first_token_ns:
                self._woken.set()
            return row.is_left or row.part != part

        try:
            self._server.complete(order, take)
            take(None)
        except Exception as error:
            take(error)

    def _follow_prompt(self, found: _Pieces) -> None:
        """Also of those that left: llama.cpp may still compute the prompt of one."""
        progress = found.told.get("prompt_progress") if isinstance(found.told, dict) else None
        if progress and int(progress["processed"]) < int(progress["total"]):
            self._prompt_clock.begin(found.row.id, found.t_ns)
        else:
            self._prompt_clock.end(found.row.id, found.t_ns)

    def _take(self, found: _Pieces) -> Iterator[TimedBody]:
        row, told = found.row, found.told
        if told is None and row.finish:
            is_number = self._computes_numbers(row)
            self._drop(row)
            if is_number:
                yield time.monotonic_ns(), self._answered(row)
            else:
                yield time.monotonic_ns(), failure_event(NonFiniteLogitsError(), row.id)
            return
        if not isinstance(told, dict) or "error" in told:
            self._drop(row)
            error = told if isinstance(told, Exception) else RuntimeError(failure_reason(told))
            yield time.monotonic_ns(), failure_event(error, row.id)
            return
        if "prompt_progress" in told:
            return
        timings = told.get("timings") or {}
        if not row.part:
            row.reused = int(timings.get("cache_n", row.reused))
        for choice in told.get("choices") or ():
            yield from self._take_choice(row, found.t_ns, choice, timings)

    def _computes_numbers(self, row: _Row) -> bool:
        """Whether the model's logits are numbers, looked at once, and where an answer has no text:
        of NaN llama.cpp makes a token, or the end of an answer, without a word."""
        if row.plan.is_measure or (self._is_checked and row.splitter.characters):
            return True
        self._is_checked, told = True, list[Any]()
        start, busy = row.plan.ids[:1], {one.slot for one in (*self._rows, *self._leaving)}
        slot, _ = self._slots.take(start, busy, False)
        order = {"prompt": start, "id_slot": slot, "n_predict": 1, "n_probs": 1, "stream": True}

        def take(piece: Any) -> bool:
            told.extend(piece.get("choices") or () if isinstance(piece, dict) else ())
            return False

        self._server.complete(order | {"cache_prompt": False}, take)
        found = [token for one in told for token in read_logprobs(one.get("logprobs"))[0]]
        return not found or any(log is not None or others for _, log, others in found)

    def _take_choice(
        self, row: _Row, t_ns: int, choice: dict[str, Any], timings: dict[str, Any]
    ) -> Iterator[TimedBody]:
        if row.finish:
            return
        made = row.earlier_tokens + int(timings.get("predicted_n", 0))
        made = max(row.output_tokens, made)
        fresh, row.output_tokens = made - row.output_tokens, made
        text, reason = str(choice.get("text") or ""), choice.get("finish_reason")
        self._count_gap(row, t_ns, fresh)
        row.last_token_ns = t_ns
        row.first_token_ns = row.first_token_ns or t_ns
        if reason:
            row.finish = "length" if reason == "length" else "stop"
        elif self._loop_stop and text and not row.plan.is_measure:
            row.pieces.append(self._numbers.setdefault(text, len(self._numbers)))
            if (first := repetition.TOKENS.begin(row.pieces)) is not None:
                row.repeats_from, row.finish = first + 1, "repetition"
        budget = row.plan.think_tokens
        if not row.finish and budget is not None and made >= row.max_tokens:
            row.finish, row.is_full = "length", True
        reasoning, shown, is_thought = row.split(text, made, bool(row.finish))
        if fresh or reasoning or shown:
            yield from delta_events(row.id, t_ns, reasoning, shown, is_thought, fresh)
        tokens = read_logprobs(choice.get("logprobs"))[0]
        # Of a character that several tokens make, llama.cpp tells the last one's alone.
        for _ in range(fresh - len(tokens) if row.plan.sampling.logprobs else 0):
            yield t_ns, Logprobs(row.id, "", None, [])
        for token in tokens:
            yield t_ns, Logprobs(row.id, *token)
        if budget is not None and not row.thought_cut:
            row.raw.append(text)
            if row.splitter.is_thinking and made >= budget and not row.finish:
                yield from self._end_thought(row, t_ns)
        if row.finish == "repetition" or row.is_full:
            self._drop(row)
            yield time.monotonic_ns(), self._answered(row)

    def _count_gap(self, row: _Row, t_ns: int, fresh: int) -> None:
        """Before the time of its newest token is noted."""
        shown = self._prompt_clock.read(t_ns)
        if row.first_token_ns and fresh:
            row.gaps.add(t_ns - row.last_token_ns, fresh, shown - row.prompts_ns)
            self._pace_ns = row.gaps.pace_ns or self._pace_ns
        row.prompts_ns = shown

    def _drop(self, row: _Row) -> None:
        row.is_left = True
        self._rows.remove(row)
        self._leaving.append(row)
        self._full_at = 0
        self._control.end(row.id)

    def _answered(self, row: _Row) -> Answered:
        self._peak.sample()
        row.waited_ns = row.gaps.waited_ns(self._pace_ns)
        return row.answered(row.finish, row.output_tokens, self._usage(), self._peak)

    def _usage(self) -> CoreUsage:
        # This thread only waits for llama.cpp's, also for the cores that they have: that is no
        # loss. Without the kernel's account nothing is known.
        usage = read_usage(self._watcher.beat(), computes=False)
        return replace(usage, waited=usage.waited or 0)


def _order(plan: AnswerPlan, thought: ThoughtFormat | None) -> dict[str, Any]:
    """What llama.cpp is asked for; the steps of sampling in the order of `Sampler`."""
    sampling = plan.sampling
    order: dict[str, Any] = {
        "stream": True,
        "return_progress": True,
        "timings_per_token": True,
        "ignore_eos": plan.is_measure,
        "repeat_penalty": sampling.repetition_penalty,
        "repeat_last_n": plan.max_length,
        "n_probs": sampling.logprobs,
    }
    if thought is not None:
        order["preserved_tokens"] = list(thought.marks)
    penalties = ["penalties"] if sampling.repetition_penalty != 1.0 else []
    if sampling.greedy:
        return order | {"samplers": [*penalties, "top_k"], "top_k": 1, "temperature": 1.0}
    return order | {
        "samplers": [*penalties, "temperature", "top_k", "top_p"],
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        # The highest number would mean a new seed each time.
        "seed": -1 if sampling.seed is None else sampling.seed % (_SEEDS - 1),
    }

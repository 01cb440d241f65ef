"""Continuous batching: an answer is added after its prefill and removed when it is done.

Reading the weights takes most of a step, and one reading serves every row. The rows'
keys and values stand right-aligned in one cache, hidden by the mask where a row is
shorter; each row keeps its own positions, so that its tokens are those it would have had
alone (up to the rounding of products of another shape).
"""

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tui.events import Cancelled, Logprobs, Note, Started, TimedBody
from tui.text import repetition
from tui.worker.control import Control, ForwardAborted
from tui.worker.decode import kv_cache
from tui.worker.decode.answer_events import delta_events, failure_event
from tui.worker.decode.answer_row import AnswerRow
from tui.worker.decode.attention import ATTENTION_NAME, new_kv_cache
from tui.worker.decode.detokeniser import REPLACEMENT_CHARACTER, Detokeniser
from tui.worker.decode.generate import apply_threads
from tui.worker.decode.padded_batch import padded_inputs
from tui.worker.decode.prompt_lookup import MAX_GUESSED, PromptLookup, rounds_rows_alike
from tui.worker.decode.request import AnswerPlan, plan_answer
from tui.worker.decode.sampler import Sampler
from tui.worker.decode.sampling import NonFiniteLogitsError
from tui.worker.loaded_model import LoadedModel
from tui.worker.lost_cores import StopWatcher, read_usage
from tui.worker.measure import PeakMemory
from tui.worker_protocol import DecodeRequest


@dataclass(slots=True, eq=False, kw_only=True)
class _Row(AnswerRow):
    """An answer in the batch."""

    sampler: Sampler
    detokeniser: Detokeniser
    hit_stop_id: bool = False
    prompt_lookup: PromptLookup | None = None
    output_ids: list[int] = field(default_factory=list)
    forced: deque[int] = field(default_factory=deque)
    """Tokens that come next whatever the model says: they end its thought."""

    @property
    def cached_tokens(self) -> int:
        """Tokens in the cache: all but the newest."""
        return len(self.plan.ids) + len(self.output_ids) - 1

    @property
    def is_done(self) -> bool:
        """Whether the newest token is the last one."""
        is_full = len(self.output_ids) >= self.max_tokens
        return self.hit_stop_id or self.repeats_from > 0 or is_full

    @property
    def finish(self) -> str:
        """Why it ended."""
        if self.hit_stop_id:
            return "stop"
        return "repetition" if self.repeats_from else "length"


class DecodeBatch:
    """The answers that a model is making. All methods give events as they happen and
    raise nothing for what the model does."""

    def __init__(
        self,
        loaded: LoadedModel,
        control: Control,
        peak: PeakMemory,
        prompt_lookup: bool = False,
        prefix_cache: kv_cache.PrefixCache | None = None,
        max_cached_tokens: int = 0,
        loop_stop: bool = False,
        watcher: StopWatcher | None = None,
    ) -> None:
        """``max_cached_tokens``: how many of prompts and answers may be held together, padding
        among them (0: any); an answer that is alone is always let in. ``loop_stop``: an answer
        that only repeats a short cycle of tokens is ended."""
        self._loaded, self._control, self._peak = loaded, control, peak
        self._watcher = watcher or StopWatcher()
        self._uses_prompt_lookup = prompt_lookup and rounds_rows_alike(loaded.model)
        self._loop_stop = loop_stop
        self._rows: list[_Row] = []
        self._cache: Any = None
        self._prefix_cache = prefix_cache or kv_cache.PrefixCache()
        self._max_cached_tokens, self._full_at = max_cached_tokens, 0
        self.deferred: DecodeRequest | None = None
        """A request that made way for another while its prompt was computed, or for which there
        was no room: enter it again."""

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def can_batch(self) -> bool:
        """Whether answers can be decoded together here."""
        return self._has_own_attention or self._loaded.can_pad

    @property
    def _has_own_attention(self) -> bool:
        """Whether attention and cache are ours: rows can be taken out of the cache and cropped."""
        return bool(self._loaded.model.config._attn_implementation == ATTENTION_NAME)

    @property
    def is_full(self) -> bool:
        """Whether there was no room for a request, and nobody has left since."""
        return 0 < self._full_at <= len(self._rows)

    def admit(self, request: DecodeRequest) -> Iterator[TimedBody]:
        """Compute the prompt of a request and its first token; it is then part of the batch."""
        self.deferred = None
        try:
            yield from self._admit(request)
        except ForwardAborted:
            if not self._control.cancelled((request.answer,)):
                self.deferred = request
                return
            self._control.end(request.answer)
            yield time.monotonic_ns(), Cancelled(request.answer)
        except Exception as error:
            self._control.end(request.answer)
            yield time.monotonic_ns(), failure_event(error, request.answer)

    def mark_contended(self) -> None:
        """Mark the rows as contended: another batch runs first and distorts their timings."""
        for row in self._rows:
            row.contended_by = "question"

    def wake(self) -> None:
        """Called by another thread, to end a step that waits: none does."""

    def step(self) -> Iterator[TimedBody]:
        """One more token for every answer."""
        ids = [row.id for row in self._rows]
        stopped = self._control.cancelled(ids)
        for row in [row for row in self._rows if row.id in stopped]:
            yield self._cancel_row(row)
        if not self._rows:
            return
        self._control.set_current(row.id for row in self._rows)
        guess = self._guess()
        try:
            logits = self._forward(guess)
            self._control.check()
        except ForwardAborted:
            for row in self._drop_all_rows():
                yield time.monotonic_ns(), Cancelled(row.id)
            return
        except Exception as error:
            for row in self._drop_all_rows():
                yield time.monotonic_ns(), failure_event(error, row.id)
            return
        ended: list[tuple[_Row, NonFiniteLogitsError | None]] = []
        for number, row in enumerate(self._rows):
            try:
                yield from self._accept_tokens(row, logits[number], guess)
            except NonFiniteLogitsError as error:
                ended.append((row, error))
                continue
            if row.is_done:
                ended.append((row, None))
        # Only after the loop: `cached_tokens` of a row counts its output ids.
        for row, broken in ended:
            if broken is None:
                self._remove_row(row)
                yield self._finish_row(row)
            else:
                row.output_ids.append(row.output_ids[-1])
                self._remove_row(row)
                yield time.monotonic_ns(), failure_event(broken, row.id)

    def _admit(self, request: DecodeRequest) -> Iterator[TimedBody]:
        ready, checkpoint = self._loaded, self._loaded.checkpoint
        self._control.begin(request.answer)
        planned = plan_answer(ready, request)
        if not self._has_room(planned):
            self.deferred, self._full_at = request, len(self._rows)
            return
        self._full_at = 0
        threads = apply_threads(self._control)
        if not self._rows:
            self._peak.reset()
        row = _Row(
            id=request.answer,
            plan=planned,
            sampler=Sampler(
                planned.sampling, planned.text_ids, planned.max_new_tokens, ready.device
            ),
            detokeniser=Detokeniser(checkpoint.tokenizer.decode),
            splitter=checkpoint.new_splitter(planned.opens_thought),
            usage_before=read_usage(self._watcher.beat()),
            threads=threads,
        )
        yield (
            row.start_ns,
            Started(
                row.id, len(planned.text_ids), planned.dropped_turns, threads, len(self._rows) + 1
            ),
        )
        if planned.note:
            yield time.monotonic_ns(), Note(planned.note, row.id)
        if planned.opens_thought and planned.think_tokens == 0:
            self._end_thought(row)
        self._control.is_preemptible = request.background
        try:
            token, cache = self._prefill(row)
        finally:
            self._control.is_preemptible = False
        if self._uses_prompt_lookup and kv_cache.can_crop(cache):
            row.prompt_lookup = PromptLookup(planned.text_ids)
        yield from self._record_token(row, token)
        row.first_token_ns = row.last_token_ns
        for other in self._rows:
            other.waited_ns += row.first_token_ns - row.start_ns
        self._peak.sample()
        if row.is_done:
            self._store_prefix(row, cache)
            self._control.end(row.id)
            yield self._finish_row(row)
        else:
            self._add_row(row, cache)

    def _has_room(self, planned: AnswerPlan) -> bool:
        ends = [one.max_length for one in (planned, *(row.plan for row in self._rows))]
        return (
            not (self._max_cached_tokens and self._rows)
            or len(ends) * max(ends) <= self._max_cached_tokens
        )

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _prefill(self, row: _Row) -> tuple[int, Any]:
        model, ids = self._loaded.model, row.plan.ids
        if row.plan.is_measure:
            cache, row.reused = new_kv_cache(model), 0
        else:
            cache, row.reused = self._reusable_cache(ids, row.plan.column)
        if self._loaded.prefix and not row.reused:
            row.reused = self._loaded.prefix.begin(cache)
        if not self._rows:
            # Free the stored prefix first: at most two caches are held at a time.
            self._prefix_cache.clear()
        given = torch.tensor([ids[row.reused :]], dtype=torch.long, device=self._loaded.device)
        out = model(input_ids=given, past_key_values=cache, use_cache=True, logits_to_keep=1)
        self._control.check()
        return self._choose(row, out.logits[:, -1]), cache

    def _choose(self, row: _Row, logits: torch.Tensor) -> int:
        """The next token of a row.

        Raises:
            NonFiniteLogitsError: see `Sampler`.
        """
        return row.sampler.force(row.forced[0]) if row.forced else row.sampler(logits)

    def _end_thought(self, row: _Row) -> None:
        row.forced.extend(self._loaded.checkpoint.thought_ending)
        row.thought_cut = True

    def _reusable_cache(self, ids: Sequence[int], column: int) -> tuple[Any, int]:
        """A cache for a prompt and how much of it that holds already: as much as it has in
        common with an answer of its column that is being made, or with the last conversation."""
        cache, reused = self._prefix_cache.restore(self._loaded.model, ids, column)
        for number, row in enumerate(self._rows if self._has_own_attention else ()):
            if row.plan.column != column:
                continue
            known = [*row.plan.ids, *row.output_ids[:-1]]
            shared = kv_cache.shared_prefix_length(known, ids[:-1])
            if shared >= max(kv_cache.MIN_SHARED_TOKENS, reused + 1):
                model = self._loaded.model
                cache = kv_cache.extract_row(model, self._cache, number, row.cached_tokens, shared)
                reused = shared
        return cache, reused

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _forward(self, guess: Sequence[int]) -> torch.Tensor:
        """Logits (rows, 1 + guessed tokens, vocabulary)."""
        if self._control.threads:
            self._change_threads()
        rows, device = self._rows, self._loaded.device
        newest = torch.tensor([[row.output_ids[-1], *guess] for row in rows], device=device)
        more = {} if len(rows) == 1 else self._position_inputs()
        out = self._loaded.model(
            input_ids=newest,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1 + len(guess),
            **more,
        )
        logits: torch.Tensor = out.logits
        return logits

    def _change_threads(self) -> None:
        threads = apply_threads(self._control)
        for row in self._rows:
            if row.threads != threads:
                row.threads, row.contended_by = threads, "threads"

    def _guess(self) -> list[int]:
        """Tokens that may follow. Only of an answer that is alone: where several share a
        pass, its weights are read for more than one token already."""
        row = self._rows[0]
        if len(self._rows) > 1 or row.prompt_lookup is None or row.forced:
            return []
        left = row.max_tokens - len(row.output_ids) - 1
        return row.prompt_lookup.guess(min(left, MAX_GUESSED))

    def _accept_tokens(
        self, row: _Row, logits: torch.Tensor, guess: Sequence[int]
    ) -> Iterator[TimedBody]:
        """The next token, and those after it as long as they are what was guessed.

        Raises:
            NonFiniteLogitsError: see `Sampler`; the cache stays valid.
        """
        right = kept = 0
        try:
            for number, wanted in enumerate([*guess, None]):
                kept = number
                token = self._choose(row, logits[number : number + 1])
                right = number + (token == wanted)
                yield from self._record_token(row, token)
                if row.is_done or row.forced or token != wanted:
                    break
        finally:
            if row.prompt_lookup is not None and guess:
                self._cache.crop(kept - len(guess))
                row.prompt_lookup.record_result(len(guess), right)

    def _position_inputs(self) -> dict[str, torch.Tensor]:
        """Where every row stands: its own position, and what of the cache is its."""
        device = self._loaded.device
        held = torch.tensor([[row.cached_tokens] for row in self._rows], device=device)
        length = self._cache.get_seq_length() + 1
        if not self._has_own_attention:
            return padded_inputs(held, length)
        seen = torch.arange(length, device=device)[None] >= length - 1 - held
        return {"position_ids": held, "attention_mask": seen[:, None, None]}

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _add_row(self, row: _Row, cache: Any) -> None:
        self._cache = kv_cache.append_row(self._cache if self._rows else None, cache)
        self._rows.append(row)
        for each in self._rows:
            each.max_batch = max(each.max_batch, len(self._rows))

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _remove_row(self, row: _Row) -> None:
        number = self._rows.index(row)
        self._rows.remove(row)
        self._control.end(row.id)
        if not self._rows:
            self._store_prefix(row, self._cache)
            self._cache = None
            return
        if self._has_own_attention:
            row_cache = kv_cache.extract_row(
                self._loaded.model, self._cache, number, row.cached_tokens
            )
            self._store_prefix(row, row_cache)
        kv_cache.remove_row(self._cache, number, max(each.cached_tokens for each in self._rows))

    def _drop_all_rows(self) -> list[_Row]:
        """All rows, after a pass that was left: its layers do not hold the same tokens."""
        rows, self._rows = self._rows, []
        self._cache = None
        for row in rows:
            self._control.end(row.id)
        return rows

    def _store_prefix(self, row: _Row, cache: Any) -> None:
        if self._has_own_attention:
            ids = [*row.plan.ids, *row.output_ids[:-1]]
            self._prefix_cache.store(ids, cache, row.plan.column)

    def _cancel_row(self, row: _Row) -> TimedBody:
        self._remove_row(row)
        return time.monotonic_ns(), Cancelled(row.id)

    def _record_token(self, row: _Row, token: int) -> Iterator[TimedBody]:
        row.last_token_ns = time.monotonic_ns()
        row.output_ids.append(token)
        if row.prompt_lookup is not None:
            row.prompt_lookup.push(token)
        stops = () if row.plan.is_measure else self._loaded.checkpoint.stop_ids
        is_forced = bool(row.forced)
        if is_forced:
            row.forced.popleft()
        row.hit_stop_id = token in stops and not is_forced
        if self._loop_stop and not (row.hit_stop_id or row.plan.is_measure):
            first = repetition.TOKENS.begin(row.output_ids)
            row.repeats_from = 0 if first is None else first + 1
        piece = "" if row.hit_stop_id else row.detokeniser.push(token)
        if is_last := row.is_done:
            piece += row.detokeniser.finish()
        parts = row.split(piece, len(row.output_ids), is_last, is_forced)
        yield from delta_events(row.id, row.last_token_ns, *parts)
        budget = row.plan.think_tokens
        if (
            budget is not None
            and row.splitter.is_thinking
            and not (row.forced or is_forced or is_last)
            and row.thought_tokens >= budget
        ):
            self._end_thought(row)
        if row.sampler.likeliest:
            (_, logprob), *top = row.sampler.likeliest
            told = [[self._text_of(id_), log] for id_, log in top if math.isfinite(log)]
            yield row.last_token_ns, Logprobs(row.id, self._text_of(token), logprob, told)

    def _text_of(self, token: int) -> str:
        """The text of a token; the number of one that is only a part of a character, as other parts
        look the same."""
        text = self._loaded.checkpoint.tokenizer.decode([token])
        return f"<#{token}>" if REPLACEMENT_CHARACTER in text else text

    def _finish_row(self, row: _Row) -> TimedBody:
        self._peak.sample()
        lookup = row.prompt_lookup
        said = row.answered(
            row.finish,
            len(row.output_ids),
            read_usage(self._watcher.beat()),
            self._peak,
            guessed=lookup.guessed if lookup else 0,
            accepted=lookup.accepted if lookup else 0,
        )
        return time.monotonic_ns(), said

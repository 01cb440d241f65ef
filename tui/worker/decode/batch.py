"""Answers decoded together: one enters after its prefill, another leaves when it is done.

Reading the weights takes most of a step, and one reading serves every row. The rows'
keys and values stand right-aligned in one cache, hidden by the mask where a row is
shorter; each row keeps its own positions, so that its tokens are those it would have had
alone (up to the rounding of products of another shape).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tui.events import Cancelled, Started
from tui.worker.decode import kv_cache
from tui.worker.decode.attention import NAME
from tui.worker.decode.detokeniser import TextStream, Visible
from tui.worker.decode.generate import (
    Job,
    Plan,
    Ready,
    Timed,
    apply_threads,
    deltas,
    failed,
    figures,
    plan,
)
from tui.worker.decode.prompt_lookup import LONGEST, Lookup, keeps_words
from tui.worker.decode.sampler import BadLogits, Chooser
from tui.worker.process.control import Control, Stop
from tui.worker.process.measure import Peak, major_faults


@dataclass(slots=True, eq=False)
class _Row:
    """An answer that is being made."""

    id: int
    plan: Plan
    choose: Chooser
    stream: TextStream
    visible: Visible
    faults: int
    start: int
    first: int = 0
    now: int = 0
    reused: int = 0
    most: int = 1
    stopped: bool = False
    waited: bool = False
    lookup: Lookup | None = None
    made: list[int] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Tokens in the cache: all but the newest."""
        return len(self.plan.ids) + len(self.made) - 1

    @property
    def over(self) -> bool:
        return self.stopped or len(self.made) == self.plan.limit


def answer(ready: Ready, job: Job, control: Control, peak: Peak) -> Iterator[Timed]:
    """The events of one answer: `Started`, a `Delta` per id, and exactly one of
    `Answered`, `Failed` or `Cancelled` at the end. Never raises for what the model does.
    """
    batch = Batch(ready, control, peak)
    yield from batch.enter(job)
    while batch:
        yield from batch.step()


class Batch:
    """The answers that a model is making. All methods give events as they happen and
    raise nothing for what the model does."""

    def __init__(
        self,
        ready: Ready,
        control: Control,
        peak: Peak,
        lookup: bool = False,
        kept: kv_cache.Kept | None = None,
        tokens: int = 0,
    ) -> None:
        """``tokens``: how many of prompts and answers may be held together, padding among
        them (0: any); an answer that is alone is always let in."""
        self._ready, self._control, self._peak = ready, control, peak
        self._looks_up = lookup and keeps_words(ready.model)
        self._rows: list[_Row] = []
        self._cache: Any = None
        self._kept = kept or kv_cache.Kept()
        self._tokens, self._enough = tokens, 0
        self.left: Job | None = None
        """A request that made way for another while its prompt was computed, or for which there
        was no room: enter it again."""

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def joins(self) -> bool:
        """Whether answers can be decoded together here."""
        return bool(self._ready.model.config._attn_implementation == NAME)

    @property
    def full(self) -> bool:
        """Whether there was no room for a request, and nobody has left since."""
        return 0 < self._enough <= len(self._rows)

    def enter(self, job: Job) -> Iterator[Timed]:
        """Compute the prompt of a request and its first token; it is then part of the batch."""
        self.left = None
        try:
            yield from self._enter(job)
        except Stop:
            if not self._control.cancelled((job.answer,)):
                self.left = job
                return
            self._control.end(job.answer)
            yield time.monotonic_ns(), Cancelled(job.answer)
        except Exception as error:
            self._control.end(job.answer)
            yield time.monotonic_ns(), failed(error, job.answer)

    def wait(self) -> None:
        """Another batch goes first for now: what its answers are measured by is spoilt."""
        for row in self._rows:
            row.waited = True

    def step(self) -> Iterator[Timed]:
        """One more token for every answer."""
        ids = [row.id for row in self._rows]
        stopped = self._control.cancelled(ids)
        for row in [row for row in self._rows if row.id in stopped]:
            yield self._cancelled(row)
        if not self._rows:
            return
        self._control.follow(row.id for row in self._rows)
        guess = self._guess()
        try:
            logits = self._forward(guess)
            self._control.check()
        except Stop:
            for row in self._abandoned():
                yield time.monotonic_ns(), Cancelled(row.id)
            return
        except Exception as error:
            for row in self._abandoned():
                yield time.monotonic_ns(), failed(error, row.id)
            return
        ended: list[tuple[_Row, BadLogits | None]] = []
        for number, row in enumerate(self._rows):
            try:
                yield from self._choose(row, logits[number], guess)
            except BadLogits as error:
                ended.append((row, error))
                continue
            if row.over:
                ended.append((row, None))
        # Only now: what the cache holds of a row is counted by its tokens.
        for row, broken in ended:
            if broken is None:
                self._leave(row)
                yield self._answered(row)
            else:
                row.made.append(row.made[-1])
                self._leave(row)
                yield time.monotonic_ns(), failed(broken, row.id)

    def _enter(self, job: Job) -> Iterator[Timed]:
        ready, checkpoint = self._ready, self._ready.checkpoint
        self._control.begin(job.answer)
        planned = plan(ready, job)
        if not self._has_room(planned):
            self.left, self._enough = job, len(self._rows)
            return
        self._enough = 0
        threads = apply_threads(self._control)
        if not self._rows:
            self._peak.reset()
        row = _Row(
            job.answer,
            planned,
            Chooser(planned.sampling, planned.ids, planned.limit, ready.device),
            TextStream(checkpoint.codec.decode),
            Visible(checkpoint.visible, checkpoint.finished),
            major_faults(),
            time.monotonic_ns(),
        )
        yield (
            row.start,
            Started(row.id, len(planned.ids), planned.dropped, threads, len(self._rows) + 1),
        )
        self._control.gives_way = job.background
        try:
            token, cache = self._prefill(row)
        finally:
            self._control.gives_way = False
        if self._looks_up and kv_cache.can_shrink(cache):
            row.lookup = Lookup(planned.ids)
        yield from self._took(row, token)
        row.first = row.now
        self._peak.look()
        if row.over:
            self._keep(row, cache)
            self._control.end(row.id)
            yield self._answered(row)
        else:
            self._join(row, cache)

    def _has_room(self, planned: Plan) -> bool:
        ends = [one.length for one in (planned, *(row.plan for row in self._rows))]
        return not (self._tokens and self._rows) or len(ends) * max(ends) <= self._tokens

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _prefill(self, row: _Row) -> tuple[int, Any]:
        model, ids = self._ready.model, row.plan.ids
        cache, row.reused = self._begun(ids)
        if not self._rows:
            # Never two pasts beside the one that grows.
            self._kept.forget()
        given = torch.tensor([ids[row.reused :]], dtype=torch.long, device=self._ready.device)
        out = model(input_ids=given, past_key_values=cache, use_cache=True, logits_to_keep=1)
        self._control.check()
        return row.choose(out.logits[:, -1]), cache

    def _begun(self, ids: Sequence[int]) -> tuple[Any, int]:
        """A cache for a prompt and how much of it that holds already: as much as it has in
        common with an answer that is being made, or with the last conversation."""
        cache, reused = self._kept.take(self._ready.model, ids)
        for number, row in enumerate(self._rows if self.joins else ()):
            known = [*row.plan.ids, *row.made[:-1]]
            shared = kv_cache.common(known, ids[:-1])
            if shared >= max(kv_cache.WORTH, reused + 1):
                model = self._ready.model
                cache = kv_cache.row_of(model, self._cache, number, row.held, shared)
                reused = shared
        return cache, reused

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _forward(self, guess: Sequence[int]) -> torch.Tensor:
        """Logits (rows, 1 + guessed tokens, vocabulary)."""
        if self._control.threads:
            apply_threads(self._control)
        rows, device = self._rows, self._ready.device
        newest = torch.tensor([[row.made[-1], *guess] for row in rows], device=device)
        more = {} if len(rows) == 1 else self._alignment()
        out = self._ready.model(
            input_ids=newest,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1 + len(guess),
            **more,
        )
        logits: torch.Tensor = out.logits
        return logits

    def _guess(self) -> list[int]:
        """Tokens that may follow. Only of an answer that is alone: where several share a
        pass, its weights are read for more than one token already."""
        row = self._rows[0]
        if len(self._rows) > 1 or row.lookup is None:
            return []
        left = row.plan.limit - len(row.made) - 1
        return row.lookup.guess(min(left, LONGEST))

    def _choose(self, row: _Row, logits: torch.Tensor, guess: Sequence[int]) -> Iterator[Timed]:
        """The next token, and those after it as long as they are what was guessed.

        Raises:
            BadLogits: see `Chooser`; what the cache holds is right nevertheless.
        """
        right = kept = 0
        try:
            for number, wanted in enumerate([*guess, None]):
                kept = number
                token = row.choose(logits[number : number + 1])
                right = number + (token == wanted)
                yield from self._took(row, token)
                if row.over or token != wanted:
                    break
        finally:
            if row.lookup is not None and guess:
                self._cache.crop(kept - len(guess))
                row.lookup.learn(len(guess), right)

    def _alignment(self) -> dict[str, torch.Tensor]:
        """Where every row stands: its own position, and what of the cache is its."""
        device = self._ready.device
        held = torch.tensor([[row.held] for row in self._rows], device=device)
        length = self._cache.get_seq_length() + 1
        seen = torch.arange(length, device=device)[None] >= length - 1 - held
        return {"position_ids": held, "attention_mask": seen[:, None, None]}

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _join(self, row: _Row, cache: Any) -> None:
        self._cache = kv_cache.joined(self._cache if self._rows else None, cache)
        self._rows.append(row)
        for each in self._rows:
            each.most = max(each.most, len(self._rows))

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _leave(self, row: _Row) -> None:
        number = self._rows.index(row)
        self._rows.remove(row)
        self._control.end(row.id)
        if not self._rows:
            self._keep(row, self._cache)
            self._cache = None
            return
        self._keep(row, kv_cache.row_of(self._ready.model, self._cache, number, row.held))
        kv_cache.without(self._cache, number, max(each.held for each in self._rows))

    def _abandoned(self) -> list[_Row]:
        """All rows, after a pass that was left: its layers do not hold the same tokens."""
        rows, self._rows = self._rows, []
        self._cache = None
        for row in rows:
            self._control.end(row.id)
        return rows

    def _keep(self, row: _Row, cache: Any) -> None:
        if self.joins:
            self._kept.put([*row.plan.ids, *row.made[:-1]], cache)

    def _cancelled(self, row: _Row) -> Timed:
        self._leave(row)
        return time.monotonic_ns(), Cancelled(row.id)

    def _took(self, row: _Row, token: int) -> Iterator[Timed]:
        row.now = time.monotonic_ns()
        row.made.append(token)
        if row.lookup is not None:
            row.lookup.push(token)
        row.stopped = token in self._ready.checkpoint.stop_ids
        piece = "" if row.stopped else row.stream.push(token)
        if row.over:
            piece += row.stream.finish()
        yield from deltas(row.id, row.now, *row.visible.push(piece, row.over))

    def _answered(self, row: _Row) -> Timed:
        self._peak.look()
        said = figures(
            row.id,
            "stop" if row.stopped else "length",
            prompt=len(row.plan.ids),
            count=len(row.made),
            ttft=(row.first - row.start) / 1e6,
            e2e=(row.now - row.start) / 1e6,
            characters=row.visible.characters,
            peak=self._peak,
            faults=major_faults() - row.faults,
            reused=row.reused,
            contended=row.waited,
            batch=row.most,
            guessed=row.lookup.guessed if row.lookup else 0,
            accepted=row.lookup.right if row.lookup else 0,
        )
        return time.monotonic_ns(), said

"""What a model costs, measured on the same work for every model, one answer at a time.

The prompts are plain text cut to an exact number of tokens, the answers have an exact length, and
both take the way of every answer through the worker. `duibi bench` measures with the same code.
"""

import itertools
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from tui.engines.base import Engine, Request, SamplingOptions
from tui.events import Answered, Cancelled, Failed, Loaded, Measured
from tui.metrics import (
    STANDARD_NEW_TOKENS,
    STANDARD_PROMPT_TOKENS,
    decode_tok_s,
    prefill_tok_s,
)

FIRST_MEASURE_ID = 1 << 40
"""Ids of measures: above those of all answers of a run."""
LIMIT_S = 20.0
"""What a standard measure may take, about: of a slow model fewer tokens are computed."""
_PREFILL_SHARE = 0.4
_MAX_ROUNDS = 3
_MIN_PROMPT, _MIN_NEW = 32, 8
_WARM_UP = _MIN_PROMPT, 4
_ids = itertools.count(FIRST_MEASURE_ID)


class MeasureStopped(Exception):
    """The measure was cancelled, or the model failed at it: ``failure`` says how."""

    def __init__(self, failure: Failed | None = None) -> None:
        super().__init__(failure.message if failure else "cancelled")
        self.failure = failure


class StopSwitch:
    """Stops a measure from another thread, at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ids: list[int] = []
        self.is_stopped = False

    def stop(self) -> None:
        """Leave what is computed, and begin nothing more."""
        self.is_stopped = True
        self._engine.cancel(self._ids)

    def begin(self, ids: list[int]) -> None:
        """These are computed from now on.

        Raises:
            MeasureStopped: nothing more is wanted.
        """
        self._ids = ids
        if self.is_stopped:
            raise MeasureStopped


@dataclass(frozen=True, slots=True)
class Round:
    """Answers that were asked for at once, and the seconds from the first event to the last."""

    answers: tuple[Answered, ...]
    seconds: float


def run_round(
    engine: Engine,
    prompt_tokens: int,
    new_tokens: int,
    answers: int = 1,
    switch: StopSwitch | None = None,
) -> Round:
    """Ask for so many answers of ``new_tokens`` at once, whose prompts have nothing in common,
    until ``switch`` is used.

    Raises:
        MeasureStopped: one of them was cancelled, or failed.
    """
    greedy = SamplingOptions(greedy=True)
    ids = [next(_ids) for _ in range(answers)]
    switch = switch or StopSwitch(engine)
    switch.begin(ids)
    requests = [
        Request(id_, (), new_tokens, greedy, background=True, prompt_tokens=prompt_tokens)
        for id_ in ids
    ]
    ends, times, told = [], [], False
    for t_ns, body in engine.answer(requests):
        times.append(t_ns)
        if switch.is_stopped and not told:
            # It may have been stopped before the engine knew the answers.
            told = True
            switch.stop()
        if isinstance(body, Failed):
            raise MeasureStopped(body)
        if isinstance(body, Cancelled):
            raise MeasureStopped
        if isinstance(body, Answered):
            ends.append(body)
    if len(ends) < answers:
        raise MeasureStopped
    return Round(tuple(ends), (times[-1] - times[0]) / 1e9)


def measure(engine: Engine, loaded: Loaded | None, switch: StopSwitch | None = None) -> Measured:
    """The standard measure of a loaded model: `STANDARD_PROMPT_TOKENS` and
    `STANDARD_NEW_TOKENS`, or fewer where that would take longer than `LIMIT_S`; a fast model is
    measured three times.

    Raises:
        MeasureStopped: as `run_round`.
    """
    switch = switch or StopSwitch(engine)
    first = run_round(engine, *_WARM_UP, switch=switch)
    if _seconds_of(first.answers[0], STANDARD_PROMPT_TOKENS, STANDARD_NEW_TOKENS) > LIMIT_S:
        # The first pass after a load may have read the weights from the disk.
        first = run_round(engine, *_WARM_UP, switch=switch)
    prompt, new = affordable_tokens(first.answers[0])
    rounds = [run_round(engine, prompt, new, switch=switch)]
    while len(rounds) < _MAX_ROUNDS and (len(rounds) + 1) * rounds[0].seconds < LIMIT_S / 2:
        rounds.append(run_round(engine, prompt, new, switch=switch))
    return summarise([one for each in rounds for one in each.answers], loaded)


def affordable_tokens(seen: Answered, limit_s: float = LIMIT_S) -> tuple[int, int]:
    """Tokens of prompt and answer that a model like ``seen`` computes within ``limit_s``."""
    prompt, new = STANDARD_PROMPT_TOKENS, STANDARD_NEW_TOKENS
    if _seconds_of(seen, prompt, new) <= limit_s:
        return prompt, new
    per_prompt, per_new = _seconds_of(seen, 1, 0), _seconds_of(seen, 0, 1)
    if per_prompt:
        most = int(_PREFILL_SHARE * limit_s / per_prompt) // _MIN_PROMPT * _MIN_PROMPT
        prompt = min(prompt, max(_MIN_PROMPT, most))
    if per_new:
        new = min(new, max(_MIN_NEW, int((limit_s - prompt * per_prompt) / per_new)))
    return prompt, new


def summarise(answers: Iterable[Answered], loaded: Loaded | None) -> Measured:
    """The medians of the answers, of memory the moment with most, and what the load took. Speeds
    are those of the median times, so that the one follows from the other."""
    seen = list(answers)
    ttft, tpot = _median(one.ttft_ms for one in seen), _median(one.tpot_ms for one in seen)
    computed = seen[0].prompt_tokens, seen[0].reused
    peak = max(seen, key=lambda one: one.peak_private + one.peak_mapped)
    spoilt = max(seen, key=lambda one: (one.contended, one.lost))
    return Measured(
        prompt_tokens=seen[0].prompt_tokens,
        output_tokens=seen[0].output_tokens,
        rounds=len(seen),
        ttft_ms=ttft,
        tpot_ms=tpot,
        prefill_tok_s=None if ttft is None else prefill_tok_s(*computed, ttft),
        decode_tok_s=decode_tok_s(tpot),
        threads=min(one.threads for one in seen),
        load_s=loaded.load_s if loaded else None,
        load_contended=loaded.contended if loaded else False,
        file_cache=loaded.file_cache if loaded else None,
        load_private=loaded.peak_private if loaded else 0,
        load_mapped=loaded.peak_mapped if loaded else 0,
        peak_private=peak.peak_private,
        peak_mapped=peak.peak_mapped,
        lost=spoilt.lost,
        contended=spoilt.contended,
        contended_by=spoilt.contended_by,
    )


def _seconds_of(seen: Answered, prompt_tokens: int, new_tokens: int) -> float:
    """What so many tokens take at the speed of ``seen``."""
    prefill = (seen.ttft_ms or 0.0) / max(1, seen.prompt_tokens - seen.reused)
    return (prompt_tokens * prefill + new_tokens * (seen.tpot_ms or 0.0)) / 1000


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None

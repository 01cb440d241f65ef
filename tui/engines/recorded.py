"""A model of an earlier session as a pane: it answers as it did then, in its own timing."""

import heapq
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, count, pairwise

from tui.engines.base import EngineDefaults, Request
from tui.events import (
    Answered,
    Asked,
    Body,
    Cancelled,
    Delta,
    Event,
    Failed,
    Loaded,
    Note,
    Session,
    Started,
    TimedBody,
)
from tui.events.waits import LONGEST_WAIT_S


@dataclass(slots=True)
class Recording:
    """One recorded answer: its events with their microseconds since the model began on it."""

    asked: Asked
    events: list[tuple[int, Body]] = field(default_factory=list)
    began_us: int = 0

    @property
    def ending(self) -> Body | None:
        """How it ended; None where the recording breaks off before."""
        last = self.events[-1][1] if self.events else None
        return last if isinstance(last, Answered | Failed | Cancelled) else None


class RecordedEngine(EngineDefaults):
    """Answers the questions that a model of a session was asked, as it did then.

    ``events`` are the session's, header included; ``model`` is the index there. A question
    is known by its id, its turn and its text; one that was asked several times gives its
    complete answers in turn. With ``timing`` the events come at their original pace, with waits of
    at most `LONGEST_WAIT_S`, otherwise at once; the figures are those of then either way.
    """

    uses_local_cores = False

    def __init__(self, events: Iterable[Event], model: int, *, timing: bool = True) -> None:
        self._timing = timing
        self._started, self._loaded, recordings = _recordings(events, model)
        self._by_question: dict[tuple[str, int, str], list[Recording]] = defaultdict(list)
        for recording in recordings:
            asked = recording.asked
            self._by_question[asked.question, asked.turn, asked.text].append(recording)
        self._times_given: Counter[tuple[str, int, str]] = Counter()
        self._changed = threading.Condition()
        self._open: set[int] = set()
        self._cancelled: set[int] = set()

    def load(self, progress: Callable[[int, Body], None]) -> Loaded:
        """What the model said of itself then, without the memory that it needed."""
        loaded = self._loaded or Loaded(load_s=0.0)
        when = f" on {self._started}" if self._started else ""
        notes = [f"recorded{when}: answers and figures are of that run", *loaded.notes]
        return replace(loaded, private=0, mapped=0, notes=notes)

    def answer(self, requests: Sequence[Request]) -> Iterator[TimedBody]:
        """Play the recorded answers, all of them beginning now."""
        base = time.monotonic_ns()
        order = count()
        line: list[tuple[int, int, int, Body]] = []
        for request in requests:
            for t_us, body in self._events_for(request):
                heapq.heappush(line, (t_us, next(order), request.answer, body))
        with self._changed:
            self._open |= {request.answer for request in requests}
        try:
            while line:
                t_us, _, answer, body = line[0]
                due = base + t_us * 1000 if self._timing else time.monotonic_ns()
                if gone := self._wait(due):
                    line = [item for item in line if item[2] not in gone]
                    heapq.heapify(line)
                    for each in sorted(gone):
                        yield time.monotonic_ns(), Cancelled(each)
                    continue
                heapq.heappop(line)
                if isinstance(body, Answered | Failed):
                    with self._changed:
                        self._open.discard(answer)
                yield due, body
        finally:
            with self._changed:
                done = {request.answer for request in requests}
                self._open -= done
                self._cancelled -= done

    def cancel(self, answers: Sequence[int] | None = None) -> None:
        """Stop playing these answers (all by default)."""
        with self._changed:
            wanted = self._open if answers is None else self._open & set(answers)
            self._cancelled |= wanted
            self._changed.notify_all()

    def close(self) -> None:
        """Stop playing."""
        self.cancel()

    def _wait(self, due_ns: int) -> set[int]:
        """Wait until ``due_ns``, or until open answers are cancelled: which."""
        with self._changed:
            while not self._cancelled & self._open:
                left = due_ns - time.monotonic_ns()
                if left <= 0:
                    break
                self._changed.wait(left / 1e9)
            gone = self._cancelled & self._open
            self._cancelled.clear()
            self._open -= gone
            return gone

    def _events_for(self, request: Request) -> list[tuple[int, Body]]:
        turns = [m.content for m in request.messages if m.role == "user"]
        key = (request.question, len(turns) - 1, turns[-1] if turns else "")
        known = self._by_question.get(key, [])
        whole = [r for r in known if isinstance(r.ending, Answered)] or known
        if not whole:
            failed = Failed(
                "not_recorded",
                f"the session has no answer to question '{request.question}' with this text",
                "ask what was asked then, or use the model itself",
                request.answer,
            )
            return [(0, failed)]
        recording = whole[self._times_given[key] % len(whole)]
        self._times_given[key] += 1
        times = _played_times([t_us for t_us, _ in recording.events])
        events = [
            (t_us, _with_answer_id(body, request.answer))
            for t_us, (_, body) in zip(times, recording.events, strict=True)
        ]
        if recording.ending is None:
            last = events[-1][0] if events else 0
            failed = Failed("cut", "the recording breaks off here", answer=request.answer)
            events.append((last, failed))
        return events


def _played_times(times_us: Sequence[int]) -> list[int]:
    """The same with long waits shortened."""
    longest = round(LONGEST_WAIT_S * 1e6)
    waits = [min(max(0, now - before), longest) for before, now in pairwise([0, *times_us])]
    return list(accumulate(waits))


def _with_answer_id(body: Body, answer: int) -> Body:
    """The same event for the answer of this run; a stop by a person then is a failure now."""
    if isinstance(body, Cancelled):
        return Failed("cut", "it was stopped there when it was recorded", answer=answer)
    if isinstance(body, Started | Delta | Answered | Failed | Note):
        return replace(body, answer=answer)
    return body


def _recordings(events: Iterable[Event], model: int) -> tuple[str, Loaded | None, list[Recording]]:
    """When the session began, what the model reported when loaded, and its answers."""
    started, loaded = "", None
    recordings: dict[int, Recording] = {}
    for event in events:
        body = event.body
        if isinstance(body, Session):
            started = body.started
        elif event.model != model:
            continue
        elif isinstance(body, Loaded):
            loaded = body
        elif isinstance(body, Asked):
            recordings[body.answer] = Recording(body, began_us=event.t_us)
        elif isinstance(body, Started | Delta | Answered | Failed | Cancelled | Note):
            recording = recordings.get(body.answer)
            if recording is None or recording.ending is not None:
                continue
            if isinstance(body, Note) and body.source != "program":
                continue
            if not recording.events:
                recording.began_us = event.t_us
            recording.events.append((max(0, event.t_us - recording.began_us), body))
    return started, loaded, list(recordings.values())

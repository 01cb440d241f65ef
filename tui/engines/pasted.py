"""A model that only has a web page: a person pastes its answers, or brings them in a file."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tui.engines.base import EngineDefaults, Request
from tui.events import Answered, Body, Cancelled, Delta, Failed, Loaded, Started, TimedBody
from tui.host import toml_file
from tui.host.errors import UserError
from tui.host.toml_file import TomlFile
from tui.text.token_estimate import estimate_whole

LONGEST_FILE = 8 * 1024 * 1024
_MAX_PENDING = 32
FILE_HINT = 'name a TOML file with a line per question: question-id = "the answer"'
NOTE = "answers are pasted by a person: no timing, tokens estimated"

PastedAnswers = Mapping[str, tuple[str, ...]]
"""The answers of one model: question id -> its turns."""


class PastedEngine(EngineDefaults):
    """Gives the answers that a person brought, without any figure of time.

    ``answers`` maps a question's id to its answer, or to one for each turn. What is not
    there is waited for until `paste` brings it, if ``interactive``, and fails otherwise
    (``not_pasted``).
    """

    uses_local_cores = False

    def __init__(
        self, answers: Mapping[str, str | Sequence[str]], *, interactive: bool = False
    ) -> None:
        # Answers may be pasted in any order, so all questions may be pending at once.
        self.concurrency = _MAX_PENDING if interactive else 1
        self._answers = {
            id_: (said,) if isinstance(said, str) else tuple(said) for id_, said in answers.items()
        }
        self._interactive = interactive
        self._pending: dict[int, queue.SimpleQueue[TimedBody]] = {}
        self._cancelled: set[int] = set()
        self._lock = threading.Lock()

    def load(self, progress: Callable[[int, Body], None]) -> Loaded:
        """Nothing has to be made ready."""
        return Loaded(load_s=0.0, family="pasted", notes=[NOTE])

    def answer(self, requests: Sequence[Request]) -> Iterator[TimedBody]:
        """The answers that are there, then those that a person supplies, as they come."""
        arrived: queue.SimpleQueue[TimedBody] = queue.SimpleQueue()
        open_: set[int] = set()
        try:
            for request in requests:
                said = self._prepared_answer(request)
                if said is not None:
                    yield from _whole_answer(request.answer, said)
                elif self._interactive:
                    open_.add(request.answer)
                    self._wait_for_paste(request.answer, arrived)
                else:
                    yield time.monotonic_ns(), _not_pasted(request)
            while open_:
                item = arrived.get()
                if isinstance(item[1], Answered | Cancelled):
                    open_.discard(item[1].answer)
                yield item
        finally:
            self.cancel(list(open_))

    def pending_pastes(self) -> tuple[int, ...]:
        """The answers that a person is asked to paste, oldest first."""
        with self._lock:
            return tuple(self._pending)

    def paste(self, answer: int, text: str) -> bool:
        """Give the text of an answer that is waited for; whether it was, and there is text."""
        if not text.strip():
            return False
        with self._lock:
            arrived = self._pending.pop(answer, None)
        if arrived is None:
            return False
        for item in _whole_answer(answer, text):
            arrived.put(item)
        return True

    def cancel(self, answers: Sequence[int] | None = None) -> None:
        """Wait no longer for these answers (all by default), nor begin to."""
        with self._lock:
            ids = list(self._pending) if answers is None else answers
            self._cancelled.update(ids)
            gone = [(id_, self._pending.pop(id_)) for id_ in ids if id_ in self._pending]
        for id_, arrived in gone:
            arrived.put((time.monotonic_ns(), Cancelled(id_)))

    def close(self) -> None:
        """Wait for nothing any more."""
        self.cancel()

    def _wait_for_paste(self, answer: int, arrived: queue.SimpleQueue[TimedBody]) -> None:
        with self._lock:
            if answer not in self._cancelled:
                self._pending[answer] = arrived
                return
        arrived.put((time.monotonic_ns(), Cancelled(answer)))

    def _prepared_answer(self, request: Request) -> str | None:
        turns = self._answers.get(request.question, ())
        turn = sum(m.role == "user" for m in request.messages) - 1
        return turns[turn] if 0 <= turn < len(turns) else None


def _whole_answer(answer: int, text: str) -> Iterator[TimedBody]:
    """The events of an answer that is there as a whole."""
    text = text.encode("utf-8", "replace").decode()
    count = estimate_whole(text)
    now = time.monotonic_ns()
    yield now, Started(answer)
    yield now, Delta(answer, count, text)
    yield now, Answered(answer, "stop", output_tokens=count, token_source="estimate")


def _not_pasted(request: Request) -> Failed:
    return Failed(
        "not_pasted",
        f"no pasted answer to question '{request.question}'",
        "add it to the --pasted file",
        request.answer,
    )


def read_pasted(
    path: Path, models: Sequence[str], questions: Sequence[str]
) -> dict[str, PastedAnswers]:
    """The answers in a TOML file, by model: a table per model (``["ChatGPT-4o"]``) with a key
    per question id, its value the answer or the list of its turns. With one model, the
    table's heading may be left out.

    Raises:
        UserError: the file cannot be read, is no TOML, or names a model or a question that
            is not in the run; says file and line.
    """
    file = toml_file.read_toml(path, LONGEST_FILE, FILE_HINT)
    table = file.table
    has_headings = len(models) > 1 or bool(
        table and all(isinstance(v, dict) for v in table.values())
    )
    if not has_headings:
        table = {models[0]: table}
    return {
        model: _checked_answers(file, has_headings, model, entry, models, questions)
        for model, entry in table.items()
    }


def _checked_answers(
    file: TomlFile,
    has_headings: bool,
    model: str,
    entry: Any,
    models: Sequence[str],
    questions: Sequence[str],
) -> PastedAnswers:
    way = (model,) if has_headings else ()

    def wrong(key: str, what: str, next_step: str, *more: str) -> UserError:
        return UserError(f"{file.place(*way, *more)}: '{key}' {what}", next_step)

    if model not in models:
        raise wrong(model, "is no pasted model of this run", ", ".join(models))
    if not isinstance(entry, dict):
        raise wrong(model, "is not a table of answers", f'write ["{model}"]')
    for id_, said in entry.items():
        if id_ not in questions:
            some = ", ".join(questions[:8])
            raise wrong(id_, "is no question of this run", f"there are: {some}", id_)
        turns = said if isinstance(said, list) else [said]
        if not turns or not all(isinstance(turn, str) and turn.strip() for turn in turns):
            raise wrong(id_, "has no text as its answer", 'e.g. """the answer"""', id_)
    return {id_: tuple(said) if isinstance(said, list) else (said,) for id_, said in entry.items()}

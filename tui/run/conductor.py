"""A run: the models, what is asked of them, and the one record of what happens."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from tui import events as ev
from tui.board import Answer
from tui.engines.errors import BROKEN_CAUSES
from tui.events import RUN, Event
from tui.host.errors import UserError
from tui.models.resolved import ResolvedModel
from tui.questions import QuestionSet
from tui.run.answer_queue import BACKGROUND, INTERACTIVE, ON_VIEW, AnswerTask
from tui.run.lane import Lane
from tui.run.recorder import Recorder
from tui.run.remaining import lost_answers, unanswered_turns
from tui.sessions.journal import SaveState
from tui.text.unused_name import unused_name

CLOSE_TIMEOUT_S = 0.9
"""What closing may take in all; what has not ended by then is left to the operating system."""
MAX_ROUNDS = 3
"""So often what broke off is asked again."""
_ASKED_AGAIN = BROKEN_CAUSES | {"earlier_turn"}
_FREE_QUESTION_PREFIX = "free-"


class Watcher(Protocol):
    """A thread beside a run: `ResourceMonitor`, `OomGuard`."""

    def start(self) -> None:
        """Begin."""
        ...

    def close(self, timeout: float) -> None:
        """End, within ``timeout`` seconds."""
        ...


class Run:
    """Made by `tui.run.setup.begin`. All methods may be called from any thread and
    return at once, but `close`."""

    def __init__(
        self,
        recorder: Recorder,
        lanes: list[Lane],
        watchers: Sequence[Watcher],
        questions: QuestionSet,
        make_lane: Callable[[ResolvedModel, int], Lane],
    ) -> None:
        self._recorder = recorder
        self._lanes = lanes
        """Also the watchers look at this list."""
        self._lane_of = {column: lane for lane in lanes for column in lane.columns}
        self._make_lane = make_lane
        self._watchers = tuple(watchers)
        self._questions = questions
        self._shared = lanes[0].shared
        self._next_free_number = 1
        self._rounds = 0
        """So often `ask_broken_off` asked since a person did."""
        with recorder.board() as board:
            self._next_answer = max(board.answers, default=-1) + 1
        self._closing = threading.Lock()
        self._started = False
        self._closed = False

    @property
    def path(self) -> Path:
        """The session's file."""
        return self._recorder.path

    def save_to(self, folder: Path) -> Path:
        """Go on in another folder, where the disk is full; the new file.

        Raises:
            UserError: that cannot be written either.
        """
        return self._recorder.save_to(folder)

    @property
    def save_state(self) -> SaveState:
        """Whether everything that happened is on disk."""
        return self._recorder.save_state

    @property
    def is_idle(self) -> bool:
        """Nothing is loading, queued or being answered."""
        with self._shared.changed:
            return all(lane.is_idle for lane in self._lanes)

    def start(self) -> None:
        """Begin to load the models and to watch the memory. Idempotent."""
        with self._shared.changed:
            started, self._started = self._started, True
            if started:
                return
            for lane in self._lanes:
                # In their order, whichever thread is first.
                if not lane.is_idle:
                    self._shared.memory_scheduler.admit(lane.index)
                lane.start()
        for watcher in self._watchers:
            watcher.start()

    def drain(self) -> tuple[bool, list[Event]]:
        """The events since the last call; the flag (start over) is False in a live run."""
        return False, self._recorder.drain()

    def wait(self, timeout: float) -> bool:
        """Until nothing is left to do, at most ``timeout`` seconds; whether that is so."""
        end = time.monotonic() + timeout
        with self._shared.changed:
            while not all(lane.is_idle for lane in self._lanes):
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._shared.changed.wait(left)
        return True

    def ask(
        self,
        question_id: str | None,
        text: str | None = None,
        models: Sequence[int] | None = None,
        again: bool = False,
    ) -> list[int]:
        """Ask now, before all that waits in the background; the ids of the answers.

        Without ``text``: the question's next turn that has no answer (what is queued of
        it moves to the front), or with ``again`` its newest turn anew (a worker that does not
        respond is ended for it). With ``text``: a
        further turn of that conversation, or a new question where ``question_id`` is None.

        Raises:
            UserError: there is no such question, or the text is empty.
        """
        if text is not None and not text.strip():
            raise UserError("nothing to ask", "type a question")
        if question_id is None and text is None:
            raise UserError("nothing to ask", "choose a question or type one")
        self._rounds = 0
        with self._shared.changed:
            turns: tuple[str, ...] = ()
            if question_id is None:
                question_id = self._new_question_id()
            else:
                turns = self._turns(question_id)
            ids: list[int] = []
            for model in sorted(self._lane_of) if models is None else models:
                promoted = self._lane_of[model].queue.promote(question_id, model)
                if text is not None:
                    turn = self._next_turn(model, question_id)
                    ids.append(self._enqueue(model, question_id, turn, text, scripted=False))
                elif again:
                    ids += self._ask_again(model, question_id, turns)
                elif promoted:
                    ids += promoted
                else:
                    todo = self._unanswered(model, question_id, turns)[:1]
                    ids += [self._enqueue(model, question_id, turn, turns[turn]) for turn in todo]
            self._shared.changed.notify_all()
        return ids

    def ask_all(
        self,
        repeats: int = 1,
        on_view: str | None = None,
        models: Collection[int] | None = None,
    ) -> list[int]:
        """Ask these models (None: all), in the background, every turn of every question that has
        no answer yet, each ``repeats`` times. Every model answers the question ``on_view`` before
        any goes on with the others."""
        ids: list[int] = []
        self._rounds = 0
        with self._shared.changed:
            if on_view is not None:
                for lane in self._lanes:
                    lane.queue.view(on_view)
            chosen = [n for n in sorted(self._lane_of) if models is None or n in models]
            for repeat in range(repeats):
                for question in self._questions.questions:
                    for model in chosen:
                        todo = self._unanswered(model, question.id, question.turns, repeat)
                        priority = ON_VIEW if question.id == on_view else BACKGROUND
                        ids += [
                            self._enqueue(
                                model,
                                question.id,
                                turn,
                                question.turns[turn],
                                repeat,
                                priority=priority,
                            )
                            for turn in todo
                        ]
            self._shared.changed.notify_all()
        return ids

    def view(self, question_id: str) -> None:
        """A person looks at this question: what waits of it goes before what nobody looks at."""
        with self._shared.changed:
            for lane in self._lanes:
                lane.queue.view(question_id)
            self._shared.changed.notify_all()

    def ask_broken_off(self) -> list[int]:
        """Ask again, in the background, what broke off at a server while others of its model, or
        the balancer before them, go on answering, and what could not be asked after it. So often
        as `MAX_ROUNDS` since a person asked; the ids of the answers."""
        if self._rounds >= MAX_ROUNDS:
            return []
        with self._recorder.board() as board:
            latest: dict[int, int] = {}
            for answer in board.answers.values():
                if answer.state == "answered" and answer.started_us is not None:
                    latest[answer.model] = max(latest.get(answer.model, 0), answer.started_us)

        def is_meant(answer: Answer) -> bool:
            if answer.failure is None or answer.failure.cause not in _ASKED_AGAIN:
                return False
            goes_on = latest.get(answer.model, -1) > (answer.started_us or answer.asked_us)
            return goes_on or self._lane_of[answer.model].engine.can_ask_elsewhere

        ids = self.ask_missing(is_meant)
        self._rounds += bool(ids)
        return ids

    def ask_missing(self, is_meant: Callable[[Answer], bool] = lambda _: True) -> list[int]:
        """Ask again, in the background, what was asked before and has no answer: of a run
        that was taken up again. ``is_meant`` may choose among the newest answers."""
        ids: list[int] = []
        with self._shared.changed:
            with self._recorder.board() as board:
                kept = [answer for answer in lost_answers(board) if is_meant(answer)]
                turns = {question.id: question.turns for question in board.questions}
            for answer in kept:
                known = turns.get(answer.question, ())
                scripted = answer.turn < len(known) and known[answer.turn] == answer.prompt
                where = answer.model, answer.question, answer.turn
                prompt, repeat = answer.prompt, answer.repeat
                ids.append(self._enqueue(*where, prompt, repeat, scripted, BACKGROUND))
            self._shared.changed.notify_all()
        return ids

    def add_model(self, model: ResolvedModel) -> int:
        """One more model; its number. Its label is made different from the others'.

        Raises:
            UserError: it does not fit in memory even alone.
        """
        with self._closing, self._shared.changed:
            if self._closed:
                raise UserError("the run has ended", "begin another one")
            with self._recorder.board() as board:
                known = [one.label for one in board.models]
            index = len(self._lane_of)
            model = replace(model, label=unused_name(model.label, known))
            lane = self._make_lane(model, index)
            shares = lane in self._lanes
            described = model.to_json() | ({"weights_of": lane.index} if shares else {})
            self._recorder.emit(RUN, ev.Joined(index, described))
            self._lane_of[index] = lane
            if shares:
                lane.add_column(index)
            else:
                self._lanes.append(lane)
                if self._started:
                    lane.start()
            self._shared.changed.notify_all()
        return index

    def cancel(self, model: int, answers: Collection[int] | None = None) -> None:
        """Stop these answers of a model; without them all that are open, queued ones too."""
        self._lane_of[model].cancel(answers, model)

    def pending_pastes(self) -> frozenset[int]:
        """The answers that a person is asked to paste."""
        return frozenset(answer for lane in self._lanes for answer in lane.engine.pending_pastes())

    def paste(self, answer: int, text: str) -> bool:
        """Give the answer that a person pasted; whether it was waited for, and has a text."""
        return any(lane.engine.paste(answer, text) for lane in self._lanes)

    def judge(self, body: ev.Judgement) -> None:
        """Record what a person says of an answer; `drain` hands it out like all else."""
        self._recorder.emit(RUN, body)

    def reload(self, model: int) -> None:
        """Load a model anew, as after a failure."""
        self._lane_of[model].reload()

    def close(self, status: str = "closed") -> None:
        """End the run: what is open is cancelled, the models are given back, the end is
        written. Takes less than a second; idempotent."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            deadline = time.monotonic() + CLOSE_TIMEOUT_S
            self._shared.closing.set()
            for lane in self._lanes:
                lane.cancel()
                lane.give_way()
            self._shared.cores.close()
            # A worker gets a moment to leave its answer, then it is told to go.
            for lane in self._lanes:
                lane.join(max(0.0, deadline - time.monotonic() - CLOSE_TIMEOUT_S / 2))
            closers = [
                threading.Thread(target=lane.engine.close, daemon=True) for lane in self._lanes
            ]
            for closer in closers:
                closer.start()
            for closer in closers:
                closer.join(max(0.0, deadline - time.monotonic()))
            for lane in self._lanes:
                lane.join(max(0.0, deadline - time.monotonic()))
            for watcher in self._watchers:
                watcher.close(max(0.0, deadline - time.monotonic()))
            with self._recorder.board() as board:
                left = [(answer.model, answer.id) for answer in board.open_answers()]
            for model, answer in left:
                self._recorder.emit(model, ev.Cancelled(answer))
            self._recorder.close(status)

    # What follows is called under ``changed``.

    def _enqueue(
        self,
        model: int,
        question: str,
        turn: int,
        text: str,
        repeat: int = 0,
        scripted: bool = True,
        priority: int = INTERACTIVE,
    ) -> int:
        lane, column = self._lane_of[model], self._shared.columns[model]
        if lane.engine.uses_local_cores:
            for each in self._lanes:
                each.give_way()
        answer = self._next_answer
        self._next_answer += 1
        sampling = dict(column.asked)
        self._recorder.emit(model, ev.Asked(answer, question, text, turn, repeat, sampling))
        lane.queue.push(AnswerTask(answer, question, turn, text, model, repeat, scripted), priority)
        return answer

    def _ask_again(self, model: int, question: str, turns: Sequence[str]) -> list[int]:
        lane = self._lane_of[model]
        with self._recorder.board() as board:
            made = board.conversation(model, question)
        if not made:
            return [self._enqueue(model, question, 0, turns[0])]
        if made[-1].is_open:
            if not lane.is_stuck:
                return []
            lane.engine.cancel([made[-1].id])
        scripted = made[-1].turn < len(turns) and turns[made[-1].turn] == made[-1].prompt
        return [self._enqueue(model, question, made[-1].turn, made[-1].prompt, scripted=scripted)]

    def _next_turn(self, model: int, question: str) -> int:
        with self._recorder.board() as board:
            made = board.conversation(model, question)
        return made[-1].turn + 1 if made else 0

    def _unanswered(
        self, model: int, question: str, turns: Sequence[str], repeat: int = 0
    ) -> list[int]:
        with self._recorder.board() as board:
            return unanswered_turns(board, model, question, turns, repeat)

    def _turns(self, question_id: str) -> tuple[str, ...]:
        if found := self._questions.find(question_id):
            return found.turns
        with self._recorder.board() as board:
            for question in board.questions:
                if question.id == question_id:
                    return question.turns
        raise UserError(f"no question {question_id!r} in this run")

    def _new_question_id(self) -> str:
        with self._recorder.board() as board:
            taken = {question.id for question in board.questions}
        while f"{_FREE_QUESTION_PREFIX}{self._next_free_number}" in taken:
            self._next_free_number += 1
        found = f"{_FREE_QUESTION_PREFIX}{self._next_free_number}"
        self._next_free_number += 1
        return found

"""Replaces models by letters, shuffled per question, in the events that a screen folds.

Names and figures are removed before folding, so that nothing shown can identify a model: a
speed or a size of memory can identify it as well as its name.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tui import events as ev
from tui.board import Answer, Board, fold
from tui.events import RUN, Body, Event
from tui.scoring import blind


class Anonymiser:
    """Anonymises the events of one session, in the order in which they happen.

    The order of a question depends on the session and the question alone: it is the same
    in every sitting, and the same as in ``duibi rate --blind``.
    """

    def __init__(self, header: ev.Session) -> None:
        self._header = header
        texts = [str(m.get(key, "")) for m in header.models for key in ("label", "name", "family")]
        self._names = blind.identifying_names(texts)
        self._orders: dict[str, list[int]] = {}
        self._questions: dict[int, str] = {}
        self._redactors: dict[tuple[int, bool], blind.Redactor] = {}

    def model_order(self, question: str) -> list[int]:
        """The models by their place on the screen."""
        if question not in self._orders:
            count = len(self._header.models)
            self._orders[question] = blind.shuffled_order(count, question, self._header.started)
        return self._orders[question]

    def anonymise_board(self, real_board: Board) -> Board:
        """What may be shown of all that has happened so far."""
        letters = [blind.letter_of(place) for place in range(len(self._header.models))]
        header = replace(
            self._header,
            models=[{"name": letter, "label": letter} for letter in letters],
            host={},
            settings={},
        )
        opening = [Event(0, 0, RUN, header)]
        # A letter is another model in each question: the models' own states are not shown.
        opening += [Event(0, 0, place, ev.Loaded(0.0)) for place in range(len(letters))]
        shown = fold(opening)
        self.feed(_events_of(real_board), shown)
        shown.ballots.update(real_board.ballots)
        return shown

    def feed(self, events: Iterable[Event], shown: Board) -> None:
        """Fold events into the shown board, anonymised."""
        fold((shown_event for event in events for shown_event in self._anonymised(event)), shown)

    def _anonymised(self, event: Event) -> Iterator[Event]:
        body = event.body
        if isinstance(body, ev.Asked):
            self._questions[body.answer] = body.question
            for reasoning in (False, True):
                self._redactors[body.answer, reasoning] = blind.Redactor(self._names)
        answer = ev.answer_of(body)
        if event.model == RUN:
            if isinstance(body, ev.Rated | ev.Voted | ev.Chosen | ev.Memory | ev.End):
                yield event
            elif isinstance(body, ev.Note) and answer in self._questions:
                yield replace(event, body=self._note(body))
            return
        if answer not in self._questions or event.model not in range(len(self._header.models)):
            return
        place = self.model_order(self._questions[answer]).index(event.model)
        for shown in self._bodies(body, answer):
            yield replace(event, model=place, body=shown)

    def _bodies(self, body: Body, answer: int) -> Iterator[Body]:
        match body:
            case ev.Delta(text=text, reasoning=reasoning):
                if body.recast and (rest := self._redactors[answer, False].finish()):
                    yield ev.Delta(answer, 0, rest)
                yield replace(body, text=self._redactors[answer, reasoning].feed(text))
            case ev.Answered(finish=finish):
                yield from self._held_back(answer)
                yield ev.Answered(answer, finish)
            case ev.Failed(message=message, next_step=step):
                yield from self._held_back(answer)
                words = [blind.redact(text, self._names) for text in (message, step)]
                yield replace(body, message=words[0], next_step=words[1])
            case ev.Cancelled():
                yield from self._held_back(answer)
                yield body
            case ev.Note():
                yield self._note(body)
            case ev.Asked() | ev.Rated():
                yield body

    def _held_back(self, answer: int) -> Iterator[Body]:
        for reasoning in (True, False):
            if rest := self._redactors[answer, reasoning].finish():
                yield ev.Delta(answer, 0, rest, reasoning)

    def _note(self, note: ev.Note) -> ev.Note:
        return replace(note, text=blind.redact(note.text, self._names))


def _events_of(board: Board) -> Iterator[Event]:
    """Events that lead to the answers of a board."""
    for answer in board.answers.values():
        for body in _answer_events(answer):
            yield Event(0, answer.asked_us, answer.model, body)
    yield Event(0, board.now_us, RUN, ev.Memory(used=board.memory_used, limit=board.memory_limit))
    if board.end is not None:
        yield Event(0, board.now_us, RUN, board.end)


def _answer_events(answer: Answer) -> Iterator[Body]:
    yield ev.Asked(answer.id, answer.question, answer.prompt, answer.turn, answer.repeat)
    if answer.reasoning:
        yield ev.Delta(answer.id, 0, "".join(answer.reasoning), True)
    if answer.chunks:
        yield ev.Delta(answer.id, answer.tokens, answer.text)
    if answer.figures is not None:
        yield answer.figures
    elif answer.failure is not None:
        yield answer.failure
    elif answer.state == "cancelled":
        yield ev.Cancelled(answer.id)
    yield from answer.notes
    for (rater, dimension), stars in answer.ratings.items():
        yield ev.Rated(answer.id, dimension, stars, rater)

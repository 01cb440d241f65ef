"""State of a run, folded from its events.

The screen, the plain progress and the exports read a :class:`Board`. A live run, a replay and
a recovered session differ only in where the events come from.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tui import events as ev
from tui import metrics
from tui.events import RUN, Event

MEMORY_SAMPLES = 8
"""Samples of the machine's memory that are kept."""
MEMORY_STEP_US = 10_000_000
OPEN_STATES = ("queued", "prefill", "decoding")


def last_characters(pieces: Sequence[str], length: int) -> str:
    """The last ``length`` characters of a text in pieces."""
    found: list[str] = []
    for piece in reversed(pieces):
        if length <= 0:
            break
        found.append(piece[-length:])
        length -= len(piece)
    return "".join(reversed(found))


@dataclass(slots=True)
class Answer:
    """One answer of one model. ``state`` is ``queued``, ``prefill``, ``decoding``,
    ``answered``, ``failed`` or ``cancelled``; the ``*_us`` are session times."""

    id: int
    model: int
    question: str
    turn: int
    prompt: str
    asked_us: int
    repeat: int = 0
    state: str = "queued"
    chunks: list[str] = field(default_factory=list)
    """The visible text, in pieces; joined to one when the answer ends."""
    reasoning: list[str] = field(default_factory=list)
    """The reasoning text, in pieces likewise."""
    text_length: int = 0
    """Characters in ``chunks``."""
    reasoning_length: int = 0
    """Characters in ``reasoning``."""
    tokens: int = 0
    started_us: int | None = None
    first_us: int | None = None
    last_us: int | None = None
    started: ev.Started | None = None
    figures: ev.Answered | None = None
    failure: ev.Failed | None = None
    notes: list[ev.Note] = field(default_factory=list)
    logprobs: list[ev.Logprobs] = field(default_factory=list)
    """Its tokens one by one, where their probabilities were asked for."""
    ratings: dict[tuple[str, str], int] = field(default_factory=dict)
    """Stars by rater and dimension, the newest last."""

    @property
    def stars(self) -> dict[str, int]:
        """The newest stars of each dimension, whoever gave them."""
        return {dimension: stars for (_, dimension), stars in self.ratings.items()}

    def stars_of(self, rater: str) -> dict[str, int]:
        """The stars of one rater by dimension."""
        return {dimension: n for (who, dimension), n in self.ratings.items() if who == rater}

    @property
    def text(self) -> str:
        """The visible answer so far, without the reasoning."""
        return "".join(self.chunks)

    @property
    def is_all_thought(self) -> bool:
        """Whether it ended with a thought and without anything for the reader."""
        return self.state == "answered" and self.reasoning_length > 0 and not self.has_text

    @property
    def has_text(self) -> bool:
        """Whether anything of it can be read: an answer may end without a word."""
        return any(chunk and not chunk.isspace() for chunk in self.chunks)

    @property
    def is_empty(self) -> bool:
        """Whether it ended as it should, and said nothing."""
        return self.state == "answered" and not self.has_text

    @property
    def person_note(self) -> str:
        """The newest note of a person; empty if there is none or it was removed."""
        said = [note.text for note in self.notes if note.source == "person"]
        return said[-1] if said else ""

    @property
    def is_open(self) -> bool:
        """Whether more of it may come."""
        return self.state in OPEN_STATES

    @property
    def is_estimated(self) -> bool:
        """Whether its tokens are not counted, but estimated from the text."""
        return self.figures is not None and self.figures.token_source == "estimate"

    @property
    def ttft_ms(self) -> float | None:
        """Time to first token, measured if finished, else from the events so far."""
        if self.figures is not None:
            return self.figures.ttft_ms
        if self.first_us is None or self.started_us is None:
            return None
        return metrics.elapsed_ms(self.started_us * 1000, self.first_us * 1000)

    @property
    def decode_tok_s(self) -> float | None:
        """Decode speed, measured if finished, else from the events so far."""
        if self.figures is not None:
            return self.figures.decode_tok_s
        if self.first_us is None or self.last_us is None:
            return None
        # TPOT is a difference of times: where they count from does not matter.
        tpot = metrics.tpot_ms(self.first_us / 1000, self.last_us / 1000, self.tokens)
        return metrics.decode_tok_s(tpot)


@dataclass(slots=True)
class Model:
    """One model of the run. ``state`` is ``waiting``, ``loading``, ``ready``, ``failed``
    or ``unloaded``; what it is doing right now is the state of its open answer."""

    index: int
    name: str
    label: str
    state: str = "waiting"
    load: ev.Load | None = None
    loaded: ev.Loaded | None = None
    loads: list[ev.Loaded] = field(default_factory=list)
    """Every load, oldest first."""
    measures: list[ev.Measured] = field(default_factory=list)
    """Every standard measure, oldest first."""
    is_measuring: bool = False
    """Whether its standard measure is being taken."""
    failure: ev.Failed | None = None
    engine: str = ""
    notes: list[ev.Note] = field(default_factory=list)
    """What the program noted since it began to load it."""
    private: int = 0
    mapped: int = 0
    current_answer_id: int | None = None
    """Id of the answer it works on, or worked on last."""

    @property
    def measured(self) -> ev.Measured | None:
        """The standard measure that counts: the newest one without contention, else the newest."""
        clean = [one for one in self.measures if not one.contended]
        return next(reversed(clean or self.measures), None)


@dataclass(frozen=True, slots=True)
class BoardQuestion:
    """A question to step to: of the set, or typed by a person (``is_typed``)."""

    id: str
    turns: tuple[str, ...]
    category: str = ""
    is_typed: bool = False


@dataclass(slots=True)
class Board:
    """All state of a run, from its events alone."""

    header: ev.Session | None = None
    models: list[Model] = field(default_factory=list)
    questions: list[BoardQuestion] = field(default_factory=list)
    question_ids: set[str] = field(default_factory=set)
    """The ids of ``questions``: a session may have tens of thousands that were typed."""
    answers: dict[int, Answer] = field(default_factory=dict)
    answer_ids: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    """Answer ids of a (model, question) in the order asked."""
    ballots: dict[tuple[str, str, int, int], str] = field(default_factory=dict)
    """Votes by rater, question and the two answers, the newest last."""
    judged: dict[tuple[str, bool, int, int], ev.Judged] = field(default_factory=dict)
    """The newest verdict by judge, ``plain_text`` and the two answers, the smaller id first."""
    notes: list[ev.Note] = field(default_factory=list)
    title: str = ""
    """What a person calls the session."""
    memory_used: int = 0
    memory_limit: int = 0
    memory_history: list[tuple[int, int]] = field(default_factory=list)
    """Highest memory use per step of `MEMORY_STEP_US`: (number of the step, bytes)."""
    now_us: int = 0
    end: ev.End | None = None

    @property
    def votes(self) -> dict[tuple[str, int, int], str]:
        """The newest vote on each pair of answers, whoever gave it."""
        return {
            (question, left, right): choice
            for (_, question, left, right), choice in self.ballots.items()
        }

    def votes_of(self, rater: str) -> dict[tuple[str, int, int], str]:
        """The votes of one rater."""
        return {
            (question, left, right): choice
            for (who, question, left, right), choice in self.ballots.items()
            if who == rater
        }

    def conversation(self, model: int, question: str) -> list[Answer]:
        """The newest answer of each turn, oldest turn first."""
        newest: dict[int, Answer] = {}
        for id_ in self.answer_ids.get((model, question), ()):
            newest[self.answers[id_].turn] = self.answers[id_]
        return [newest[turn] for turn in sorted(newest)]

    def conversation_text(self, model: int, question: str) -> str:
        """The texts of `conversation`, with an empty line between."""
        return "\n\n".join(answer.text for answer in self.conversation(model, question))

    def open_answers(self, model: int | None = None) -> list[Answer]:
        """The answers that are queued or running, of one model or of all."""
        return [a for a in self.answers.values() if a.is_open and model in (None, a.model)]

    def current_answer(self, model: int) -> Answer | None:
        """The answer a model works on, or worked on last."""
        id_ = self.models[model].current_answer_id
        return None if id_ is None else self.answers.get(id_)


def fold(events: Iterable[Event], board: Board | None = None) -> Board:
    """Apply events in order to ``board`` (a new one by default) and return it.

    Events of a model or an answer that is not known are ignored, so that the rest of a damaged
    or foreign file can be shown.
    """
    board = Board() if board is None else board
    for event in events:
        if event.t_us > board.now_us:
            board.now_us = event.t_us
        if event.model == RUN:
            _apply_run(board, event)
        elif 0 <= event.model < len(board.models):
            _apply_model(board, board.models[event.model], event)
    return board


def _apply_run(board: Board, event: Event) -> None:
    match event.body:
        case ev.Session() as header:
            _apply_header(board, header)
        case ev.Memory(used=used, limit=limit):
            board.memory_used, board.memory_limit = used, limit
            _add_memory_sample(board, event.t_us // MEMORY_STEP_US)
        case ev.Voted(question=question, left=left, right=right, choice=choice) as voted:
            ballot = (voted.rater, question, left, right)
            board.ballots.pop(ballot, None)
            if choice != "none":
                board.ballots[ballot] = choice
        case ev.Judged(left=left, right=right) as judged:
            key = (judged.judge, judged.plain_text, min(left, right), max(left, right))
            board.judged[key] = judged
        case ev.Note() as note:
            _apply_note(board, note)
        case ev.Rated() as rated:
            _apply_rating(board, rated)
        case ev.Joined() as joined:
            _add_model(board, joined)
        case ev.End() as end:
            board.end = end
            for model in board.models:
                model.is_measuring = False


def _add_memory_sample(board: Board, step: int) -> None:
    history = board.memory_history
    if history and history[-1][0] >= step:
        history[-1] = (history[-1][0], max(history[-1][1], board.memory_used))
    else:
        history.append((step, board.memory_used))
        del history[:-MEMORY_SAMPLES]


def _apply_header(board: Board, header: ev.Session) -> None:
    board.header = header
    board.title = header.own_title
    board.models = [
        Model(i, str(m.get("name", "?")), label, engine=str(m.get("engine", "")))
        for i, (m, label) in enumerate(zip(header.models, header.labels, strict=True))
    ]
    board.questions = [
        BoardQuestion(
            str(q.get("id", i + 1)),
            tuple(str(t) for t in q.get("turns", ())) or (str(q.get("text", "")),),
            str(q.get("category", "")),
        )
        for i, q in enumerate(header.listed_questions)
    ]
    board.question_ids = {question.id for question in board.questions}


def _add_model(board: Board, joined: ev.Joined) -> None:
    """One more model; nothing where a header that was read whole names it already."""
    if board.header is None or joined.index != len(board.models):
        return
    board.header = replace(board.header, models=[*board.header.models, joined.model])
    label, one = board.header.labels[-1], joined.model
    name, engine = str(one.get("name", "?")), str(one.get("engine", ""))
    board.models.append(Model(joined.index, name, label, engine=engine))


def _apply_note(board: Board, note: ev.Note) -> None:
    if note.source == "title":
        board.title = note.text
        return
    answer = board.answers.get(note.answer)
    (board.notes if answer is None else answer.notes).append(note)


def _apply_rating(board: Board, rated: ev.Rated) -> None:
    if answer := board.answers.get(rated.answer):
        key = (rated.rater, rated.dimension)
        answer.ratings.pop(key, None)
        if rated.stars:
            answer.ratings[key] = rated.stars


def _apply_model(board: Board, model: Model, event: Event) -> None:
    if type(event.body) is ev.Delta:  # nearly all events are
        model.is_measuring = False
        _apply_answer(board, model, event)
        return
    if not isinstance(event.body, ev.Memory | ev.Asked | ev.Rated):
        # Whatever else a model does, it is no longer measured.
        model.is_measuring = isinstance(event.body, ev.Measuring)
    match event.body:
        case ev.Started() | ev.Logprobs() | ev.Answered() | ev.Cancelled():
            _apply_answer(board, model, event)
        case ev.Memory(private=private, mapped=mapped):
            model.private, model.mapped = private, mapped
        case ev.Asked() as asked:
            _apply_asked(board, event, asked)
        case ev.Failed(answer=-1) as failed:
            model.state, model.failure = "failed", failed
        case ev.Failed():
            _apply_answer(board, model, event)
        case ev.Load() as load:
            if model.state != "loading":
                model.notes = []
            model.state, model.load, model.failure = "loading", load, None
        case ev.Loaded() as loaded:
            loaded = metrics.without_absurd(loaded)
            model.state, model.loaded, model.load, model.failure = "ready", loaded, None, None
            model.loads.append(loaded)
            model.private, model.mapped = loaded.private, loaded.mapped
        case ev.Measured() as measured:
            model.measures.append(metrics.without_absurd(measured))
        case ev.Unloaded():
            model.state, model.private, model.mapped = "unloaded", 0, 0
        case ev.Note() as note:
            if note.answer < 0:
                model.notes.append(note)
            _apply_note(board, note)
        case ev.Rated() as rated:
            _apply_rating(board, rated)


def _apply_asked(board: Board, event: Event, asked: ev.Asked) -> None:
    board.answers[asked.answer] = Answer(
        asked.answer,
        event.model,
        asked.question,
        asked.turn,
        asked.text,
        event.t_us,
        asked.repeat,
    )
    board.answer_ids.setdefault((event.model, asked.question), []).append(asked.answer)
    if asked.question not in board.question_ids:
        board.question_ids.add(asked.question)
        board.questions.append(BoardQuestion(asked.question, (asked.text,), is_typed=True))


def _apply_answer(board: Board, model: Model, event: Event) -> None:
    answer = board.answers.get(ev.answer_of(event.body))
    if answer is None or answer.model != model.index:
        return
    match event.body:
        case ev.Delta(n=n, text=text, reasoning=reasoning, recast=recast):
            answer.tokens += n
            if recast:
                answer.reasoning += answer.chunks
                answer.reasoning_length += answer.text_length
                answer.chunks, answer.text_length = [], 0
            if reasoning:
                answer.reasoning.append(text)
                answer.reasoning_length += len(text)
            else:
                answer.chunks.append(text)
                answer.text_length += len(text)
            if answer.first_us is None:
                answer.first_us = event.t_us
            answer.last_us, answer.state = event.t_us, "decoding"
        case ev.Logprobs() as said:
            answer.logprobs.append(said)
        case ev.Started() as started:
            answer.started, answer.started_us, answer.state = started, event.t_us, "prefill"
            model.current_answer_id = answer.id
        case ev.Answered() as figures:
            answer.figures, answer.state = metrics.without_absurd(figures), "answered"
            _join_pieces(answer)
            answer.tokens = figures.output_tokens or answer.tokens
        case ev.Failed() as failure:
            answer.failure, answer.state = failure, "failed"
            _join_pieces(answer)
        case ev.Cancelled():
            answer.state = "cancelled"
            _join_pieces(answer)


def _join_pieces(answer: Answer) -> None:
    """Join the pieces to one string: one per token takes ten times the memory. Interning shares
    it between boards."""
    for pieces in (answer.chunks, answer.reasoning):
        if len(pieces) > 1:
            pieces[:] = [sys.intern("".join(pieces))]

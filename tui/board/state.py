"""What there is to show of a run: its models, questions, answers, and what was said of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tui import events as ev
from tui import metrics

_OPEN_STATES = ("queued", "prefill", "decoding")


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
    def is_cut(self) -> bool:
        """Whether it was ended before the model ended it."""
        return self.figures is not None and self.figures.is_cut

    @property
    def person_note(self) -> str:
        """The newest note of a person; empty if there is none or it was removed."""
        said = [note.text for note in self.notes if note.source == "person"]
        return said[-1] if said else ""

    @property
    def is_open(self) -> bool:
        """Whether more of it may come."""
        return self.state in _OPEN_STATES

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
    host_numbers: set[int] = field(default_factory=set)
    """Which of `Board.hosts` it loaded, was measured or answered on."""

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
    hosts: list[dict[str, Any]] = field(default_factory=list)
    """The machine of the header, and of each time that the run was taken up again."""
    models: list[Model] = field(default_factory=list)
    questions: list[BoardQuestion] = field(default_factory=list)
    question_ids: set[str] = field(default_factory=set)
    """The ids of ``questions``: a session may have tens of thousands that were typed."""
    answers: dict[int, Answer] = field(default_factory=dict)
    answer_ids: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    """Answer ids of a (model, question) in the order asked, but a chosen one after the others:
    of each turn the last one counts."""
    chosen: dict[tuple[int, str, int], int] = field(default_factory=dict)
    """The answer that a person chose of a (model, question, turn), until it is asked again."""
    on_view: dict[tuple[int, str, int], int] = field(default_factory=dict)
    """The answer of a (model, question, turn) that a person looks at in place of the one that
    counts, until the conversation goes on. No event sets it: it is a screen's own."""
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

    def hosts_of(self, model: Model) -> list[dict[str, Any]]:
        """The machines that a model loaded, was measured or answered on; the header's before it
        did."""
        return [self.hosts[number] for number in sorted(model.host_numbers)] or self.hosts[:1]

    def counting_answers(self, model: int, question: str) -> list[Answer]:
        """The answer that counts of each turn: the chosen or the newest one; oldest turn first."""
        newest: dict[int, Answer] = {}
        for id_ in self.answer_ids.get((model, question), ()):
            newest[self.answers[id_].turn] = self.answers[id_]
        return [newest[turn] for turn in sorted(newest)]

    def conversation(self, model: int, question: str) -> list[Answer]:
        """As `counting_answers`, but of a turn the answer `on_view` where there is one."""
        made = self.counting_answers(model, question)
        if not self.on_view:
            return made
        viewed = (self.on_view.get((model, question, one.turn), one.id) for one in made)
        return [self.answers[id_] for id_ in viewed]

    def conversation_text(self, model: int, question: str) -> str:
        """The texts of `conversation`, with an empty line between."""
        return "\n\n".join(answer.text for answer in self.conversation(model, question))

    def is_scored(self, answer: Answer) -> bool:
        """Whether it counts in figures and scores: where a person chose one of a turn, only that
        one does."""
        key = answer.model, answer.question, answer.turn
        return self.chosen.get(key, answer.id) == answer.id

    def open_answers(self, model: int | None = None) -> list[Answer]:
        """The answers that are queued or running, of one model or of all."""
        return [a for a in self.answers.values() if a.is_open and model in (None, a.model)]

    def current_answer(self, model: int) -> Answer | None:
        """The answer a model works on, or worked on last."""
        id_ = self.models[model].current_answer_id
        return None if id_ is None else self.answers.get(id_)

"""How each event changes the state of a run."""

import sys
from collections.abc import Iterable
from dataclasses import replace

from tui import events as ev
from tui.board import judgements
from tui.board.state import Answer, Board, BoardQuestion, Model
from tui.events import RUN, Event

MEMORY_SAMPLES = 8
"""Samples of the machine's memory that are kept."""
MEMORY_STEP_US = 10_000_000


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
            if not judgements.is_vote(board, voted):
                return
            ballot = (voted.rater, question, left, right)
            board.ballots.pop(ballot, None)
            if choice != "none":
                board.ballots[ballot] = choice
        case ev.Judged(left=left, right=right) as judged:
            key = (judged.judge, judged.plain_text, min(left, right), max(left, right))
            if read := judgements.counted(board, judged):
                board.judged[key] = read
        case ev.Note() as note:
            _apply_note(board, note)
        case ev.Rated() as rated:
            _apply_rating(board, rated)
        case ev.Chosen(answer=id_):
            _apply_chosen(board, id_)
        case ev.Joined() as joined:
            _add_model(board, joined)
        case ev.Resumed(host=host):
            board.hosts.append(host)
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
    board.header, board.hosts = header, [header.host]
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


def _apply_chosen(board: Board, id_: int) -> None:
    if answer := board.answers.pop(id_, None):
        board.answers[id_] = answer
        board.chosen[answer.model, answer.question, answer.turn] = id_
        board.on_view.pop((answer.model, answer.question, answer.turn), None)
        ids = board.answer_ids[answer.model, answer.question]
        ids.remove(id_)
        ids.append(id_)


def _apply_rating(board: Board, rated: ev.Rated) -> None:
    answer = board.answers.get(rated.answer)
    if answer and judgements.is_rating(rated):
        key = (rated.rater, rated.dimension)
        answer.ratings.pop(key, None)
        if rated.stars:
            answer.ratings[key] = rated.stars


def _apply_model(board: Board, model: Model, event: Event) -> None:
    if type(event.body) is ev.Delta:  # nearly all events are
        model.is_measuring = False
        answer = board.answers.get(event.body.answer)
        if answer is not None and answer.model == model.index:
            _apply_delta(answer, event.t_us, event.body)
        return
    if not isinstance(event.body, ev.Memory | ev.Asked | ev.Rated):
        # Whatever else a model does, it is no longer measured.
        model.is_measuring = isinstance(event.body, ev.Measuring)
    if isinstance(event.body, ev.Loaded | ev.Measured | ev.Started | ev.Answered):
        model.host_numbers.add(max(0, len(board.hosts) - 1))
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
            model.state, model.loaded, model.load, model.failure = "ready", loaded, None, None
            model.loads.append(loaded)
            model.private, model.mapped = loaded.private, loaded.mapped
        case ev.Measured() as measured:
            model.measures.append(measured)
        case ev.Unloaded():
            model.state, model.private, model.mapped = "unloaded", 0, 0
        case ev.Note() as note:
            if note.answer < 0:
                model.notes.append(note)
            _apply_note(board, note)
        case ev.Rated() as rated:
            _apply_rating(board, rated)


def _apply_asked(board: Board, event: Event, asked: ev.Asked) -> None:
    if old := board.answers.pop(asked.answer, None):
        # Only a file of others has an id twice: each answer stands in one place.
        board.answer_ids[old.model, old.question].remove(old.id)
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
    board.chosen.pop((event.model, asked.question, asked.turn), None)
    for key in [key for key in board.on_view if key[:2] == (event.model, asked.question)]:
        del board.on_view[key]
    if asked.question not in board.question_ids:
        board.question_ids.add(asked.question)
        board.questions.append(BoardQuestion(asked.question, (asked.text,), is_typed=True))


def _apply_answer(board: Board, model: Model, event: Event) -> None:
    answer = board.answers.get(ev.answer_of(event.body))
    if answer is None or answer.model != model.index:
        return
    match event.body:
        case ev.Logprobs() as said:
            answer.logprobs.append(said)
        case ev.Started() as started:
            answer.started, answer.started_us, answer.state = started, event.t_us, "prefill"
            model.current_answer_id = answer.id
        case ev.Answered() as figures:
            answer.figures, answer.state = figures, "answered"
            _join_pieces(answer)
            answer.tokens = figures.output_tokens or answer.tokens
        case ev.Failed() as failure:
            answer.failure, answer.state = failure, "failed"
            _join_pieces(answer)
        case ev.Cancelled():
            answer.state = "cancelled"
            _join_pieces(answer)


def _apply_delta(answer: Answer, t_us: int, delta: ev.Delta) -> None:
    text = delta.text
    answer.tokens += max(0, delta.n)
    if delta.recast:
        answer.reasoning += answer.chunks
        answer.reasoning_length += answer.text_length
        answer.chunks, answer.text_length = [], 0
    if delta.reasoning:
        answer.reasoning.append(text)
        answer.reasoning_length += len(text)
    else:
        answer.chunks.append(text)
        answer.text_length += len(text)
    if answer.first_us is None:
        answer.first_us = t_us
    answer.last_us, answer.state = t_us, "decoding"


def _join_pieces(answer: Answer) -> None:
    """Join the pieces to one string: one per token takes ten times the memory. Interning shares
    it between boards."""
    for pieces in (answer.chunks, answer.reasoning):
        if len(pieces) > 1:
            pieces[:] = [sys.intern("".join(pieces))]

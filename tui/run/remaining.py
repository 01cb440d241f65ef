"""What of a run has no answer yet."""

from collections.abc import Sequence

from tui.board import Answer, Board


def unanswered_turns(
    board: Board, model: int, question: str, turns: Sequence[str], repeat: int = 0
) -> list[int]:
    """The turns of a question that have neither an answer nor one on its way."""
    ids = board.answer_ids.get((model, question), ())
    done = {
        answer.turn
        for answer in (board.answers[id_] for id_ in ids)
        if answer.repeat == repeat and (answer.is_open or answer.state == "answered")
    }
    return [turn for turn in range(len(turns)) if turn not in done]


def lost_answers(board: Board) -> list[Answer]:
    """What was asked and has no answer, and none on its way."""
    newest = {(a.model, a.question, a.turn, a.repeat): a for a in board.answers.values()}
    return [a for a in newest.values() if not a.is_open and a.state != "answered"]


def is_complete(board: Board, repeats: int) -> bool:
    """Whether every model answered every turn of the set ``repeats`` times, and whatever else was
    asked."""
    open_turns = (
        unanswered_turns(board, model.index, question.id, question.turns, repeat)
        for model in board.models
        for question in board.questions
        if not question.is_typed
        for repeat in range(repeats)
    )
    return not board.open_answers() and not lost_answers(board) and not any(open_turns)

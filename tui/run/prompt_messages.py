"""The messages of a conversation, from what is on the board."""

from tui.board import Answer, Board
from tui.engines.base import Message
from tui.run.answer_queue import AnswerTask


def build_messages(
    board: Board, model: int, task: AnswerTask, system: str | None
) -> tuple[Message, ...]:
    """What the model is given: the system prompt, the newest answer of each turn before
    this one, and what is asked. Turns without an answer are left out, and so is reasoning
    (model cards of reasoning models ask for that)."""
    head = [Message("system", system)] if system else []
    past = _answers_by_turn(board, model, task)
    pairs = (
        message
        for turn in sorted(past)
        for message in (Message("user", past[turn].prompt), Message("assistant", past[turn].text))
    )
    return (*head, *pairs, Message("user", task.text))


def missing_turn(board: Board, model: int, task: AnswerTask) -> int | None:
    """The first earlier turn of a scripted conversation that has no answer."""
    if not task.is_scripted:
        return None
    past = _answers_by_turn(board, model, task)
    return next((turn for turn in range(task.turn) if turn not in past), None)


def _answers_by_turn(board: Board, model: int, task: AnswerTask) -> dict[int, Answer]:
    ids = board.answer_ids.get((model, task.question), ())
    made = (board.answers[id_] for id_ in ids)
    return {
        answer.turn: answer
        for answer in made
        if answer.state == "answered" and answer.turn < task.turn and answer.repeat == task.repeat
    }

"""The checks of every complete answer of a board."""

from tui.board import Board
from tui.scoring.checks import (
    Check,
    CheckError,
    CheckResult,
    check_tables,
    parse_checks,
    run_keyed_checks,
)


def check_board(board: Board) -> dict[int, list[CheckResult]]:
    """Results by answer; a question whose checks are none has no results."""
    listed = board.header.listed_questions if board.header else []
    tasks: list[tuple[int, Check, str]] = []
    for i, question in enumerate(listed):
        id_ = str(question.get("id", i + 1))
        try:
            checks = parse_checks(check_tables(question.get("checks")))
        except CheckError:
            continue
        last = next((len(q.turns) - 1 for q in board.questions if q.id == id_), 0)
        for model in board.models if checks else ():
            for answer in board.counting_answers(model.index, id_):
                if answer.state == "answered":
                    tasks += [
                        (answer.id, check, answer.text)
                        for check in checks
                        if answer.turn == (last if check.turn is None else check.turn)
                    ]
    return run_keyed_checks(tasks)

"""How long it still takes, and what a model's line says."""

from tests.support.source import Script
from tui.app.widgets.status_bar import time_left_us, used_before
from tui.board import HISTORY, Board, fold
from tui.events import RUN, Asked, Memory


def test_time_left_is_that_of_the_slowest_model_by_its_answers_so_far() -> None:
    run = Script("a", "b")
    for model in (0, 1):
        run.asked(model, model, "logic")
        run.answered(model, model)  # 900 ms
    board = fold(run.all)
    assert time_left_us(board) is None
    run.say(0, Asked(2, "code", "?"), us=0)
    run.say(1, Asked(3, "code", "?"), Asked(4, "poem", "?"), us=0)
    assert time_left_us(fold(run.all)) == 1_800_000


def test_without_an_answer_to_go_by_nothing_is_promised() -> None:
    run = Script("a")
    run.say(0, Asked(0, "logic", "?"), Asked(1, "code", "?"))
    assert time_left_us(fold(run.all)) is None


def used(*samples: tuple[int, int]) -> Board:
    """A board after (second, eighths of the limit) of the machine's memory."""
    run = Script("a")
    for second, eighths in samples:
        run.t_us = second * 1_000_000
        run.say(RUN, Memory(used=eighths << 30, limit=8 << 30), us=0)
    return fold(run.all)


def test_the_history_of_memory_is_short_and_fills_what_was_not_told() -> None:
    assert used_before(used((0, 1))) == "", "one figure is no history"
    assert used_before(used((0, 1), (4, 3), (11, 2))) == "▄▃", "the highest of each ten seconds"
    assert used_before(used((0, 1), (45, 8))) == "▂▂▂▂█"
    board = used(*((10 * n, n % 8) for n in range(50)))
    assert len(board.used_before) == HISTORY and used_before(board) == "▃▄▅▆▇█▁▂"
    assert used_before(used((0, 1), (100_000, 7))) == "▂" * (HISTORY - 1) + "█"

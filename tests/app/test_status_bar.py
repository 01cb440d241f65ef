"""How long it still takes, and what a model's line says."""

from tests.support.source import Script
from tui.app.widgets.status_bar import time_left_us
from tui.board import fold
from tui.events import Asked


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

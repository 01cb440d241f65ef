"""How long it still takes, and what a model's line says."""

import pytest
from rich.cells import cell_len

from benchmarks.support.scripted_run import EventScript
from tests.support.stage import comparing
from tui.app.widgets.status_bar import memory_bars, time_left_us
from tui.board import MEMORY_SAMPLES, Board, fold
from tui.events import RUN, Answered, Asked, Measured, Measuring, Memory, Started


def test_time_left_is_that_of_the_slowest_model_by_its_answers_so_far() -> None:
    run = EventScript("a", "b")
    for model in (0, 1):
        run.asked(model, model, "logic")
        run.answered(model, model)  # 900 ms
    board = fold(run.all)
    assert time_left_us(board) is None
    run.say(0, Asked(2, "code", "?"), us=0)
    run.say(1, Asked(3, "code", "?"), Asked(4, "poem", "?"), us=0)
    assert time_left_us(fold(run.all)) == 1_800_000


def test_what_waits_is_answered_as_many_together_as_now() -> None:
    run = EventScript("a")
    run.asked(0, 0, "logic")
    run.say(0, Answered(0, "stop", 5, 5, e2e_ms=60_000.0))
    for number in range(1, 6):
        run.say(0, Asked(number, f"q{number}", "?"), us=0)
    run.say(0, Started(1), Started(2), us=0)
    assert time_left_us(fold(run.all)) == 60_000_000 + 2 * 60_000_000, "three wait for two places"
    run.t_us += 70_000_000
    run.say(RUN, Memory(used=1, limit=2), us=0)
    assert time_left_us(fold(run.all)) == 2 * 60_000_000, "late, but not done in no time"


def test_less_than_a_second_is_not_said() -> None:
    run = EventScript("a")
    run.asked(0, 0, "logic")
    run.answered(0, 0)  # 900 ms
    run.say(0, Asked(1, "code", "?"), us=0)
    assert time_left_us(fold(run.all)) is None


async def test_the_standard_measure_is_said_at_any_width() -> None:
    async with comparing("demo@bf16", "demo@fp32", size=(80, 24)) as it:
        it.run.ready(1)
        it.run.say(1, Measuring())
        await it.beat()
        assert "measuring demo@fp32" in it.screen.status_bar.text


def test_without_an_answer_to_go_by_nothing_is_promised() -> None:
    run = EventScript("a")
    run.say(0, Asked(0, "logic", "?"), Asked(1, "code", "?"))
    assert time_left_us(fold(run.all)) is None


def used(*samples: tuple[int, int]) -> Board:
    """A board after (second, eighths of the limit) of the machine's memory."""
    run = EventScript("a")
    for second, eighths in samples:
        run.t_us = second * 1_000_000
        run.say(RUN, Memory(used=eighths << 30, limit=8 << 30), us=0)
    return fold(run.all)


def test_the_history_of_memory_is_short_and_fills_what_was_not_told() -> None:
    assert memory_bars(used((0, 1))) == "", "one figure is no history"
    assert memory_bars(used((0, 1), (4, 3), (11, 2))) == "▄▃", "the highest of each ten seconds"
    assert memory_bars(used((0, 1), (45, 8))) == "▂▂▂▂█"
    board = used(*((10 * n, n % 8) for n in range(50)))
    assert len(board.memory_history) == MEMORY_SAMPLES and memory_bars(board) == "▃▄▅▆▇█▁▂"
    assert memory_bars(used((0, 1), (100_000, 7))) == "▂" * (MEMORY_SAMPLES - 1) + "█"


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("demo@bf16", "demo@fp32"), ("demo@bf16", "demo@fp32")),
        (("Qwen-7B-Chat@int4", "chatglm3-6b@int4"), ("Qwen-7…at@int4", "chatgl…6b@int4")),
        (("通义千问-7B-Chat@int4", "百川-7B@int4"), ("通义千…Chat@int4", "百川-7B@int4")),
    ],
)
async def test_the_memory_of_two_models_can_be_read_in_80_columns(
    labels: tuple[str, str], names: tuple[str, str]
) -> None:
    async with comparing(*labels, size=(80, 24)) as it:
        held = (536_000_000, 104_000_000), (999_000_000, 16_000_000_000)
        for model, (private, mapped) in enumerate(held):
            it.run.ready(model)
            it.run.say(model, Memory(private, mapped))
            it.run.asked(model, model, "logic")
            it.run.say(model, Answered(model, "stop", 5, 5, e2e_ms=60_000.0))
            it.run.say(model, Asked(2 + model, "code", "?"))
        it.run.say(RUN, Memory(used=13_000_000_000, limit=24_000_000_000))
        await it.beat()
        said = it.screen.status_bar.text
        assert cell_len(said) <= 80
        for part in (*names, "536+104 MB", "999 MB+16 GB", "13 GB of 24 GB", "saved"):
            assert part in said, said
        await it.pilot.resize_terminal(150, 30)
        await it.beat()
        said = it.screen.status_bar.text
        for part in (*labels, "536 MB + 104 MB mapped", "memory 13 GB of 24 GB", "to go"):
            assert part in said, said


@pytest.mark.parametrize(("lang", "words"), [("en", "measuring its speed"), ("zh", "测速中")])
async def test_a_model_that_is_measured_says_so_in_its_pane_and_below(
    lang: str, words: str
) -> None:
    async with comparing("demo@bf16", "demo@fp32", size=(160, 30), lang=lang) as it:
        it.run.say(0, Measuring())
        await it.beat()
        assert it.screen.status_bar.text.count(words) == 1
        assert [words in it.pane(index)[0] for index in (0, 1)] == [True, False]
        it.run.say(0, Measured(256, 64, ttft_ms=400.0, decode_tok_s=20.0))
        await it.beat()
        assert words not in it.screen.status_bar.text

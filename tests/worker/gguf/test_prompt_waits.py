"""What an answer waited for the prompts of others, by times that are given."""

from tui.worker.gguf.prompt_waits import PromptClock, TokenGaps


def test_the_clock_counts_prompts_that_overlap_once() -> None:
    clock = PromptClock()
    clock.begin(1, 100)
    clock.begin(2, 150)
    assert clock.read(170) == 70
    clock.end(1, 200)
    clock.end(2, 260)
    assert clock.read(400) == 160
    clock.begin(3, 500)
    assert clock.read(510) == 170


def test_an_end_without_a_beginning_and_a_second_beginning_change_nothing() -> None:
    clock = PromptClock()
    clock.end(1, 50)
    clock.begin(2, 100)
    clock.begin(2, 140)
    clock.end(2, 160)
    clock.end(2, 900)
    assert clock.read(1000) == 60


def test_a_late_token_counts_above_the_pace_of_the_others() -> None:
    gaps = TokenGaps()
    gaps.add(10, 1, 0)
    gaps.add(30, 3, 2)
    gaps.add(500, 1, 490)
    assert gaps.pace_ns == 10
    assert gaps.waited_ns(0.0) == 490


def test_where_every_token_is_late_the_pace_of_others_is_taken() -> None:
    gaps = TokenGaps()
    gaps.add(500, 2, 490)
    assert gaps.waited_ns(0.0) == 0
    assert gaps.waited_ns(40.0) == 420
    assert gaps.waited_ns(900.0) == 0

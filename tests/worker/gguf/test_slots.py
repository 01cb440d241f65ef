"""Which slot of llama.cpp's computes an answer, by what was asked before."""

from tui.worker.gguf.slots import Slots


def test_one_answer_after_another_takes_the_slot_that_holds_its_beginning() -> None:
    slots = Slots(3)
    first, other = [1, 2, 3, 4], [9, 8, 7]
    assert slots.take(first, (), True) == (0, True)
    assert slots.take(other, (), True)[0] == 1
    assert slots.take([*first, 5, 6], (), True)[0] == 0
    assert slots.take([*other, 6], (), True)[0] == 1
    assert slots.take([30, 31], (), True)[0] == 2


def test_what_is_too_little_in_common_is_not_looked_at() -> None:
    slots = Slots(2)
    assert slots.take([1, *range(100, 130)], (), True)[0] == 0
    assert slots.take([1, *range(200, 230)], (), True)[0] == 1


def test_the_one_used_the_longest_ago_is_given_up() -> None:
    slots = Slots(2)
    assert [slots.take([number], (), True)[0] for number in (1, 2, 3)] == [0, 1, 0]


def test_measures_take_the_first_that_is_free_and_are_not_found_again() -> None:
    slots = Slots(3)
    assert [slots.take([1, 2], busy, False)[0] for busy in ((), (), (0,), (0, 1))] == [0, 0, 1, 2]
    assert slots.take([5], (), True)[0] == 0
    assert slots.take([1, 2], (), True)[0] == 1


def test_none_is_free() -> None:
    assert Slots(2).take([1], (0, 1), True)[0] == -1


def test_what_was_computed_for_another_column_is_not_used() -> None:
    slots = Slots(2)
    assert slots.take([1, 2, 3], (), True, 0) == (0, True)
    assert slots.take([1, 2, 3], (), True, 1) == (1, False)
    assert slots.take([1, 2, 3, 4], (), True, 1) == (1, True)
    assert slots.take([1, 2, 3, 4], (), True, 0) == (0, True)
    assert slots.take([1, 2, 3, 4], (0,), True, 0) == (1, False)

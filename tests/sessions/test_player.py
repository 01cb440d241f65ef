"""The player: exact in time, and the same board wherever one seeks to."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.support.sessions import write_session
from tests.support.bodies import expect
from tests.support.clock import Clock
from tui import events as ev
from tui.board import Answer, Board, fold
from tui.events import Event
from tui.host.errors import UserError
from tui.sessions import reader
from tui.sessions.player import Player
from tui.sessions.select import select_question

S = 1_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def events(tmp_path: Path) -> list[Event]:
    return reader.read(write_session(tmp_path)).events


def simple(*times: float) -> list[Event]:
    return [Event(i, int(t * S), 0, ev.Delta(0, text=str(i))) for i, t in enumerate(times)]


def texts(player: Player) -> list[str]:
    return [event.body.text for event in player.drain()[1] if isinstance(event.body, ev.Delta)]


def show(player: Player, board: Board) -> Board:
    reset, due = player.drain()
    return fold(due, Board() if reset else board)


def test_events_come_when_they_are_due(clock: Clock) -> None:
    player = Player(simple(0, 1, 2.5), clock)
    assert texts(player) == ["0"]
    clock.now += 0.999
    assert texts(player) == []
    clock.now += 0.001
    assert texts(player) == ["1"]
    assert player.next_due_s == pytest.approx(1.5)
    assert not player.has_ended
    clock.now += 5
    assert texts(player) == ["2"]
    assert player.has_ended
    assert player.position_us == player.duration_us == 2.5 * S
    assert player.next_due_s is None


def test_events_out_of_order_are_sorted_and_equal_times_keep_theirs(clock: Clock) -> None:
    given_ = [Event(i, t, 0, ev.Delta(0, text=str(i))) for i, t in enumerate((0, 5, 3, 5, 3))]
    player = Player(given_, clock)
    clock.now += 1
    assert texts(player) == ["0", "2", "4", "1", "3"]


@pytest.mark.parametrize("speed", [1, 2, 4, 8])
def test_speed_scales_time_from_where_it_is(clock: Clock, speed: int) -> None:
    player = Player(simple(0, 1, 2, 10), clock)
    clock.now += 1
    assert texts(player) == ["0", "1"]
    player.set_speed(speed)
    clock.now += 0.5
    assert player.position_us == pytest.approx((1 + 0.5 * speed) * S)
    assert player.next_due_s == pytest.approx(0 if speed > 1 else 0.5)


def test_at_once_gives_everything(clock: Clock) -> None:
    player = Player(simple(0, 1, 1e5), clock)
    player.set_speed(math.inf)
    assert texts(player) == ["0", "1", "2"]
    assert player.has_ended


def test_a_pause_stops_time(clock: Clock) -> None:
    player = Player(simple(0, 1), clock)
    player.drain()
    clock.now += 0.5
    player.toggle()
    clock.now += 100
    assert texts(player) == []
    assert player.position_us == 0.5 * S
    assert player.next_due_s is None
    player.toggle()
    clock.now += 0.5
    assert texts(player) == ["1"]


def test_toggle_at_the_end_plays_again(clock: Clock) -> None:
    player = Player(simple(0, 1), clock)
    clock.now += 2
    assert texts(player) == ["0", "1"]
    player.toggle()
    assert player.is_playing
    assert player.drain() == (True, simple(0, 1)[:1])


def test_at_once_at_the_end_stays_there(clock: Clock) -> None:
    player = Player(simple(0, 1), clock)
    clock.now += 2
    assert texts(player) == ["0", "1"]
    player.set_speed(math.inf)
    player.play()
    assert player.drain() == (False, [])
    assert player.has_ended
    player.toggle()
    assert (player.speed, player.is_playing) == (1, True)
    assert player.drain() == (True, simple(0))


def test_seeking_back_begins_anew_and_forward_goes_on(clock: Clock) -> None:
    player = Player(simple(0, 1, 2, 3), clock)
    clock.now += 2.5
    assert texts(player) == ["0", "1", "2"]
    player.seek(1 * S)
    reset, due = player.drain()
    assert reset
    assert [expect(ev.Delta, e.body).text for e in due] == ["0", "1"]
    player.seek(2 * S)
    assert player.drain() == (False, simple(0, 1, 2)[2:])
    player.seek(-5)
    assert player.drain() == (True, simple(0))
    player.seek(10**12)
    assert player.position_us == player.duration_us


def test_long_pauses_are_shortened(clock: Clock) -> None:
    player = Player(simple(0, 100, 100.5, 300), clock, max_gap=2)
    assert texts(player) == ["0"]
    clock.now += 2
    assert texts(player) == ["1"]
    assert player.position_us == 100 * S
    clock.now += 2.5
    assert texts(player) == ["2", "3"]
    assert player.position_us == player.duration_us == 300 * S
    player.seek(int(100.2 * S))
    assert player.position_us == pytest.approx(100.2 * S)


def test_a_loop_begins_again(clock: Clock) -> None:
    player = Player(simple(0, 1), clock, loop=True)
    clock.now += 1
    assert texts(player) == ["0", "1"]
    assert player.drain() == (True, simple(0))
    clock.now += 1
    assert texts(player) == ["1"]


def test_steps_by_question(events: list[Event], clock: Clock) -> None:
    player = Player(events, clock)
    assert player.question is None
    assert player.step_question(+1) == "q1"
    assert player.question == "q1"
    player.pause()
    board = show(player, Board())
    assert expect(Answer, board.current_answer(0)).question == "q1"
    assert player.step_question(+1) == "q2"
    assert player.step_question(+1) is None
    assert player.question == "q2"
    board = show(player, board)
    assert expect(Answer, board.current_answer(0)).question == "q2"
    assert player.step_question(-1) == "q1"
    board = show(player, board)
    assert expect(Answer, board.current_answer(0)).question == "q1"
    assert not any(a.tokens for a in board.answers.values())


def test_back_goes_to_the_start_of_the_question_first(clock: Clock) -> None:
    rows: list[tuple[int, ev.Body]] = [
        (0, ev.Asked(0, "q1", "")),
        (0, ev.Asked(1, "q2", "")),
        (1, ev.Started(0)),
        (10, ev.Started(1)),
        (30, ev.Delta(1)),
    ]
    player = Player([Event(i, t * S, 0, body) for i, (t, body) in enumerate(rows)], clock)
    clock.now += 15
    assert player.step_question(-1) == "q2"
    assert player.position_us == 10 * S
    assert player.step_question(-1) == "q1"


def test_models_that_take_turns_begin_the_questions_again(clock: Clock) -> None:
    bodies: list[tuple[int, ev.Body]] = []
    for answer, (model, question) in enumerate((m, q) for m in (0, 1) for q in ("q1", "q2")):
        bodies += [(model, ev.Asked(answer, question, "")), (model, ev.Started(answer))]
        if answer == 1:
            bodies.append((model, ev.Unloaded()))
    player = Player([Event(i, i * S, m, b) for i, (m, b) in enumerate(bodies)], clock)
    player.pause()
    assert [player.step_question(+1) for _ in range(5)] == ["q1", "q2", "q1", "q2", None]


def test_a_question_that_a_person_comes_back_to_begins_again(clock: Clock) -> None:
    rows: list[ev.Body] = []
    for answer, question in enumerate(("q1", "q2", "q1", "q1")):
        rows += [ev.Asked(answer, question, ""), ev.Started(answer), ev.Answered(answer, "stop")]
    player = Player([Event(i, i * S, 0, body) for i, body in enumerate(rows)], clock)
    player.pause()
    assert [player.step_question(+1) for _ in range(4)] == ["q1", "q2", "q1", None]
    # Two at work on different questions: going to and fro between them would show neither.
    rows = [ev.Asked(i, q, "") for i, q in enumerate(("q1", "q2", "q1"))]
    rows += [ev.Started(0), ev.Started(1), ev.Answered(0, "stop"), ev.Started(2)]
    player = Player([Event(i, i * S, i % 2, body) for i, body in enumerate(rows)], clock)
    player.pause()
    assert [player.step_question(+1) for _ in range(3)] == ["q1", "q2", None]


def test_steps_token_by_token(events: list[Event], clock: Clock) -> None:
    player = Player(events, clock)
    player.drain()
    seen = []
    for _ in range(4):
        player.step_token()
        seen += texts(player)
        assert texts(player) == []
    assert seen == ["word0.0 ", "word1.0 ", "word0.1 ", "word1.1 "]
    assert not player.is_playing
    player.play()
    clock.now += 0.011
    assert texts(player) == ["word0.2 "]


def test_tokens_of_one_moment_step_one_by_one(clock: Clock) -> None:
    player = Player(simple(0, 1, 1, 1), clock)
    player.drain()
    for wanted in ("1", "2", "3"):
        player.step_token()
        assert texts(player) == [wanted]
    player.step_token()
    assert texts(player) == []
    assert player.has_ended
    assert player.position_us == 1 * S


def test_steps_back_token_by_token(clock: Clock) -> None:
    player = Player(simple(0, 1, 1, 2), clock)
    clock.now += 5
    assert texts(player) == ["0", "1", "2", "3"]
    for left in (["0", "1", "2"], ["0", "1"], ["0"], []):
        player.step_token(-1)
        reset, due = player.drain()
        assert (reset, [expect(ev.Delta, e.body).text for e in due]) == (True, left)
    player.step_token(-1)
    assert player.drain() == (False, [])
    player.step_token()
    assert texts(player) == ["0"]


def test_what_comes_within_a_time_is_counted(clock: Clock) -> None:
    player = Player(simple(0, 0.5, 1, 1.5, 4), clock)
    player.drain()
    assert player.due_within(1.0) == 2
    player.set_speed(4)
    assert player.due_within(1.0) == 4
    player.pause()
    assert player.due_within(1.0) == 0


def test_only_one_question(events: list[Event]) -> None:
    only = select_question(events, "q2")
    board = fold(only)
    assert {a.question for a in board.answers.values()} == {"q2"}
    wanted = expect(Answer, fold(events).current_answer(0))
    assert expect(Answer, board.current_answer(0)).text == wanted.text
    first = next(e.t_us for e in only if isinstance(e.body, ev.Asked))
    assert first == 0
    with pytest.raises(UserError, match="q9"):
        select_question(events, "q9")


@pytest.fixture(scope="module")
def all_events(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    return reader.read(write_session(tmp_path_factory.mktemp("all"))).events


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.floats(0, 3)),
        st.tuples(st.just("seek"), st.integers(-S, 6 * S)),
        st.tuples(st.just("speed"), st.sampled_from([1, 2, 4, 8, math.inf])),
        st.tuples(st.sampled_from(["pause", "play", "toggle", "token", "back"]), st.none()),
        st.tuples(st.just("question"), st.sampled_from([-1, 1])),
        st.tuples(st.just("drain"), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(MOVES, st.sampled_from([None, 0.1]))
def test_wherever_one_goes_the_board_is_that_of_the_events_until_there(
    all_events: list[Event], moves: list[Any], max_gap: float | None
) -> None:
    clock, board, given_ = Clock(1000.0), Board(), 0
    player = Player(all_events, clock, max_gap=max_gap)
    for move, value in [*moves, ("drain", None)]:
        match move:
            case "pass":
                clock.now += value
            case "seek":
                player.seek(value)
            case "speed":
                player.set_speed(value)
            case "pause":
                player.pause()
            case "play":
                player.play()
            case "toggle":
                player.toggle()
            case "token":
                player.step_token()
            case "back":
                player.step_token(-1)
            case "question":
                player.step_question(value)
            case "drain":
                reset, due = player.drain()
                board = fold(due, Board() if reset else board)
                given_ = len(due) if reset else given_ + len(due)
                assert board == fold(all_events[:given_])
                assert 0 <= player.position_us <= player.duration_us
                assert given_ == 0 or all_events[given_ - 1].t_us <= player.position_us + 1
                assert (
                    given_ == len(all_events) or all_events[given_].t_us >= player.position_us - 1
                )


def test_waits_are_shortened_also_where_memory_is_told_meanwhile(clock: Clock) -> None:
    memory = [Event(1, t * S, 0, ev.Memory(private=1)) for t in range(1, 10)]
    first, last = simple(0, 10)
    player = Player([first, *memory, last], clock, max_gap=1.0)
    assert texts(player) == ["0"]
    clock.now += 1.01
    assert texts(player) == ["1"]


def test_it_goes_to_where_the_first_text_comes(clock: Clock) -> None:
    loaded = Event(0, 30 * S, 0, ev.Loaded(30.0))
    player = Player([loaded, *simple(40, 41)], clock, max_gap=1.0)
    player.go_to_first_token()
    clock.now += 0.01
    assert texts(player) == ["0"] and player.position_us == pytest.approx(40 * S, abs=20_000)

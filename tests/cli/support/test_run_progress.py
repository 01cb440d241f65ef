"""How far a run is: counts and the time that is left."""

import pytest

from tui.board import Board, Model, fold
from tui.cli.commands import run
from tui.cli.support.run_progress import RunProgress
from tui.events import Answered, Asked, Body, Event, Failed, Started


def feed(progress: RunProgress, second: float, *bodies: Body) -> None:
    progress.feed(Event(0, int(second * 1e6), 0, body) for body in bodies)


def test_what_is_asked_again_counts_once() -> None:
    progress = RunProgress()
    feed(progress, 0, Asked(0, "a", "?"), Asked(1, "b", "?"), Asked(2, "b", "?", repeat=1))
    feed(progress, 1, Failed("cut", "m", answer=0), Answered(1, "stop"))
    assert str(progress) == "2/3"
    feed(progress, 2, Asked(3, "a", "?"))
    assert str(progress) == "1/3"
    feed(progress, 3, Answered(3, "stop"), Answered(2, "stop"), Answered(9, "stop"))
    assert (progress.done, progress.total, progress.seconds_left) == (3, 3, None)


def test_the_rest_takes_as_long_at_the_pace_of_late() -> None:
    progress = RunProgress()
    feed(progress, 0, *(Asked(n, str(n), "?") for n in range(400)))
    for n in range(100):
        feed(progress, n, Answered(n, "stop"))  # one a second
    assert str(progress) == "100/400 5m00s left"
    for n in range(100, 300):
        feed(progress, 100 + n, Answered(n, "stop"))
    feed(progress, 1000, *(Answered(n, "stop") for n in range(300, 310)))
    # Ten at once, and nothing before for minutes: these took all of that time.
    assert progress.seconds_left == 90 * 601 / 10


def test_the_first_batch_took_the_time_since_it_began() -> None:
    progress = RunProgress()
    feed(progress, 0, *(Asked(n, str(n), "?") for n in range(16)))
    feed(progress, 5, *(Started(n, batch=8) for n in range(8)))
    feed(progress, 45, *(Answered(n, "stop") for n in range(8)))
    assert str(progress) == "8/16 40s left"


def test_what_fails_with_the_model_counts_as_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    bodies: list[Body] = [
        Asked(7, "q0", "question"),
        Failed("crashed", "ended by SIGKILL"),
        Failed("crashed", "ended by SIGKILL", answer=7),
    ]
    events = [Event(number, 0, 0, body) for number, body in enumerate(bodies, 1)]
    board = fold(events, Board(models=[Model(0, "one", "one")]))
    with run._progress_printer() as show:
        show(events, board)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["one: failed: ended by SIGKILL", "1/1 one q0: failed: ended by SIGKILL"]

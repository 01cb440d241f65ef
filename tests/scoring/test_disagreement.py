"""Which questions are stepped through, and in which order."""

from benchmarks.support.scripted_run import EventScript
from tui import events as ev
from tui.board import Board, fold
from tui.events import RUN
from tui.scoring.board_checks import check_board
from tui.scoring.disagreement import chosen_questions, of_board

QUESTIONS = {
    "name": "four",
    "questions": [
        {"id": "same", "turns": ["?"]},
        {"id": "words", "turns": ["?"]},
        {"id": "check", "turns": ["?"], "checks": [{"contains": "ja"}, {"regex": "((("}]},
        {"id": "broken", "turns": ["?"], "checks": [{"nonsense": 1}]},
    ],
}


def made() -> EventScript:
    script = EventScript("a", "b", questions=QUESTIONS)
    texts = {"same": ("ja", "ja"), "words": ("ja", "ja ja ja ja ja"), "check": ("ja", "no")}
    answer = 0
    for question, both in texts.items():
        for model, text in enumerate(both):
            script.asked(model, answer, question)
            script.tokens(model, answer, [text])
            script.answered(model, answer)
            answer += 1
    script.asked(0, answer, "broken")
    script.say(0, ev.Failed("crashed", "it died", answer=answer))
    return script


def board_of(script: EventScript) -> Board:
    return fold(script.all)


def test_filters_choose_questions() -> None:
    script = made()
    script.say(RUN, ev.Rated(0, "d", 3), ev.Rated(1, "d", 3), ev.Voted("words", 2, 3, "tie"))
    board = board_of(script)
    wanted = {
        "all": ["same", "words", "check", "broken"],
        "differing": ["words", "check"],
        "unrated": ["check"],
        "failed": ["broken"],
    }
    for name, ids in wanted.items():
        assert chosen_questions(board, name, False, {}) == ids, name


def test_the_most_different_come_first_whatever_they_differ_in() -> None:
    script = made()
    board = board_of(script)
    assert chosen_questions(board, "all", True, {})[0] == "words", "five times as long"
    checked = check_board(board)
    assert [r.passed for r in checked[4]] == [True, False]
    assert [r.passed for r in checked[5]] == [False, False]
    found = of_board(board, "check", checked)
    assert found.checks == 0.5 and found.length == 1 and found.is_differing
    script.say(
        RUN,
        ev.Judged("same", 1, 0, "left", "j", ["left"] * 2),
        ev.Rated(0, "d", 5),
        ev.Rated(1, "d", 1),
    )
    board = board_of(script)
    same = of_board(board, "same", {})
    assert (same.stars, same.verdicts, same.same_text) == (4, 1, True) and same.is_differing
    assert chosen_questions(board, "all", True, checked) == ["same", "words", "check", "broken"]


def test_absurd_times_are_no_difference() -> None:
    script = made()
    for answer, ms in ((0, 1e308), (1, 0.0)):
        script.say(0 if answer == 0 else 1, ev.Answered(answer, "stop", e2e_ms=ms))
    assert of_board(board_of(script), "same", {}).time is None


def test_times_of_other_threads_are_no_difference() -> None:
    script = made()
    for threads, wanted in (((2, 2), 3), ((2, 1), None), ((2, 0), 3)):
        for model, n in enumerate(threads):
            done = ev.Answered(model, "stop", e2e_ms=1000.0 * (1 + 2 * model), threads=n)
            script.say(model, done)
        assert of_board(board_of(script), "same", {}).time == wanted


def test_a_verdict_that_nobody_could_read_says_nothing() -> None:
    script = made()
    script.say(RUN, ev.Judged("same", 0, 1, "none", "j"))
    assert of_board(board_of(script), "same", {}).verdicts is None
    script.say(RUN, ev.Judged("same", 0, 1, "tie", "k", ["tie"] * 2))
    assert of_board(board_of(script), "same", {}).verdicts == 0

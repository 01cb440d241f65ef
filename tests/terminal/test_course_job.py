"""The course job by keys alone, in a real terminal: three models answer eight questions, each
answer gets its stars, and the report is written. Every key counts, and none may be lost."""

from pathlib import Path

from benchmarks.support.recorded_sessions import record_session, recorded_header
from benchmarks.support.terminal import DUIBI, Terminal
from tui import events as ev
from tui import questions as question_sets
from tui.scoring.dimensions import resolve_dimensions
from tui.sessions import library
from tui.sessions.reader import read

MODELS = ("one@bf16", "two@bf16", "three@int8")
MOST_KEYS = 110


class CountedKeys:
    """Keys into a terminal, counted."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal, self.count = terminal, 0

    def press(self, keys: str) -> None:
        """Each character is a key."""
        self.count += len(keys)
        self.terminal.send(keys)


def test_the_course_job_takes_few_keys_and_none_is_lost(tmp_path: Path) -> None:
    questions = question_sets.load("tongji").questions
    asked = [{"id": q.id, "category": q.category, "turns": list(q.turns)} for q in questions]
    old = record_session(
        tmp_path / "old", recorded_header(MODELS, asked), lambda m, q: f"回答 {q}，模型 {m}。"
    )
    dimensions = len(resolve_dimensions(None, ()))
    answers = len(questions) * len(MODELS)
    assert (len(questions), dimensions * len(MODELS)) == (8, 12)
    stars = [1 + index * 7 % 5 for index in range(answers * dimensions)]
    folders = {"DUIBI_SESSIONS_DIR": str(tmp_path / "mine"), "DUIBI_LANG": "en"}
    references = [f"session:{old}#{label}" for label in MODELS]
    with Terminal([*DUIBI, *references], folders, 100, 30, tmp_path) as it:
        keys = CountedKeys(it)
        it.wait("Enter asks this question")
        keys.press("a")
        it.wait("回答 0，模型 2。")
        it.wait(lambda text: "8✓" in text)
        keys.press("s")
        it.wait("question 1: 1 of 3")
        # A question's stars in one burst: what is typed ahead of the screen is not lost either.
        step = dimensions * len(MODELS)
        for number in range(len(questions)):
            keys.press("".join(map(str, stars[number * step : (number + 1) * step])))
            last = number + 1 == len(questions)
            it.wait("All is judged" if last else f"question {number + 2}: 1 of 3")
        keys.press("\x1b")
        it.wait("a ask all")
        keys.press("e")
        it.wait("The whole, to hand in")
        keys.press("\r")
        it.wait("-report.html")
        keys.press("q")
        assert it.wait_exit() == 0
    (entry,) = library.entries(tmp_path / "mine")
    rated = [event.body for event in read(entry.path).events if isinstance(event.body, ev.Rated)]
    assert [one.stars for one in rated] == stars and entry.answers == answers
    assert len({(one.answer, one.dimension) for one in rated}) == len(stars)
    assert keys.count <= MOST_KEYS, keys.count
    print(f"{keys.count} keys, {len(stars)} stars, {entry.answers} answers")

import threading
from pathlib import Path

import pytest

from tests.support.waiting import until
from tui.engines.base import Message, Request
from tui.engines.pasted import LONGEST_FILE, PastedEngine, read_pasted
from tui.events import Answered, Body, Cancelled, Delta, Failed, Started
from tui.host.errors import UserError


def request(answer: int, question: str, turns: int = 1) -> Request:
    messages = [Message("user", f"turn {i}") for i in range(turns)]
    return Request(answer, tuple(messages), 64, question=question)


def bodies(engine: PastedEngine, *requests: Request) -> list[Body]:
    return [body for _, body in engine.answer(requests)]


def test_a_pasted_answer_has_no_timing() -> None:
    engine = PastedEngine({"q1": "一二三四五"})
    loaded = engine.load(lambda _, __: None)
    assert "no timing" in loaded.notes[0]
    started, delta, answered = bodies(engine, request(4, "q1"))
    assert started == Started(4) and delta == Delta(4, 3, "一二三四五")
    assert isinstance(answered, Answered)
    assert (answered.output_tokens, answered.token_source) == (3, "estimate")
    timed = (answered.ttft_ms, answered.tpot_ms, answered.e2e_ms, answered.decode_tok_s)
    assert timed == (None,) * 4 and answered.chars_s is None


def test_turns_are_told_apart() -> None:
    engine = PastedEngine({"q1": ("first", "second")})
    for turns, text in ((1, "first"), (2, "second")):
        assert bodies(engine, request(1, "q1", turns))[1] == Delta(1, 2, text)
    [failed] = bodies(engine, request(1, "q1", 3))
    assert isinstance(failed, Failed)


def test_what_nobody_pasted_fails_without_a_person() -> None:
    [failed] = bodies(PastedEngine({}), request(2, "q9"))
    assert isinstance(failed, Failed)
    assert (failed.cause, failed.answer) == ("not_pasted", 2) and "q9" in failed.message


def test_a_person_supplies_what_is_missing() -> None:
    engine = PastedEngine({"q1": "here"}, interactive=True)
    got: list[Body] = []
    asked = [request(1, "q1"), request(2, "q2"), request(3, "q3")]
    thread = threading.Thread(target=lambda: got.extend(bodies(engine, *asked)))
    thread.start()
    until(lambda: engine.pending_pastes() == (2, 3))
    assert not engine.paste(1, "too late") and not engine.paste(3, " \n")
    assert engine.paste(3, "by\ud800 hand")
    engine.cancel([2])
    thread.join(5)
    assert not thread.is_alive() and engine.pending_pastes() == ()
    assert [b for b in got if isinstance(b, Delta)][1].text == "by? hand"
    finals = [b for b in got if isinstance(b, Answered | Cancelled | Failed)]
    assert [(type(b), b.answer) for b in finals] == [(Answered, 1), (Answered, 3), (Cancelled, 2)]


def test_what_is_stopped_before_it_is_waited_for_ends_at_once() -> None:
    engine = PastedEngine({}, interactive=True)
    engine.cancel([4])
    assert bodies(engine, request(4, "q")) == [Cancelled(4)]


def test_closing_ends_the_wait() -> None:
    engine = PastedEngine({}, interactive=True)
    threading.Timer(0.05, engine.close).start()
    assert isinstance(bodies(engine, request(1, "q"))[-1], Cancelled)


def read(tmp_path: Path, text: str | bytes, *models: str) -> dict[str, object]:
    file = tmp_path / "answers.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return dict(read_pasted(file, models or ("ChatGPT-4o",), ("q1", "q2")))


def test_a_file_holds_the_answers_of_one_model_or_of_several(tmp_path: Path) -> None:
    one = {"ChatGPT-4o": {"q1": ("a",), "q2": ("b", "c")}}
    assert read(tmp_path, 'q1 = "a"\nq2 = ["b", "c"]') == one
    assert read(tmp_path, '["ChatGPT-4o"]\nq1 = "a"\nq2 = ["b", "c"]') == one
    two = read(tmp_path, '[x]\nq1 = "a"\n[y]\nq1 = "b"', "x", "y")
    assert two == {"x": {"q1": ("a",)}, "y": {"q1": ("b",)}}
    assert read(tmp_path, "") == {"ChatGPT-4o": {}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('q1 = "a"\n\nq3 = "b"', ":3: 'q3' is no question"),
        ('q1 = "a"\nq2 = 5', ":2: 'q2' has no text"),
        ('q1 = "a"\nq2 = ["x", ""]', ":2: 'q2' has no text"),
        ('\n["GPT"]\nq1 = "a"', ":2: 'GPT' is no pasted model"),
        ("q1 = \nq2 = 1", ":1: not TOML"),
        (b'q1 = "a"\nq2 = "\xff"', ":2: not UTF-8"),
        ("x = " + "[" * 5000, "answers.toml"),
    ],
)
def test_a_wrong_file_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    assert said in caught.value.message and "answers.toml" in caught.value.message
    assert caught.value.exit_code == 2


def test_a_missing_or_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_pasted(tmp_path / "none.toml", ("x",), ())
    with pytest.raises(UserError, match="larger"):
        read(tmp_path, b"#" * (LONGEST_FILE + 1))
